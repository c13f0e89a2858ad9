"""
A table
=======

Rows of a table are of shape (B, F), and each column is a feature. With 13 columns there are 8,192 masks, few enough to run them
all: the scores are then exact.
"""

import torch
from sklearn.datasets import load_wine
from torch import nn

import quantus_senc

data = load_wine()
x = torch.tensor(data.data, dtype=torch.float32)
x = (x - x.mean(0)) / x.std(0)  # so that 0, the value of a masked column, is its mean
y = torch.tensor(data.target)

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(13, 32), nn.ReLU(), nn.Linear(32, 3))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _epoch in range(100):
    optimizer.zero_grad()
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
model.eval()
print(f"{(model(x).argmax(1) == y).float().mean():.1%} of the wines are right.")

# %%
# `n_masks="all"` runs every mask there is.

result = quantus_senc.compare(
    model,
    x[::20],
    y[::20],
    methods=["Saliency", "InputXGradient", "IntegratedGradients", "DeepLift", "random"],
    metrics=["SenC (regression)", "Top-3", "Faithfulness Correlation"],
    n_masks="all",
)
print(result.summary()[["metric", "method", "mean", "rank"]].round(2).to_string(index=False))

# %%
# Which columns is the prediction for the first wine sensitive to, and which columns is its explanation sensitive to?

senc = quantus_senc.DataSensitivityConsistency(n_masks="all", estimator="regression")
call = {"explain_func": quantus_senc.explain, "explain_func_kwargs": {"method": "IntegratedGradients"}}
(score,) = senc(model, x[:1].numpy(), y[:1].numpy(), **call)
record = senc.sensitivities[0]
print(f"score {score:.2f}")
for name, prediction, explanation in zip(data.feature_names, record.prediction, record.explanation, strict=True):
    print(f"{name:30} {prediction:8.3f} {explanation:8.3f}")
