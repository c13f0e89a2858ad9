"""
A method that you have written
==============================

An explanation method is a function of a model, inputs and targets. It gets tensors on the model's device, and returns one map
for each input, as a tensor or an array.
"""

import torch

import quantus_senc
from quantus_senc import demo


def occlusion(model, inputs, targets, size=8, **_):
    """How far the score of the class falls when a square of the image is black."""
    maps = torch.zeros_like(inputs)
    rows = torch.arange(len(inputs))
    with torch.no_grad():
        scores = model(inputs)[rows, targets]
        for top in range(0, inputs.shape[2], size):
            for left in range(0, inputs.shape[3], size):
                square = (..., slice(top, top + size), slice(left, left + size))
                occluded = inputs.clone()
                occluded[square] = 0
                change = scores - model(occluded)[rows, targets]
                maps[square] = change[:, None, None, None]
    return maps


images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)

# %%
# In `compare`, methods are a dict from the names that you choose: to a name, to a function, or to a function and its keywords.

methods = {
    "occlusion, 8 pixels": (occlusion, {"size": 8}),
    "occlusion, 4 pixels": (occlusion, {"size": 4}),
    "gradient": "Saliency",
    "noise": "random",
}
result = quantus_senc.compare(
    model,
    x_batch[:2],
    y_batch[:2],
    methods=methods,
    metrics=["SenC (regression)", "Top-3"],
    n_masks=150,
    segment_func="grid",
    segment_func_kwargs={"patch_size": 8},
)
summary = result.summary()[["metric", "method", "mean", "error", "rank"]]
print(summary.round(2).to_string(index=False))

# %%
# Occlusion makes 16 or 64 passes for each map, so it takes that many times longer. `quantus_senc.expected_time` says beforehand
# how long a comparison takes.

figure = quantus_senc.plot.attributions(result.examples.image, result.examples.maps)
