"""
A model that returns something else
===================================

Networks of Hugging Face return an object with `logits`, others a tuple or a dict, and some take a second input. This one stands
in for a vision transformer: it cuts an image into patches, lets them attend to each other, and returns a dict.
"""

import torch
from torch import nn

import quantus_senc
from quantus_senc import demo


class SmallTransformer(nn.Module):
    """Takes images and a temperature, and returns a dict, as many models do."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(1, 32, 8, stride=8)
        self.positions = nn.Parameter(torch.zeros(16, 32))
        self.block = nn.TransformerEncoderLayer(32, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(32, 10)

    def forward(self, pixels, temperature):
        """Scores of ten classes, and the tokens that they come from."""
        tokens = self.patches(pixels).flatten(2).transpose(1, 2) + self.positions
        tokens = self.block(tokens)
        return {"logits": self.head(tokens.mean(1)) / temperature, "tokens": tokens}


images, labels, x_batch, y_batch = demo.digits()
torch.manual_seed(0)
transformer = SmallTransformer()
optimizer = torch.optim.Adam(transformer.parameters(), lr=3e-3)
for _epoch in range(8):
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        logits = transformer(images[batch], 1.0)["logits"]
        nn.functional.cross_entropy(logits, labels[batch]).backward()
        optimizer.step()
transformer.eval()

# %%
# `adapt` makes a model that returns (B, classes). It shares the weights and the names of layers with yours. `output` picks the
# scores, `perturb` names the input that is masked and explained, and the others come from `forward_kwargs`.

model = quantus_senc.adapt(
    transformer,
    output="logits",
    perturb="pixels",
    forward_kwargs={"temperature": 1.0},
)
accuracy = (model(x_batch).argmax(1) == y_batch).float().mean()
print(f"{accuracy:.1%} of {len(y_batch)} digits are right.")
print(f"For four images, the model returns {tuple(model(x_batch[:4]).shape)}.")

# %%
# From here on it is a model like any other. The features are its patches of 8×8 pixels.

result = quantus_senc.compare(
    model,
    x_batch[:4],
    y_batch[:4],
    methods=["Saliency", "InputXGradient", "IntegratedGradients", "random"],
    metrics=["SenC (regression)", "Top-3"],
    n_masks=200,
    segment_func="grid",
    segment_func_kwargs={"patch_size": 8},
)
figure = quantus_senc.plot.mean_scores(result)

# %%
# A real model of Hugging Face needs no `adapt`, as the next example shows: its `logits` are recognised.
