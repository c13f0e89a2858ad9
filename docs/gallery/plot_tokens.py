"""
Text
====

A small transformer says whether a sentence praises or complains. The features are tokens: here, words. The network looks up an
embedding for each of them, a column of numbers. The embeddings are what is masked and explained, because the number of a word
has no gradient. To the package, a sentence is a series of shape (B, channels, tokens).
"""

import random

import matplotlib.pyplot as plt
import torch
from torch import nn

import quantus_senc

GOOD = ["good", "great", "lovely", "clever", "funny"]
BAD = ["bad", "dull", "awful", "silly", "boring"]
PARTS = [  # a sentence has one of each
    ["", "", "honestly", "today"],
    ["the film", "this book", "her song", "the play"],
    ["was", "is", "seems"],
    ["", "", "", "", "not", "never"],
    ["", "very", "really"],
    GOOD + BAD,
    ["", "again", "to me"],
]
WORDS = {word for choices in PARTS for choice in choices for word in choice.split()}
VOCABULARY = ["", *sorted(WORDS)]  # word 0 is padding
LENGTH = 9


def sentences(n):
    """Sentences as lists of words, and their classes: 1 praises, 0 complains."""
    drawn = [[random.choice(choices) for choices in PARTS] for _ in range(n)]
    labels = [(parts[5] in GOOD) != bool(parts[3]) for parts in drawn]  # "not" turns it
    return [" ".join(parts).split() for parts in drawn], torch.tensor(labels).long()


def tokenize(texts):
    """Numbers of words, (B, tokens); short sentences end with padding."""
    padded = [text + [""] * (LENGTH - len(text)) for text in texts]
    return torch.tensor([[VOCABULARY.index(word) for word in text] for text in padded])


class Classifier(nn.Module):
    """Takes numbers of words (B, tokens), or embeddings of words (B, tokens, channels).

    Models of Hugging Face do the same.
    """

    def __init__(self):
        super().__init__()
        # The embedding of padding is 0, and stays 0.
        self.embedding = nn.Embedding(len(VOCABULARY), 16, padding_idx=0)
        self.positions = nn.Parameter(0.1 * torch.randn(LENGTH, 16))
        self.block = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True)
        self.head = nn.Linear(16, 2)

    def forward(self, input_ids=None, inputs_embeds=None):
        """Scores of the classes."""
        tokens = self.embedding(input_ids) if inputs_embeds is None else inputs_embeds
        return self.head(self.block(tokens + self.positions).mean(1))


random.seed(0)
torch.manual_seed(0)
texts, labels = sentences(2000)
tokens = tokenize(texts)
classifier = Classifier()
optimizer = torch.optim.Adam(classifier.parameters(), lr=5e-3)
for _epoch in range(10):
    for batch in torch.randperm(len(tokens)).split(50):
        optimizer.zero_grad()
        kept = torch.rand(len(batch), LENGTH) > 0.2  # gaps, as masks make them
        scores = classifier(tokens[batch] * kept)
        nn.functional.cross_entropy(scores, labels[batch]).backward()
        optimizer.step()
classifier.eval()
texts, labels = sentences(200)
accuracy = (classifier(tokenize(texts)).argmax(1) == labels).float().mean()
print(f"{accuracy:.1%} of the test sentences are right.")

# %%
# `perturb` hands what is masked and explained to the argument `inputs_embeds`, in the model's order of axes.

model = quantus_senc.adapt(
    classifier,
    perturb=lambda x: {"inputs_embeds": x.transpose(1, 2)},
)


def embed(texts):
    """Embeddings of sentences, (B, channels, tokens)."""
    return classifier.embedding(tokenize(texts)).detach().transpose(1, 2)


def features(texts):
    """The feature of each token, (B, tokens): words are one each, padding is of the last."""
    return (tokenize(texts) != 0).cumsum(1) - 1


# %%
# An eliminated token shows 0. That is the embedding of padding, so the network reads a sentence with a gap. Padding shows 0
# already, and masks change nothing there. So it is not a feature itself: prediction and explanation would agree that it has no
# effect, and such agreement can raise the score of any map, even of noise.
#
# Half of the tokens are eliminated, and not four fifths as by default: a negation counts only beside its adjective, and few
# masks would keep both. `channel_first=True` says that channels come before tokens.

words = ["honestly", "the", "film", "was", "not", "very", "good"]
x_batch = embed([words])
y_batch = model(x_batch).argmax(1)
senc = quantus_senc.DataSensitivityConsistency(
    n_masks=512,
    mask_rate=0.5,
    estimator="regression",
)
(score,) = senc(
    model,
    x_batch.numpy(),
    y_batch.numpy(),
    custom_batch=features([words]),
    channel_first=True,
    explain_func=quantus_senc.explain,
    explain_func_kwargs={"method": "InputXGradient"},
)
record = senc.sensitivities[0]
print(f"The model says: the sentence {('complains', 'praises')[y_batch]}.")
print(f"The score is {score:.2f}, from {record.n_masks} masks.")

# %%
# How sensitive the prediction and the explanation are to each word: how much a mask keeps of them if it keeps the word. The
# prediction reacts most to the last word, and this explanation to others, so the score is low.

figure, axes = plt.subplots(2, sharex=True, layout="constrained")
for panel, name in zip(axes, ("prediction", "explanation"), strict=True):
    panel.bar(range(len(words)), getattr(record, name).numpy())
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_ylabel(name)
panel.set_xticks(range(len(words)), words)

# %%
# Three methods and a random control, on sentences of the test set. They have nine words at most, so that all masks are run.

result = quantus_senc.compare(
    model,
    embed(texts[:24]),
    labels[:24],
    methods=["Saliency", "InputXGradient", "IntegratedGradients", "random"],
    metrics=["SenC (regression)", "Top-3"],
    n_masks=512,
    mask_rate=0.5,
    custom_batch=features(texts[:24]),
)
summary = result.summary()[["metric", "method", "mean", "error", "rank"]]
print(summary.round(2).to_string(index=False))

# %%
# By SenC the random control is last; these sentences are too few to say which method is best (see the errors). Top-3 separates
# the methods from noise less clearly, because in a short sentence three words often agree by chance.
#
# Models of Hugging Face take the same `inputs_embeds`. But they attend to padding, unless an attention mask says that they
# should not. It differs between sentences, so it comes along as one more channel. `perturb` takes it off, and the baseline
# keeps it:
#
# .. code-block:: python
#
#     batch = tokenizer(texts, padding=True, return_tensors="pt")
#     mask = batch["attention_mask"][:, None]
#     embeddings = network.get_input_embeddings()(batch["input_ids"]).detach().transpose(1, 2)
#     x_batch = torch.cat([embeddings * mask, mask], 1)  # padding shows the baseline, 0
#     model = quantus_senc.adapt(
#         network,
#         output="logits",
#         perturb=lambda x: {
#             "inputs_embeds": x[:, :-1].transpose(1, 2),
#             "attention_mask": x[:, -1].long(),
#         },
#     )
#     quantus_senc.compare(
#         *(model, x_batch, y_batch),
#         custom_batch=batch["attention_mask"].cumsum(1) - 1,
#         perturb_baseline=lambda x: torch.cat([0 * x[:-1], x[-1:]]),
#     )
