"""
An evaluation with Quantus that you have
========================================

SenC is a metric of Quantus: put it into the dict that you pass to `quantus.evaluate`.
"""

import numpy as np
import quantus

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)

# %%
# Nothing else changes. `senc.top_k(3)` and `senc.standard_error()` read the run that `senc` has just made, so that they cost
# nothing.

senc = quantus_senc.DataSensitivityConsistency(
    n_masks=300,
    estimator="regression",
    segment_func_kwargs={"compactness": 0.1},  # superpixels follow the strokes
    return_aggregate=False,
)
metrics = {
    "Sparseness": quantus.Sparseness(return_aggregate=False),
    "SenC": senc,
    "Top-3": senc.top_k(3),
    "error": senc.standard_error(),
}
methods = {
    "random": quantus_senc.explain_random,
    "Saliency": quantus_senc.explain,
    "InputXGradient": quantus_senc.explain,
}
arrays = x_batch[:4].numpy(), y_batch[:4].numpy()
results = quantus.evaluate(metrics, methods, model, *arrays, explain_func_kwargs={})
for method, scores in results.items():
    means = {metric: round(float(np.mean(values)), 2) for metric, values in scores.items()}
    print(method, means)

# %%
# After a call, `senc.sensitivities` has a record for each image of the last method, here `InputXGradient`. This is the
# second image:

record = senc.sensitivities[1]
print(f"{record.score:.2f} ± {record.standard_error:.2f}, {record.n_masks} masks")
figure = quantus_senc.plot.data_sensitivity(x_batch[1], {"InputXGradient": record})
