"""
A vision transformer of Hugging Face
====================================

A `ViTForImageClassification` needs no wrapper: its `logits` are recognised, and a warning says so. This one is small and learns
digits in seconds. With `from_pretrained`, yours takes its place (`pip install transformers`).
"""

import torch
from torch import nn
from transformers import ViTConfig, ViTForImageClassification

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
torch.manual_seed(0)
config = ViTConfig(
    image_size=32,
    patch_size=8,
    num_channels=1,
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=4,
    intermediate_size=64,
    num_labels=10,
)
model = ViTForImageClassification(config)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _epoch in range(30):
    for batch in torch.randperm(len(images)).split(64):
        optimizer.zero_grad()
        logits = model(images[batch]).logits
        nn.functional.cross_entropy(logits, labels[batch]).backward()
        optimizer.step()
model.eval()
accuracy = (model(x_batch).logits.argmax(1) == y_batch).float().mean()
print(f"{accuracy:.1%} of {len(y_batch)} digits are right.")

# %%
# Grad-CAM needs the name of a layer: the only convolution cuts the image into patches, before the transformer has looked at
# them. The tokens of a layer become a map of the image; the class token is left out. These are the maps of one digit, by the
# normalisations before and after the attention of blocks 0 and 1, and by the last normalisation.

maps = {}
for name, module in model.named_modules():
    if isinstance(module, nn.LayerNorm):
        call = {"method": "GradCAM", "layer": name}
        (grad_cam,) = quantus_senc.explain(model, x_batch[:1], y_batch[:1], **call)
        maps[name.rpartition("layers.")[2]] = grad_cam
figure = quantus_senc.plot.attributions(x_batch[0], maps)

# %%
# The last two maps are 0 everywhere. After the attention of the last block, the prediction comes from the class token alone.
# The other tokens have no effect any more. So take the normalisation before that attention.
#
# For data SenC, the features are the 16 patches that the transformer sees. For parameter SenC, the units of a fully connected
# layer are its inputs. `mlp.fc1` of block 0 has 32, the channels of each token after the attention.

result = quantus_senc.compare(
    model,
    x_batch[:40],
    y_batch[:40],
    methods={
        "Saliency": "Saliency",
        "InputXGradient": "InputXGradient",
        "GradCAM": {"method": "GradCAM", "layer": "vit.layers.1.layernorm_before"},
        "random": "random",
    },
    metrics={
        "data SenC": "SenC (regression)",
        "parameter SenC": quantus_senc.ParameterSensitivityConsistency(
            n_masks=200, estimator="regression", layers=["vit.layers.0.mlp.fc1"]
        ),
    },
    n_masks=300,
    segment_func="grid",
    segment_func_kwargs={"patch_size": 8},
)
columns = ["metric", "method", "mean", "error", "best_rank", "worst_rank"]
print(result.summary()[columns].round(2).to_string(index=False))

# %%
# A method may have any rank from `best_rank` to `worst_rank`, as far as the errors tell. By parameter SenC, noise is clearly
# last. Neither metric puts one of the three methods clearly above another; that takes more images and masks.

figure = result.plot.mean_scores()

# %%
# The patches of the first digit: how sensitive the prediction and each explanation are to them. The scores in the titles are
# of this digit alone.

figure = result.plot.data_sensitivity()

# %%
# The same of the 32 channels:

figure = result.plot.parameter_sensitivity()
