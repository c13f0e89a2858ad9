"""Images with channels last in memory: where model and method take them, and with the same results."""

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain
from tests import networks
from tests.conftest import classes, gradient, image_model, inputs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
METHODS = [{"method": method} for method in ("Saliency", "IG", "DeepLift", "GuidedBackprop")]
METHODS.append({"method": "GradCAM", "layer": "0"})  # of the input's size: ties of upsampled maps hang on rounding


def metric(kind, **parameters):
    if kind == "data":
        parameters = {"perturb_baseline": "uniform", **parameters}  # level regions are level but for rounding
        return DataSensitivityConsistency(60, segment_func="grid", segment_func_kwargs={"patch_size": 4}, **parameters)
    return ParameterSensitivityConsistency(60, layers="linear" if kind == "late layer" else "first_conv", **parameters)


def watched(model, x, kind, explain_func=gradient, **kwargs):
    """A call, and of each pass of two images or more whether they came with channels last."""
    layouts, senc = [], metric(kind)

    def look(module, args):
        if len(args[0]) > 1:
            layouts.append(args[0].is_contiguous(memory_format=torch.channels_last))

    with model.register_forward_pre_hook(look):
        senc(model, x, classes(len(x)), explain_func=explain_func, explain_func_kwargs=kwargs)
    return senc, layouts


def sensitivities(senc):
    found = senc.sensitivities
    records = found if isinstance(found, list) else [record for layer in found.values() for record in layer]
    return [values for record in records for values in (record.prediction, record.explanation)]


@pytest.mark.parametrize("kind", ["data", "first layer", "late layer"])
@pytest.mark.parametrize("how", METHODS, ids=lambda how: how["method"])
def test_results_are_those_of_plain_images(monkeypatch, kind, how):
    model, x = networks.randomised(networks.PlainCNN()).eval(), inputs(3, 3, 12, 12)
    found, layouts = watched(model, x, kind, explain, **how)
    assert np.mean(layouts) > 0.6  # not in first looks
    monkeypatch.setattr("quantus_senc._metric.in_faster_layout", lambda subject, *args: subject)
    expected, layouts = watched(model, x, kind, explain, **how)
    assert not any(layouts)
    for a, b in zip(sensitivities(found), sensitivities(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_images_in_other_precisions_stay_plain(dtype):
    _, layouts = watched(image_model(3).to(dtype), inputs(3, 3, 8, 8), "data")
    assert not any(layouts)


def test_quantus_gives_the_model_what_it_is_given():
    _, layouts = watched(image_model(3), inputs(3, 3, 8, 8), "data", quantus.explain, method="Saliency", device="cpu")
    assert np.mean(layouts) > 0.6


class Viewing(nn.Module):
    """Flattens as only plain tensors can be."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.out = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4 * 64, 3)

    def forward(self, x):
        return self.out(self.conv(x).relu().view(len(x), -1))


class ByChannel(Viewing):
    """Each channel by itself; of a single image, any layout can be seen so."""

    def __init__(self):
        super().__init__()
        self.conv, self.out = nn.Conv2d(1, 4, 3, padding=1), nn.Linear(3 * 4 * 64, 3)

    def forward(self, x):
        return self.out(self.conv(x.view(-1, 1, 8, 8)).relu().reshape(len(x), -1))


@pytest.mark.parametrize("network", [Viewing, ByChannel])
@pytest.mark.parametrize("kind", ["data", "first layer"])
def test_models_that_take_plain_images_alone_get_these(kind, network):
    x = inputs(3, 3, 8, 8)
    _, layouts = watched(network().eval(), x, kind)
    assert sum(layouts) <= 1  # in which it was tried


def by_memory(model, inputs, targets):
    """Attributions by place in memory; none of a blank image."""
    places = torch.arange(inputs.numel(), dtype=inputs.dtype).as_strided(inputs.shape, inputs.stride())
    return places * inputs.abs().sum((1, 2, 3), keepdim=True)


@pytest.mark.parametrize("made", [np.asarray, lambda x: np.moveaxis(np.moveaxis(x, 1, -1).copy(), -1, 1)])
def test_methods_that_look_at_memory_get_plain_images(made):
    _, layouts = watched(image_model(3), made(inputs(3, 3, 8, 8)), "data", by_memory)
    assert sum(layouts) <= 1


@pytest.mark.parametrize("value", [0, np.nan])
def test_a_first_image_that_tells_nothing_proves_nothing(value):
    x = inputs(3, 3, 8, 8)
    x[0] = value
    _, layouts = watched(image_model(3), x, "data", by_memory)
    assert not any(layouts)


def test_baselines_are_made_of_plain_images():
    x, seen = inputs(2, 3, 8, 8), []

    def middle(image):
        seen.append(image.is_contiguous())
        return image.view(-1).median()

    senc = metric("data", perturb_baseline=middle)
    senc(image_model(3), x, classes(2), explain_func=gradient)
    assert all(seen)


class Watching:
    """Attributions from what a layer returned, by a hook that is there since the first call."""

    hook = None

    def __call__(self, model, inputs, targets):
        self.hook = self.hook or model.conv.register_forward_hook(self.keep)
        self.seen = None
        model(inputs)
        return self.seen.detach().mean(1, keepdim=True)

    def keep(self, module, args, output):
        self.seen = output


def test_hooks_that_a_method_sets_at_its_first_call_stay(monkeypatch):
    model, x = Viewing().eval(), inputs(3, 3, 8, 8)
    found, _ = watched(model, x, "data", Watching())
    monkeypatch.setattr("quantus_senc._metric.in_faster_layout", lambda subject, *args: subject)
    expected, _ = watched(model, x, "data", Watching())
    for a, b in zip(sensitivities(found), sensitivities(expected), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(("error", "call"), [(ValueError, 2), (TimeoutError, 2), (TimeoutError, 3)])
def test_errors_of_a_single_call_are_not_hidden(error, call):
    calls = []

    def failing(model, inputs, targets):
        calls.append(len(inputs))
        if len(calls) == call:
            raise error("once")
        return gradient(model, inputs, targets)

    with pytest.raises(error, match="once"):
        metric("data")(image_model(3), inputs(3, 3, 8, 8), classes(3), explain_func=failing)


@pytest.mark.parametrize("kind", ["data", "first layer"])
def test_methods_for_one_image_at_a_time(kind):
    def one(model, inputs, targets):
        if len(inputs) > 1:
            raise ValueError("one at a time")
        return gradient(model, inputs, targets)

    senc = metric(kind, max_batch_size=1)
    scores = senc(image_model(3), inputs(1, 3, 8, 8), classes(1), explain_func=one)
    assert np.isfinite(scores).all()


def test_a_method_that_alters_a_model_before_it_fails():
    def of_doubled_weights(model, inputs, targets):
        with torch.no_grad():
            model[0].weight *= 2
        maps = gradient(model, inputs, targets)
        maps = maps.view(len(maps), -1).view(maps.shape)
        with torch.no_grad():
            model[0].weight /= 2
        return maps

    model, doubled, x = image_model(3), image_model(3), inputs(3, 3, 8, 8)
    doubled[0].weight.data *= 2
    senc, layouts = watched(model, x, "data", of_doubled_weights)
    expected, _ = watched(model, x, "data", lambda model, *args, **kwargs: gradient(doubled, *args, **kwargs))
    assert sum(layouts) <= 2
    for a, b in zip(sensitivities(senc), sensitivities(expected), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
