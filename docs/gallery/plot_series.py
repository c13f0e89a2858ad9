"""
Time series
===========

A network finds a bump in noise. Series are of shape (B, C, T), and the features are windows of time.
"""

import matplotlib.pyplot as plt
import torch
from torch import nn

import quantus_senc

torch.manual_seed(0)
time = torch.arange(64)


def series(n):
    """Noise with a bump up (class 1) or down (class 0), somewhere."""
    labels = torch.randint(2, (n,))
    centres = torch.randint(8, 56, (n, 1))
    bumps = torch.exp(-((time - centres) ** 2) / 18) * (2 * labels[:, None] - 1)
    return (2 * bumps + 0.5 * torch.randn(n, 64))[:, None], labels


x_train, y_train = series(1000)
model = nn.Sequential(
    *(nn.Conv1d(1, 8, 7, padding=3), nn.ReLU(), nn.MaxPool1d(2)),
    *(nn.Conv1d(8, 16, 7, padding=3), nn.ReLU(), nn.AdaptiveMaxPool1d(4)),
    *(nn.Flatten(), nn.Linear(64, 2)),
)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for _epoch in range(5):
    for batch in torch.randperm(1000).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x_train[batch]), y_train[batch]).backward()
        optimizer.step()
model.eval()
x_batch, y_batch = series(200)
accuracy = (model(x_batch).argmax(1) == y_batch).float().mean()
print(f"{accuracy:.1%} of the test series are right.")

# %%
# One series of each class:

figure, panels = plt.subplots(1, 2, figsize=(7, 2), sharey=True, layout="constrained")
for label, panel in enumerate(panels):
    panel.plot(time, x_batch[y_batch == label][0, 0])
    panel.set_title(f"class {label}, bump {('down', 'up')[label]}")
    panel.set_xlabel("time step")

# %%
# Windows of four steps make 16 features.

result = quantus_senc.compare(
    model,
    x_batch[:4],
    y_batch[:4],
    methods=["Saliency", "InputXGradient", "IntegratedGradients", "random"],
    metrics=["SenC (regression)", "Top-3"],
    n_masks=300,
    segment_func="window",
    segment_func_kwargs={"window_size": 4},
)
summary = result.summary()[["metric", "method", "mean", "error", "rank"]]
print(summary.round(2).to_string(index=False))

# %%
# How sensitive the prediction for the first series, and an explanation of it, are to each window: how much a mask keeps of them
# if it keeps the window. Both react to the bump; the explanation also reacts to noise elsewhere.

senc = quantus_senc.DataSensitivityConsistency(
    n_masks=300,
    estimator="regression",
    segment_func="window",
    segment_func_kwargs={"window_size": 4},
)
senc(
    model,
    x_batch[:1].numpy(),
    y_batch[:1].numpy(),
    explain_func=quantus_senc.explain,
    explain_func_kwargs={"method": "InputXGradient"},
)
record = senc.sensitivities[0]

figure, axes = plt.subplots(3, sharex=True, layout="constrained")
axes[0].plot(time, x_batch[0, 0])
axes[0].set_ylabel("series")
for panel, name in zip(axes[1:], ("prediction", "explanation"), strict=True):
    panel.bar(range(2, 64, 4), getattr(record, name), width=3.5)
    panel.set_ylabel(name)
panel.set_xlabel("time step")
