"""
The layers of a network
=======================

Parameter SenC masks groups of neurons: output channels of a convolution, input features of a fully connected layer. Each layer
has a score.
"""

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)
print(model)

# %%
# Layers have the names of the model's modules. A layer of 64 units needs more masks than one of 8: at least two for each unit.

senc = quantus_senc.ParameterSensitivityConsistency(
    n_masks=300,
    estimator="regression",
    layers=["0", "3", "9"],
    return_layer_scores=True,
)
call = {
    "model": model,
    "x_batch": x_batch[:2].numpy(),
    "y_batch": y_batch[:2].numpy(),
    "explain_func": quantus_senc.explain,
}
scores, units = {}, {}
for method in ("Saliency", "InputXGradient", "IntegratedGradients"):
    scores[method] = senc(**call, explain_func_kwargs={"method": method})
    units[method] = senc.sensitivities["0"][0]  # the first convolution, the first image

# %%
# The scores of each layer (the paper's Figure 4):

figure = quantus_senc.plot.layer_scores(scores)

# %%
# The eight channels of the first convolution, for one image (the paper's Figure 3). Prediction and explanation are most
# sensitive to the light ones.

figure = quantus_senc.plot.parameter_sensitivity(units)

# %%
# The metric says how it has masked each layer, and why. Here, hooks mask the outputs of layers, which is fast; a few masks have
# shown that this gives the same as zeroed weights.

for layer, strategy in senc.strategies.items():
    print(f"layer {layer}: {strategy.name}, {strategy.why}")
