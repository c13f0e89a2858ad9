"""
A table
=======

Rows of a table are of shape (B, F), and each column is a feature. With 13 columns there are 8,192 masks, few enough to run them
all: the scores are then exact. A table that is a frame of pandas has names for its columns, and pictures show them.
"""

import torch
from sklearn.datasets import load_wine
from torch import nn

import quantus_senc

frame, classes = load_wine(return_X_y=True, as_frame=True)
frame = (frame - frame.mean()) / frame.std()  # the mean is 0, as a masked column is
x = torch.tensor(frame.to_numpy(), dtype=torch.float32)
y = torch.tensor(classes.to_numpy())

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
    frame[::20],
    classes[::20],
    methods=["Saliency", "InputXGradient", "IntegratedGradients", "DeepLift", "random"],
    metrics=["SenC (regression)", "Top-3", "Faithfulness Correlation"],
    n_masks="all",
)
summary = result.summary()[["metric", "method", "mean", "rank"]]
print(summary.round(2).to_string(index=False))

# %%
# To which columns is the prediction for the first wine sensitive, and to which is each explanation? The numbers beside the
# names are the values of this wine.

figure = result.plot.data_sensitivity()

# %%
# The attributions themselves are another question: how much of the prediction do they give to each column?

figure = result.plot.attributions()
