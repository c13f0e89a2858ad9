"""What `compare` hands on to metrics and methods."""

import captum.attr
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, compare
from tests.comparison.test_workers import Engine
from tests.small_models import gradient, image_model, inputs

X, Y = inputs(3, 2, 8, 8), np.array([0, 1, 2])
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}}
SENC = DataSensitivityConsistency(60, 0.5, estimator="regression", disable_warnings=True, **GRID)


@pytest.fixture(scope="module")
def model():
    return image_model(channels=2)


def scores(model, methods, x=X, metrics=None, **more):
    result = compare(model, x, Y, methods=methods, metrics=metrics or {"SenC": SENC}, n_masks=60, block_size=2, **more)
    assert not result.scores["failure"].any(), result.scores["failure"].unique()
    return result.scores.set_index(["metric", "method"])["score"]


class Seen:
    """A metric that notes what it is called with."""

    def __init__(self):
        self.softmax = []

    def __call__(self, x_batch, softmax=None, **kwargs):
        self.softmax.append(softmax)
        return [0.0] * len(x_batch)


def test_softmax(model):
    """Metrics take what they take by themselves, unless they are told."""
    for softmax in (True, False, None):
        seen = Seen()
        found = scores(model, ["Saliency"], metrics={"SenC": SENC, "seen": seen}, softmax=softmax)
        alone = SENC(model, X, Y, explain_func=saliency, softmax=softmax is not False)
        np.testing.assert_allclose(found["SenC", "Saliency"], alone)
        assert seen.softmax == [softmax, softmax]  # of each block


def saliency(model, inputs, targets, **kwargs):
    maps = captum.attr.Saliency(model).attribute(torch.as_tensor(inputs), target=torch.as_tensor(targets))
    return maps.sum(1, keepdim=True).numpy()


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return len(X)

    def __getitem__(self, place):
        return np.moveaxis(X, 1, -1)[place], int(Y[place])


def test_channels_last(model):
    """In arrays and in datasets; the model gets them first."""
    metrics = {"SenC": SENC, "flipping": "Pixel Flipping", "MPRT": "MPRT"}
    expected = scores(model, ["Saliency"], metrics=metrics)
    pd.testing.assert_series_equal(
        scores(model, ["Saliency"], np.moveaxis(X, 1, -1), metrics=metrics, channel_first=False), expected
    )
    result = compare(model, Pairs(), methods=["Saliency"], metrics=metrics, block_size=2, channel_first=False, n_masks=60)
    pd.testing.assert_series_equal(result.scores.set_index(["metric", "method"])["score"], expected)


def test_axes_are_never_moved_by_a_guess():
    """Series with more channels than steps."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv1d(12, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)).eval()
    assert len(scores(model, ["Saliency"], inputs(3, 12, 6), metrics={"SenC": "SenC", "flipping": "Pixel Flipping"})) == 6


def test_labels_of_features_by_block(model):
    labels = np.arange(3 * 64).reshape(3, 8, 8) % np.array([5, 7, 9])[:, None, None]
    found = scores(model, ["Saliency"], custom_batch=labels)
    np.testing.assert_allclose(found, SENC(model, X, Y, explain_func=saliency, custom_batch=labels))


class Inside:
    """The share of the map within the object."""

    def __call__(self, a_batch, s_batch, **kwargs):
        return (a_batch.reshape(len(a_batch), -1) * s_batch.reshape(len(s_batch), -1)).sum(1)


def test_masks_of_objects_by_block(model):
    """With their channels where the images have theirs."""
    masks = np.random.default_rng(0).random((3, 1, 8, 8)) > 0.5
    call = {"model": model, "methods": {"mine": saliency}, "metrics": {"inside": Inside()}}
    expected = (saliency(model, X, Y) * masks).sum((1, 2, 3))
    np.testing.assert_allclose(scores(**call, s_batch=masks), expected, rtol=1e-6)
    last = {"x": np.moveaxis(X, 1, -1), "s_batch": np.moveaxis(masks, 1, -1), "channel_first": False}
    np.testing.assert_allclose(scores(**call, **last), expected, rtol=1e-6)


def smooth(model):
    return captum.attr.NoiseTunnel(captum.attr.Saliency(model))


CAPTUM = {
    "Saliency": lambda model: captum.attr.Saliency(model),
    "InputXGradient": lambda model: captum.attr.InputXGradient(model),
    "DeepLift": lambda model: captum.attr.DeepLift(model),
    "GuidedGradCam": lambda model: captum.attr.GuidedGradCam(model, model[0]),
    "NoiseTunnel": smooth,
}


@pytest.mark.parametrize("name", CAPTUM)
def test_methods_of_captum(model, name):
    """As a function of ours that makes the method anew for each model: also for copies with random weights."""
    kwargs = {"nt_samples": 2, "stdevs": 0.0} if name == "NoiseTunnel" else {}

    def by_hand(model, inputs, targets, **more):
        return CAPTUM[name](model).attribute(inputs, target=targets, **kwargs)

    parameter = ParameterSensitivityConsistency(40, estimator="regression", layers="conv", disable_warnings=True)
    metrics = {"SenC": SENC, "layers": parameter, "MPRT": "MPRT", "flipping": "Pixel Flipping"}
    found = scores(model, {"captum": (CAPTUM[name](model), kwargs), "hand": by_hand}, metrics=metrics)
    np.testing.assert_allclose(found.xs("captum", level="method"), found.xs("hand", level="method"), atol=1e-6)


def test_a_method_of_captum_without_a_model():
    with pytest.raises(ValueError, match=r"captum.attr.Saliency was made of .*; make it of a torch.nn.Module"):
        compare(image_model(), inputs(1, 1, 8, 8), [0], methods={"mine": captum.attr.Saliency(lambda x: x)}, metrics="SenC")


class Inverted(nn.Sequential):
    """Other outputs from modules of the same names."""

    def forward(self, x):
        return -super().forward(x)


@pytest.mark.parametrize("other", [lambda model: Inverted(*model), lambda model: nn.Sequential(model, nn.Softmax(1))])
def test_a_method_of_captum_for_another_model(model, other):
    methods = {"mine": captum.attr.Saliency(other(model))}
    failures = compare(model, X, Y, methods=methods, metrics={"SenC": SENC}).scores["failure"]
    assert set(failures) == {
        "the method failed: ValueError: captum.attr.Saliency was made of another model than this one; make it of this model"
    }


def test_a_method_of_captum_can_be_sent_after_it_was_used(model):
    method = captum.attr.GuidedGradCam(model, model[0])
    expected = scores(model, {"mine": method}, metrics={"MPRT": "MPRT"})
    pd.testing.assert_series_equal(scores(model, {"mine": method}, metrics={"MPRT": "MPRT"}, executor=Engine()), expected)


WRONG = {
    "custom_batch of shape .* must have a label for each position": {"custom_batch": np.zeros((3, 4, 4), dtype=int)},
    "softmax='yes' must be True, False, or None": {"softmax": "yes"},
    "notes hold 'model', which is the name of a setting": {"notes": {"model": "resnet50"}},
    "notes hold 'seconds', which is the name of a setting": {"notes": {"seconds": "3"}},
    "notes hold 'a': 3; names and notes must be strings": {"notes": {"a": 3}},
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments_are_said_before_anything_runs(model, tmp_path, message):
    with pytest.raises(ValueError, match=message):
        compare(model, X, Y, methods="Saliency", metrics={"SenC": SENC}, folder=tmp_path / "run", **WRONG[message])
    assert not (tmp_path / "run").exists()


def test_labels_and_masks_are_told_apart(model, tmp_path):
    labels = np.arange(3 * 64).reshape(3, 8, 8) % 5
    arguments = {"methods": "Saliency", "metrics": {"SenC": SENC}, "folder": tmp_path}
    compare(model, X, Y, s_batch=labels, **arguments)
    with pytest.raises(ValueError, match="the images with numbers 0 to 63"):
        compare(model, X, Y, custom_batch=labels, **arguments)


@pytest.mark.parametrize("takes", [torch.Tensor, np.ndarray])
def test_methods_get_tensors_or_arrays_and_return_either(model, takes):
    """Also where metrics of Quantus have arrays and want arrays."""
    given = set()

    def mine(model, inputs, targets):
        given.add(type(inputs))
        if not isinstance(inputs, takes):
            raise TypeError("not these")
        maps = gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets))
        return maps if takes is torch.Tensor else maps.numpy()

    metrics = {"SenC": SENC, "MPRT": "MPRT", "flipping": "Pixel Flipping"}
    found = scores(model, {"mine": mine, "plain": gradient}, metrics=metrics)
    np.testing.assert_allclose(found.xs("mine", level="method"), found.xs("plain", level="method"), atol=1e-6)
    assert given == ({torch.Tensor} if takes is torch.Tensor else {torch.Tensor, np.ndarray})
