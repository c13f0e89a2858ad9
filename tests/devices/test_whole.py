"""Explanation methods, controls, both metrics and `compare` on a second device against the CPU."""

import copy
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, compare, explain
from quantus_senc.controls import CONTROLS
from quantus_senc.explainers.methods import METHODS
from tests import networks
from tests.explainers.models import QUIET
from tests.small_models import classes, image_model, inputs, series_model, table_model

pytestmark = [pytest.mark.cuda, *QUIET]
NETWORKS = {
    "CNN": networks.PlainCNN,
    "ResNet10": networks.ResNet10,
    "MobileNetV3": networks.MobileNetV3,
    "transformer": networks.VisionTransformer,
    "functional": networks.Functional,
}
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
CALLS = {
    "images": (lambda: image_model(channels=3, size=16), (5, 3, 16, 16)),
    "series": (series_model, (5, 2, 24)),
    "tables": (table_model, (5, 6)),
}


def network(name):
    torch.manual_seed(0)
    return networks.randomised(NETWORKS[name]())


def on(device, model):
    if device.type == "xla" and any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        pytest.skip("torch_xla 2.9 computes no gradient of batch norm in evaluation mode")
    return copy.deepcopy(model).to(device)


def metric_and_scores(metric, model, x, y, **explaining):
    explaining = explaining or {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}}
    return metric, metric(model, x, y, **explaining)


def assert_same_records(there, here):
    """Masks bit for bit, sensitivities within 1e-4 of a mask's weight, and scores but for ties."""
    for one, expected in zip(there, here, strict=True):
        assert torch.equal(one.masks(), expected.masks())
        n_masks = 1 if abs(expected.prediction).max() < 10 else expected.n_masks
        for sensitivity in ("prediction", "explanation"):
            atol = 1e-4 * n_masks
            np.testing.assert_allclose(getattr(one, sensitivity), getattr(expected, sensitivity), atol=atol, rtol=0)
        np.testing.assert_allclose(one.score, expected.score, atol=0.1)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("method", METHODS)
def test_explanations(device, name, method):
    model = network(name)
    x, y = torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 4, 2])
    keywords = {"seed": 0} if method == "SmoothGrad" else {}
    if name == "transformer" and method == "LRP":
        with pytest.raises(ValueError, match="LRP"):
            explain(on(device, model), x.to(device), y.to(device), method=method)
        return
    expected = explain(model, x, y, method=method, **keywords)
    there = explain(on(device, model), x.to(device), y.to(device), method=method, **keywords)
    assert there.device.type == device.type
    scale = expected.abs().amax().item()
    np.testing.assert_allclose(there.cpu(), expected, rtol=1e-3, atol=1e-4 * scale)


@pytest.mark.parametrize("name", CONTROLS)
def test_controls(device, name):
    model, x, y = image_model(channels=3, size=16), torch.randn(3, 3, 16, 16), torch.tensor([0, 1, 2])
    expected = CONTROLS[name](model, x, y)
    there = CONTROLS[name](on(device, model), x.to(device), y.to(device))
    assert there.device.type == device.type
    np.testing.assert_allclose(there.cpu(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("kind", CALLS)
def test_data_senc(device, kind, estimator):
    make, shape = CALLS[kind]
    model, x, y = make(), inputs(*shape), classes(shape[0])
    metric = {"n_masks": 300, "estimator": estimator, "disable_warnings": True, **(GRID if kind == "images" else {})}
    here, _ = metric_and_scores(DataSensitivityConsistency(**metric), model, x, y)
    there, _ = metric_and_scores(DataSensitivityConsistency(**metric), on(device, model), x, y)
    assert_same_records(there.sensitivities, here.sensitivities)


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("kind", CALLS)
def test_parameter_senc(device, kind, estimator):
    make, shape = CALLS[kind]
    model, x, y = make(), inputs(*shape), classes(shape[0])
    metric = {"n_masks": 600, "estimator": estimator, "disable_warnings": True}
    here, _ = metric_and_scores(ParameterSensitivityConsistency(**metric), model, x, y)
    there, _ = metric_and_scores(ParameterSensitivityConsistency(**metric), on(device, model), x, y)
    assert {name: strategy.name for name, strategy in there.strategies.items()} == dict.fromkeys(here.strategies, "hooks")
    for layer, records in here.sensitivities.items():
        assert_same_records(there.sensitivities[layer], records)


@pytest.mark.parametrize("method", METHODS)
def test_data_senc_of_a_network(device, method):
    model, x, y = network("ResNet10"), inputs(3, 3, 16, 16), classes(3)
    layer = {"layer": "layer1"} if method == "GradCAM" else {}
    explaining = {"explain_func": explain, "explain_func_kwargs": {"method": method, **layer}}
    metric = {"n_masks": 100, "disable_warnings": True, **GRID}
    here, _ = metric_and_scores(DataSensitivityConsistency(**metric), model, x, y, **explaining)
    there, _ = metric_and_scores(DataSensitivityConsistency(**metric), on(device, model), x, y, **explaining)
    assert_same_records(there.sensitivities, here.sensitivities)


@pytest.mark.parametrize("max_batch_size", [7, 64])
def test_scores_do_not_depend_on_the_size_of_passes(device, max_batch_size):
    model, x, y = on(device, image_model(channels=3, size=16)), inputs(5, 3, 16, 16), classes(5)
    for make, more in ((DataSensitivityConsistency, GRID), (ParameterSensitivityConsistency, {})):
        metric = {"n_masks": 200, "disable_warnings": True, **more}
        _, automatic = metric_and_scores(make(**metric), model, x, y)
        _, scores = metric_and_scores(make(**metric, max_batch_size=max_batch_size), model, x, y)
        np.testing.assert_allclose(scores, automatic, atol=1e-6)


def test_a_second_look_sees_weights_on_the_device(device):
    """Values of weights are compared there."""
    model, x, y = on(device, image_model(channels=3, size=16)), inputs(2, 3, 16, 16), classes(2)
    n_samples = []

    def explain_func(**kwargs):
        n_samples.append(len(kwargs["inputs"]))
        return explain(**kwargs, method="Saliency")

    def n_run(metric):
        n_samples.clear()
        metric(model, x, y, explain_func=explain_func)
        return sum(n_samples)

    metric = DataSensitivityConsistency(n_masks=200, disable_warnings=True, **GRID)
    whole = n_run(metric)
    assert n_run(metric.top_k(1)) < whole / 2
    with torch.no_grad():
        next(model.parameters()).view(-1)[-1] += 1e-3
    assert n_run(metric.top_k(1)) == whole


def test_compare(device):
    smooth = torch.nn.functional.interpolate(torch.tensor(inputs(4, 3, 5, 5)), (32, 32), mode="bilinear")
    model, x, y = image_model(channels=3, size=32), smooth.numpy(), classes(4)
    arguments = {"methods": ["Saliency", "GradCAM", "random"], "n_masks": 100}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        here = compare(model, x, y, **arguments)
        there = compare(on(device, model), x, y, **arguments)
    assert not (there.scores.failure != "").any()
    merged = here.scores.merge(there.scores, on=["metric", "method", "image"], suffixes=("", "_there"))
    senc = merged[merged.metric.str.contains("SenC")]
    np.testing.assert_allclose(senc.score_there, senc.score, atol=0.1)
