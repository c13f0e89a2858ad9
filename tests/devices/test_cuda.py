"""What only CUDA has: its precisions, its memory, its synchronisations, and models that were compiled."""

import copy
import warnings

import numpy as np
import pytest
import torch

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, compare, explain
from tests.devices.conftest import NAME
from tests.devices.test_whole import GRID, network, on
from tests.small_models import classes, inputs

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not NAME.startswith("cuda"), reason="for CUDA alone")]
SALIENCY = {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}}
DATA = {"n_masks": 300, "disable_warnings": True, **GRID}
PARAMETER = {"n_masks": 300, "disable_warnings": True, "layers": ["conv1", "layer2.0.conv1", "fc"]}


def run(make, model, x, y, **parameters):
    metric = make(**parameters)
    metric(model, x, y, **SALIENCY)
    return metric


def data_scores(model, x, y, **more):
    return run(DataSensitivityConsistency, model, x, y, **DATA, **more).evaluation_scores


@pytest.fixture
def model(device):
    return on(device, network("ResNet10"))


@pytest.fixture
def batch():
    return inputs(3, 3, 16, 16), classes(3)


PRECISIONS = {"single": torch.float32, "TF32": torch.float32, "half": torch.float16, "bfloat16": torch.bfloat16}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_precisions(model, batch, precision):
    """Passes of other sizes round differently. That is no reason to distrust hooks, or to explain images one by one."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "TF32"
    rounded = copy.deepcopy(model).to(PRECISIONS[precision])
    assert np.isfinite(data_scores(rounded, *batch)).all()
    metric = run(ParameterSensitivityConsistency, rounded, *batch, **PARAMETER)
    assert np.isfinite(metric.evaluation_scores).all()
    assert {strategy.name for strategy in metric.strategies.values()} == {"hooks"}


@pytest.mark.parametrize("precision", ["single", "TF32"])
def test_integrated_gradients_of_an_image_share_passes(model, precision):
    """Its passes have many steps for each image, which other algorithms of convolution round otherwise."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "TF32"
    x = torch.nn.functional.interpolate(torch.tensor(inputs(1, 3, 7, 7)), (112, 112), mode="bilinear")
    sizes = []

    def explain_func(**kwargs):
        sizes.append(len(kwargs["inputs"]))
        return explain(**kwargs, method="IntegratedGradients", n_steps=16)

    grid = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 28}}
    DataSensitivityConsistency(n_masks=100, disable_warnings=True, **grid)(model, x, classes(1), explain_func=explain_func)
    assert sizes[-1] > 16


def test_same_scores_again(model, batch):
    assert data_scores(model, *batch) == data_scores(model, *batch)
    assert not torch.backends.cudnn.deterministic


def test_a_pass_that_is_too_large_is_halved(model, batch):
    x, y = inputs(1, 3, 224, 224), classes(1)
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    grid = {**DATA, "segment_func_kwargs": {"patch_size": 56}}
    whole = run(DataSensitivityConsistency, model, x, y, **grid)
    torch.cuda.empty_cache()
    n_before = torch.cuda.memory_stats()["num_ooms"]
    torch.cuda.set_per_process_memory_fraction(min(1.0, 0.4 * 2**30 / total + torch.cuda.memory_allocated() / total))
    try:
        capped = run(DataSensitivityConsistency, model, x, y, **grid)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    assert torch.cuda.memory_stats()["num_ooms"] > n_before
    np.testing.assert_allclose(capped.evaluation_scores, whole.evaluation_scores, atol=1e-3)


@pytest.mark.parametrize("pinned", [False, True])
def test_inputs_on_the_host(model, batch, pinned):
    x, y = torch.tensor(batch[0]), torch.tensor(batch[1])
    if pinned:
        x, y = x.pin_memory(), y.pin_memory()
    assert data_scores(model, x, y) == data_scores(model, x.cuda(), y.cuda())


def test_deterministic_algorithms(model, batch, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    try:
        first, second = data_scores(model, *batch), data_scores(model, *batch)
        run(ParameterSensitivityConsistency, model, *batch, **PARAMETER)
    finally:
        torch.use_deterministic_algorithms(False)
    assert first == second


@pytest.mark.unwatched("all")
def test_compiled_model(model, batch):
    """The compiler of torch patches `nn.Module` for good."""
    compiled = torch.compile(copy.deepcopy(model))
    np.testing.assert_allclose(data_scores(compiled, *batch), data_scores(model, *batch), atol=0.1)


def test_device_names(model, batch):
    metric = DataSensitivityConsistency(**DATA)
    expected = metric(model, *batch, **SALIENCY)
    for device in ("gpu", "cuda", "cuda:0", torch.device("cuda")):
        assert metric(model, *batch, device=device, **SALIENCY) == expected
    with pytest.raises(ValueError, match="the model is on"):
        metric(model, *batch, device="cpu", **SALIENCY)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="one device")
def test_second_device(model, batch):
    there = copy.deepcopy(model).to("cuda:1")
    assert data_scores(there, *batch) == data_scores(model, *batch)
    assert compare(there, *batch, methods=["Saliency"], metrics=["SenC"], n_masks=50)


def n_waits(model, batch, max_batch_size):
    """How often the host waits for the device in a call."""
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as messages:
            warnings.simplefilter("always")
            data_scores(model, *batch, max_batch_size=max_batch_size)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(message.message) for message in messages)


def test_no_pass_waits_for_the_device(model, batch):
    """45 passes or 18: both have looks at the first, fourth and sixteenth."""
    data_scores(model, *batch)
    assert n_waits(model, batch, 20) == n_waits(model, batch, 50) > 0
