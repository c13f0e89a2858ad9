"""What calls leave behind is noticed."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, compare, explain
from tests import guard
from tests.small_models import classes, gradient, inputs, table_model
from tests.snapshots import ModelSnapshot, ProcessSnapshot

X, Y = inputs(2, 6), classes(2)
CHANGES = {
    "value of tensor 'weight'": lambda layer: layer.weight.data.mul_(-1.0),
    "value of tensor 'bias'": lambda layer: layer.bias.data.copy_(torch.tensor([-0.0, 1.0])),  # 0.0 before
    "grad of tensor 'weight'": lambda layer: setattr(layer.weight, "grad", torch.ones(2, 2)),
    "requires_grad of tensor 'bias'": lambda layer: layer.bias.requires_grad_(False),
    "attribute 'training' of module ''": lambda layer: layer.eval(),
    "attribute '_forward_hooks, inside' of module ''": lambda layer: layer.register_forward_hook(print),
    "attribute 'note' of module ''": lambda layer: setattr(layer, "note", 1),
}


@pytest.mark.parametrize("what", CHANGES)
def test_changes_of_a_model(what):
    layer = nn.Linear(2, 2)
    layer.bias.data = torch.tensor([0.0, 1.0])
    before = ModelSnapshot(layer)
    assert not before.differences()
    CHANGES[what](layer)
    assert what in before.differences()


def test_changes_of_the_process():
    before = ProcessSnapshot()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        np.random.rand()
        assert before.differences() == ["gradients", "warning filters", "global generators"]
    assert before.differences(generators=False) == []


def draws(model, inputs, targets):
    return torch.rand_like(inputs)


def tunes(model, inputs, targets):
    torch.backends.cudnn.benchmark = True
    return gradient(model, inputs, targets)


def counts(model, inputs, targets):
    model.n_calls = getattr(model, "n_calls", 0) + 1
    return gradient(model, inputs, targets)


def noted_by_a_hook():
    model = table_model()
    model.register_forward_hook(lambda module, args, output: setattr(module, "seen", len(output)))
    return model


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda: DataSensitivityConsistency(n_masks=4)(table_model(), X, Y, explain_func=draws), "__call__ .* generators"),
        (lambda: explain(noted_by_a_hook(), X, Y), "_explain has changed attribute 'seen'"),
        (lambda: compare(table_model(), X, Y, methods={"tunes": tunes}, metrics=["SenC"], n_masks=4), "compare .* cudnn"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_public_function_is_watched(monkeypatch, call, what):
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    with pytest.raises(AssertionError, match=what), guard.watching(()):
        call()


def test_a_metric_puts_back_what_a_method_leaves():
    with guard.watching(()):
        DataSensitivityConsistency(n_masks=4)(table_model(), X, Y, explain_func=counts)
