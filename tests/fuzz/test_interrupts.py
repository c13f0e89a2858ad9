"""Ctrl-C at any moment leaves the model and the process as they were."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, compare, explain
from tests.fuzz import budget
from tests.fuzz.interrupts import interrupted
from tests.small_models import inputs
from tests.snapshots import ModelSnapshot, ProcessSnapshot

X, Y = inputs(2, 1, 6, 6), np.array([0, 2])
_N_INSTANTS = 111 if budget.MANY else 5  # of each call


def network():
    """In training mode, with gradients, a hook, and a parameter that takes no gradient."""
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(27, 3)
    )
    model[0].weight.grad = torch.ones_like(model[0].weight)
    model[5].bias.requires_grad_(False)
    model[2].register_forward_hook(lambda module, args, output: None)
    return model


def data_senc(model):
    metric = DataSensitivityConsistency(n_masks=8, segment_func="grid", segment_func_kwargs={"patch_size": 3})
    metric(model, X, Y, explain_func=explain)


def parameter_senc(strategy, model):
    metric = ParameterSensitivityConsistency(n_masks=4, layers=["0"], strategy=strategy)
    metric(model, X, Y, explain_func=explain, explain_func_kwargs={"method": "Saliency"})


CALLS = {
    "data SenC": data_senc,
    "parameter SenC by hooks": functools.partial(parameter_senc, "hooks"),
    "parameter SenC by weights": functools.partial(parameter_senc, "weights"),
    "compare": lambda model: compare(model, X, Y, methods=["Saliency", "random"], metrics=["SenC"], n_masks=8),
} | {
    method: lambda model, method=method: explain(model, X, Y, method=method)
    for method in ("DeepLift", "LRP", "GuidedBackprop", "GradCAM", "IntegratedGradients")
}


@functools.cache
def n_lines(name):
    """How many lines a call runs, once all modules are imported."""
    CALLS[name](network())
    with interrupted() as lines:
        CALLS[name](network())
    return lines.count


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.unwatched("all")  # this test looks itself
@pytest.mark.parametrize("instant", range(_N_INSTANTS))
@pytest.mark.parametrize("name", CALLS)
def test_nothing_is_left_behind(name, instant):
    line, model = 1 + (2 * instant + 1) * n_lines(name) // (2 * _N_INSTANTS), network()
    before, process = ModelSnapshot(model), ProcessSnapshot()
    with interrupted(line) as lines, pytest.raises(KeyboardInterrupt):
        CALLS[name](model)
    left = before.differences() + process.differences()
    assert not left, f"interrupted at {lines.place}: {left}"
