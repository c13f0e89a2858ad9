"""What goes wrong within a run in a folder: each fault costs its own scores, is said, and nothing else changes.

Around every call, tests/guard.py compares model, generators, filters of warnings and settings of torch.
"""

import os
import re
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quantus_senc import Comparison, compare
from tests.comparison.test_runs import GRID, Counting, X, Y, settings
from tests.small_models import gradient, image_model

METRICS = {name: settings()["metrics"][name] for name in ("SenC", "Top-2", "drawn")}


PLAIN = Counting()


def run(model, folder, method=PLAIN):
    """Scores of two methods, of which the second is a plain one, by metric and method."""
    arguments = settings(methods={"faulty": method, "plain": PLAIN}, metrics=METRICS)
    result = compare(model, X, Y, folder=folder, **arguments)
    pd.testing.assert_frame_equal(Comparison.load(folder).scores, result.scores)
    return result.scores.set_index(["metric", "method"])[["score", "failure"]]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(image_model(), tmp_path_factory.mktemp("whole"))


def attribution(model, inputs, targets):
    return gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets))


def raises(model, inputs, targets):
    raise ArithmeticError("no map")


def with_value(value):
    def explain(model, inputs, targets):
        maps = attribution(model, inputs, targets)
        maps[..., 0, 0] = value
        return maps

    return explain


def of_another_shape(model, inputs, targets):
    return attribution(model, inputs, targets)[:-1]


def of_no_numbers(model, inputs, targets):
    return "a map"


FAILING = {
    "raises": (raises, "the method failed: ArithmeticError: no map"),
    "NaN": (with_value(np.nan), "NaN in the attribution"),
    "another shape": (of_another_shape, "the method failed: ValueError: it returned maps of shape"),
    "no numbers": (of_no_numbers, "the method failed: "),
}


@pytest.mark.parametrize("fault", FAILING)
def test_a_method_that_fails(whole, tmp_path, fault):
    method, failure = FAILING[fault]
    scores = run(image_model(), tmp_path, method)
    for metric in ("SenC", "Top-2"):
        assert scores.loc[metric, "faulty"]["score"].isna().all()
        assert all(text.startswith(failure) for text in scores.loc[metric, "faulty"]["failure"])
    pd.testing.assert_frame_equal(scores.xs("plain", level="method"), whole.xs("plain", level="method"))


def in_half_precision(model, inputs, targets):
    return attribution(model, inputs, targets).half()


def in_its_input(model, inputs, targets):
    """A view of the input, which is overwritten."""
    maps = attribution(model, inputs, targets)
    inputs[...] = maps if isinstance(inputs, torch.Tensor) else maps.numpy()
    return inputs[:]


def leaves_traces(model, inputs, targets):
    maps = attribution(model, inputs, targets)
    model.train()
    torch.manual_seed(0)
    np.random.seed(0)
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    model.register_forward_hook(lambda module, args, output: output)
    return maps


CARELESS = {in_half_precision: 0.5, in_its_input: 1e-12, leaves_traces: 1e-12}  # half precision ties what differs


@pytest.mark.parametrize(("method", "digits"), CARELESS.items())
def test_a_method_that_is_careless(whole, tmp_path, method, digits):
    scores = run(image_model(), tmp_path, method)
    pd.testing.assert_frame_equal(scores, whole, atol=digits)


class OutOfMemory(nn.Sequential):
    """A model for at most 16 images at a time."""

    def forward(self, x):
        if len(x) > 16:
            raise torch.OutOfMemoryError("no memory")
        return super().forward(x)


def training():
    return nn.Sequential(image_model(), nn.Dropout(0.5)).train()


def scripted():
    return torch.jit.trace(image_model(), torch.zeros(1, *X.shape[1:]))


def small_memory():
    return OutOfMemory(*image_model())


@pytest.mark.parametrize("model", [small_memory, training, scripted])
def test_models(whole, tmp_path, model):
    pd.testing.assert_frame_equal(run(model(), tmp_path), whole, atol=1e-6)


def test_too_little_memory_is_said_once(tmp_path):
    senc = METRICS["SenC"]
    loud = type(senc)(40, 0.5, estimator="regression", **GRID)
    with pytest.warns(UserWarning, match="no memory for a pass of .* max_batch_size=") as warned:
        compare(small_memory(), X, Y, folder=tmp_path, methods={"plain": Counting()}, metrics={"SenC": loud})
    assert len([warning for warning in warned if "memory" in str(warning.message)]) == 1


@contextmanager
def read_only(folder):
    """A folder in which this process cannot write, even if it belongs to root."""
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
        folder.chmod(0o755)


def test_a_folder_that_is_read_only(whole, tmp_path):
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(0o755)
    with read_only(tmp_path), pytest.raises(OSError, match=re.escape(str(tmp_path))):
        run(image_model(), tmp_path)
    assert not list(tmp_path.iterdir())
    pd.testing.assert_frame_equal(run(image_model(), tmp_path), whole)
