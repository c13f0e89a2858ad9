"""No pass makes the host wait for the device, with a second device that any machine has: see `benchmarks.second_device`."""

from functools import cache

import numpy as np
import pytest
import torch

from benchmarks.second_device import DEVICE, DeviceTensor, SecondDevice, to_second_device
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain
from tests.explainers.models import QUIET
from tests.small_models import classes, gradient, image_model, inputs

pytestmark = [*QUIET, pytest.mark.xdist_group("transfers")]  # one process makes the runs that they look at
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}}
METRICS = {
    "data": lambda **more: DataSensitivityConsistency(60, disable_warnings=True, **GRID, **more),
    "parameter": lambda **more: ParameterSensitivityConsistency(60, disable_warnings=True, layers=["4"], **more),
}
SALIENCY, INTEGRATED = {"method": "Saliency"}, {"method": "IntegratedGradients", "n_steps": 3}
CASES = {"data": ("data", SALIENCY), "integrated": ("data", INTEGRATED), "parameter": ("parameter", SALIENCY)}
CAPTUM = "sent", "explain"  # Captum sends the weights of the steps of Integrated Gradients in each pass
# All make from 16 to 63 passes: predictions of shared passes are looked at in the 1st, 4th, 16th, 64th.
SMALL, LARGE = 4, 7


def run(kind, there, explain_func, size, **kwargs):
    """The metric after a call, and what happened on the second device, on which the model is if asked for."""
    metric = METRICS[kind](max_batch_size=size)
    with SecondDevice() as device:
        model = to_second_device(image_model(3)) if there else image_model(3)
        metric(model, inputs(2, 3, 8, 8), classes(2), explain_func=explain_func, explain_func_kwargs=kwargs)
    return metric, device


@cache
def run_case(case, there, size):
    kind, keywords = CASES[case]
    return run(kind, there, explain, size, **keywords)


def waits(device):
    """How often the host waited, outside of checks, which look at more where passes have more sizes."""
    return {key: n for key, n in device.crossings.items() if key[0] != "sent at once" and key[1] != "checks"}


def compared_passes(case):
    """What happened with small and with large passes, of which there are fewer."""
    small, large = (run_case(case, True, size)[1] for size in (SMALL, LARGE))
    assert small.entered["similarity"] > 1.4 * large.entered["similarity"]
    return small, large


@pytest.mark.parametrize("case", CASES)
def test_no_pass_waits_for_the_device(case):
    small, large = ({key: n for key, n in waits(one).items() if key[:2] != CAPTUM} for one in compared_passes(case))
    assert small == large
    assert sum(small.values()) > 0


def test_captum_sends_one_tensor_a_pass():
    """When it does no more, this exception can go."""
    small, large = (sum(n for key, n in waits(one).items() if key[:2] == CAPTUM) for one in compared_passes("integrated"))
    assert small > large > 0


@pytest.mark.parametrize("case", CASES)
def test_passes_make_no_tensors_on_the_host(case):
    _, device = run_case(case, True, SMALL)
    stages = {"perturb", "predict", "similarity"} | ({"explain"} if case != "integrated" else set())
    assert not {key for key in device.on_host if key[0] in stages}


def test_passes_of_hooks_send_what_they_need_without_waiting():
    small, _ = compared_passes("parameter")
    assert {line.partition(":")[0] for what, stage, line in small.crossings if what == "sent at once" and not stage} == {
        "metrics/masked_layers.py"
    }


@pytest.mark.parametrize("case", CASES)
def test_same_results_on_both_devices(case):
    here, there = (run_case(case, there, SMALL)[0].sensitivities for there in (False, True))
    if case == "parameter":
        here, there = here["4"], there["4"]
    for expected, record in zip(here, there, strict=True):
        assert torch.equal(record.masks(), expected.masks())
        np.testing.assert_allclose(record.weights, expected.weights, atol=1e-6)
        np.testing.assert_allclose(record.explanation, expected.explanation, atol=1e-6 * len(expected.weights))
        np.testing.assert_allclose(record.score, expected.score, atol=1e-6)


def reads_each_time(model, inputs, targets, **kwargs):
    maps = gradient(model, inputs, targets)
    return maps / maps.abs().amax().item()


def test_a_method_that_reads_values_is_seen():
    reads = []
    for size in (SMALL, LARGE):
        _, device = run("data", True, reads_each_time, size)
        reads.append(sum(n for key, n in waits(device).items() if key[:2] == ("read", "explain")))
    assert reads[0] - reads[1] >= 10


@pytest.fixture
def device():
    with SecondDevice() as device:
        yield device


@pytest.fixture
def values(device):
    return torch.tensor([1.0, 0.0, 2.0], device=DEVICE)


CROSSINGS = {
    "item": (lambda values: values[0].item(), "read"),
    "truth": (lambda values: bool(values.any()), "read"),
    "list": (lambda values: values.tolist(), "fetched"),
    "cpu": (lambda values: values.cpu(), "fetched"),
    "copied": (lambda values: torch.empty(3, device="cpu").copy_(values), "fetched"),
    "boolean index": (lambda values: values[values > 0], "read"),
    "boolean assignment": (lambda values: values.__setitem__(values > 0, values[0]), "read"),
    "a number where true": (lambda values: values.__setitem__(values > 0, 1.0), None),
    "a number": (lambda values: values.__setitem__(slice(2), 1.0), None),
    "index on the host": (lambda values: values[torch.tensor([0, 1])], "sent"),
    "nonzero": (lambda values: values.nonzero(), "read"),
    "equal": (lambda values: torch.equal(values, values), "read"),
    "unique": (lambda values: values.unique(), "read"),
    "repeat": (lambda values: values.repeat_interleave(values.long()), "read"),
    "number": (lambda values: torch.tensor(1.0, device=DEVICE), "sent"),
    "moved": (lambda values: torch.ones(3).to(DEVICE), "sent"),
    "moved at once": (lambda values: torch.ones(3).to(DEVICE, non_blocking=True), "sent at once"),
    "arithmetic": (lambda values: (values * 2 + torch.tensor(1.0)).sort()[0].cumsum(0), None),
    "made there": (lambda values: torch.zeros_like(values) + torch.arange(3, device=DEVICE), None),
}


@pytest.mark.parametrize("name", CROSSINGS)
def test_what_the_second_device_sees(device, values, name):
    operation, what = CROSSINGS[name]
    device.crossings.clear()
    operation(values)
    assert {key[0] for key in device.crossings} == ({what} if what else set())


def test_devices_do_not_mix(values):
    with pytest.raises(RuntimeError, match="same device"):
        values + torch.ones(3)
    with pytest.raises(RuntimeError, match="numpy"):
        values.numpy()
    assert isinstance(values + 1, DeviceTensor)


def test_gradients_and_views_on_the_second_device(values):
    values.requires_grad_()
    (values[1:] ** 2).sum().backward()
    assert values.grad.tolist() == [0, 0, 4]
    made = torch.zeros(3, device=DEVICE)
    made[1:] += 1
    assert made.tolist() == [0, 1, 1]
