"""Small models, inputs and explanation methods that the tests share."""

import numpy as np
import quantus
import torch
from torch import nn


def image_model(channels=1, size=8, classes=3):
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(4 * (size // 2) ** 2, classes),
    ).eval()


def series_model(channels=2, steps=24, classes=3):
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv1d(channels, 4, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * steps, classes)).eval()


def table_model(columns=6, classes=3):
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(columns, 16), nn.ReLU(), nn.Linear(16, classes)).eval()


def inputs(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def classes(n, seed=0, n_classes=3):
    return np.random.default_rng(seed).integers(n_classes, size=n)


def gradient(model, inputs, targets, **kwargs):
    """|gradient| times input, on whatever device, so that tests need no Captum where they don't mean to test it."""
    inputs = torch.as_tensor(inputs).detach().clone().requires_grad_()
    outputs = model(inputs).gather(1, torch.as_tensor(targets)[:, None]).sum()
    (grads,) = torch.autograd.grad(outputs, inputs)
    return (grads * inputs).detach()


def explain_one(model, method):
    """A function from one input and class to its attribution by Quantus."""

    def explain(x, y):
        return quantus.explain(model, x[None], np.array([y]), method=method)[0]

    return explain


def unpicklable_model():
    """`image_model` with an attribute that no pickle holds."""
    model = image_model()
    model.activation = lambda x: x
    return model
