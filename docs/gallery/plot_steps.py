"""
From masks to a score
=====================

What data SenC does with one image, step by step, for one explanation of it.
"""

import matplotlib.pyplot as plt
import torch
from scipy.stats import rankdata

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)
senc = quantus_senc.DataSensitivityConsistency(
    n_masks=500,
    mask_rate=0.5,
    estimator="regression",
    segment_func="grid",
    segment_func_kwargs={"patch_size": 8},
)
(score,) = senc(
    model,
    x_batch[3:4].numpy(),
    y_batch[3:4].numpy(),
    explain_func=quantus_senc.explain,
    explain_func_kwargs={"method": "InputXGradient"},
)
record = senc.sensitivities[0]
features = torch.as_tensor(record.labels)  # which feature each pixel belongs to
masks = record.masks()
weights = record.weights  # of each mask: 1 - confidence change, and similarity

# %%
# On top: the image, and three of the masks, with what they keep of the prediction and of the explanation. Below: the
# explanation; then the sensitivity of both to every feature, which is how much a mask keeps if it keeps the feature (yellow is
# most). Last, the ranks of the two sensitivities against each other. Their correlation is the score.

image = x_batch[3, 0]
figure, panels = plt.subplots(2, 4, figsize=(10, 5.2), layout="constrained")
for panel in panels.flat[:7]:
    panel.set_axis_off()
panels[0, 0].imshow(image, cmap="gray")
panels[0, 0].set_title("image")
for number, panel in enumerate(panels[0, 1:]):
    kept = torch.as_tensor(masks[number])[features].bool()
    panel.imshow(image * kept, cmap="gray", vmin=0, vmax=1)
    prediction, explanation = (float(weight) for weight in weights[number])
    kept = f"prediction {prediction:.2f}, explanation {explanation:.2f}"
    panel.set_title(f"mask {number + 1} keeps of the\n{kept}", fontsize=9)
maps = quantus_senc.explain(model, x_batch[3:4], y_batch[3:4], method="InputXGradient")
panels[1, 0].imshow(maps[0, 0], cmap="gray")
panels[1, 0].set_title("explanation")
for panel, name in zip(panels[1, 1:3], ("prediction", "explanation"), strict=True):
    ranks = torch.as_tensor(rankdata(getattr(record, name)))
    panel.imshow(ranks[features], cmap="viridis")
    panel.set_title(f"sensitivity of the {name}", fontsize=9)
panels[1, 3].scatter(rankdata(record.prediction), rankdata(record.explanation))
panels[1, 3].set_xlabel("rank for the prediction")
panels[1, 3].set_ylabel("rank for the explanation")
panels[1, 3].set_title(f"score {score:.2f}")
panels[1, 3].set(xticks=[1, 4, 8, 12, 16], yticks=[1, 4, 8, 12, 16])
plt.show()
