"""
An evaluation with Quantus that you have
========================================

SenC is a metric of Quantus: put it into the dict that you pass to `quantus.evaluate`.
"""

import quantus

import quantus_senc
from quantus_senc import demo

images, labels, x_batch, y_batch = demo.digits()
model = demo.train(images, labels)

# %%
# Nothing else changes. `senc.top_k(3)` and `senc.standard_error()` read the run that `senc` has just made, so that they cost
# nothing.

senc = quantus_senc.DataSensitivityConsistency(
    n_masks=300, estimator="regression", segment_func_kwargs={"compactness": 0.1}, return_aggregate=False
)
metrics = {
    "Sparseness": quantus.Sparseness(return_aggregate=False),
    "SenC": senc,
    "Top-3": senc.top_k(3),
    "error": senc.standard_error(),
}
methods = {"Saliency": quantus_senc.explain, "InputXGradient": quantus_senc.explain, "random": quantus_senc.explain_random}
results = quantus.evaluate(metrics, methods, model, x_batch[:4].numpy(), y_batch[:4].numpy(), explain_func_kwargs={})
for method, scores in results.items():
    print(method, {metric: round(float(sum(values) / len(values)), 2) for metric, values in scores.items()})

# %%
# After a call, `senc.sensitivities` has a record for each image of the last method, here of noise.

record = senc.sensitivities[0]
print(f"{record.score:.2f} ± {record.standard_error:.2f} from {record.n_masks} masks of {len(record.prediction)} features")
