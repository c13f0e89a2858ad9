"""Occlusion, ablation, KernelSHAP, LIME and RISE: the same as by Captum and by slow loops, in passes of bounded size."""

import captum
import numpy as np
import pytest
import quantus
import torch
from captum._utils.models.linear_model import SkLearnLasso
from torch import nn

from quantus_senc import DataSensitivityConsistency, adapt, explain
from quantus_senc.core.masks import keep_masks
from quantus_senc.core.segment import segment
from quantus_senc.explainers.passes import largest_pass
from tests.explainers.models import PERTURBING, network, snapshot

FEW = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 6}}  # nine features
KEYWORDS = {
    "Occlusion": {"window": 6},
    "FeatureAblation": FEW,
    "KernelShap": FEW | {"n_samples": 20},
    "Lime": FEW | {"n_samples": 20, "alpha": 0.0001},
    "RISE": FEW | {"n_samples": 20},
}
RANDOM = ["KernelShap", "Lime", "RISE"]


@pytest.fixture
def model():
    return network("CNN")


class Counting(nn.Module):
    """Notes how many samples each pass has."""

    def __init__(self, model):
        super().__init__()
        self.model = model
        self.model.register_forward_hook(self.note)
        self.sizes = []

    def note(self, module, args, output):
        self.sizes.append(len(args[0]))

    def forward(self, x):
        return self.model(x)


def patches(x, n_channels=1):
    return segment(x, "grid", {"patch_size": 6})[:, None].expand(-1, n_channels, -1, -1)


def by_captum(method, model, x, y, seed=0):
    """One image at a time, one sample a pass."""
    maps = []
    for image, target in zip(x.split(1), y.tolist(), strict=True):
        torch.manual_seed(seed)
        call = {"target": target, "baselines": 0.5}
        if method == "Occlusion":
            maps.append(captum.attr.Occlusion(model).attribute(image, (3, 6, 6), strides=(3, 3, 3), **call))
            continue
        call |= {"feature_mask": patches(image)} | ({"n_samples": 20} if method in RANDOM else {})
        lasso = {"interpretable_model": SkLearnLasso(alpha=0.0001)} if method == "Lime" else {}
        maps.append(getattr(captum.attr, method)(model, **lasso).attribute(image, **call))
    return torch.cat(maps).sum(1, keepdim=True).detach()


@pytest.mark.parametrize("method", ["Occlusion", "FeatureAblation", "KernelShap", "Lime"])
def test_the_same_as_captum_sample_by_sample(method, model, x, y):
    maps = explain(model, x, y, method=method, baseline=0.5, **KEYWORDS[method])
    with torch.random.fork_rng():
        expected = by_captum(method, model, x, y)
    assert expected.flatten(1).std(1).min() > 0
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-4 * float(expected.abs().max()))


@pytest.mark.parametrize("softmax", [True, False])
def test_rise_is_the_mean_prediction_over_masks_that_keep_a_feature(softmax, model, x, y):
    labels = patches(x)[:, 0]
    masks = keep_masks(3, torch.zeros(40, dtype=torch.int64), torch.arange(40), 9, 0.3)
    expected = torch.zeros(3, 16, 16)
    for image in range(3):
        for feature in range(9):
            predictions = []
            for mask in masks[masks[:, feature]]:
                masked = torch.where(mask[labels[image]], x[image], torch.tensor(0.5))
                scores = model(masked[None])[0]
                predictions.append(float((scores.softmax(0) if softmax else scores)[y[image]]))
            expected[image][labels[image] == feature] = np.mean(predictions)
    call = FEW | {"n_samples": 40, "mask_rate": 0.3, "baseline": 0.5, "seed": 3, "softmax": softmax}
    torch.testing.assert_close(explain(model, x, y, method="RISE", **call)[:, 0], expected, rtol=1e-4, atol=1e-6)


def test_rise_takes_the_prediction_that_a_model_is_adapted_to(model, x, y):
    labels = explain(adapt(model, activation="sigmoid"), x, y, method="RISE", **KEYWORDS["RISE"])
    scores = explain(model, x, y, method="RISE", softmax=False, **KEYWORDS["RISE"])
    assert (labels != scores).all()
    assert ((labels > 0) & (labels < 1)).all()


@pytest.mark.parametrize("method", PERTURBING)
def test_a_map_is_a_function_of_its_image(method, model, x, y):
    """It depends neither on the rest of the batch, nor on what was drawn before, nor on whether it is the first call."""
    maps = explain(model, x, y, method=method, **KEYWORDS[method])
    torch.rand(7)
    np.random.rand(7)
    alone = explain(model, x[1:2], y[1:2], method=method, **KEYWORDS[method])
    torch.testing.assert_close(alone, maps[1:2], rtol=1e-3, atol=1e-5 * float(maps.abs().max()))


@pytest.mark.parametrize("method", RANDOM)
def test_the_seed_is_a_keyword_and_generators_go_on(method, model, x, y):
    first, other = (explain(model, x, y, method=method, seed=seed, **KEYWORDS[method]) for seed in (0, 1))
    assert not torch.allclose(first, other)
    states = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    explain(model, x, y, method=method, **KEYWORDS[method])
    assert torch.equal(torch.random.get_rng_state(), states[0])
    np.testing.assert_array_equal(np.random.get_state()[1], states[1])


@pytest.mark.parametrize("method", PERTURBING)
@pytest.mark.parametrize("most", [1, 7, 100])
def test_passes_are_bounded_and_maps_do_not_depend_on_the_bound(method, most, model, x, y, monkeypatch):
    expected = explain(model, x, y, method=method, **KEYWORDS[method])
    for place in ("passes", "surrogates"):
        monkeypatch.setattr(f"quantus_senc.explainers.{place}.largest_pass", lambda inputs: max(len(inputs), most))
    counting = Counting(model)
    maps = explain(counting, x, y, method=method, **KEYWORDS[method])
    assert max(counting.sizes) <= max(most, len(x))
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


def test_integrated_gradients_take_no_more_samples_than_the_bound(model, x, y, monkeypatch):
    expected = explain(model, x, y, method="IntegratedGradients", n_steps=30)
    monkeypatch.setattr("quantus_senc.explainers.gradients.largest_pass", lambda inputs: 2 * len(inputs))
    counting = Counting(model)
    maps = explain(counting, x, y, method="IntegratedGradients", n_steps=30)
    assert max(counting.sizes) == 6
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)
    counting.sizes.clear()
    explain(counting, x, y, method="IntegratedGradients", n_steps=30, internal_batch_size=9)
    assert max(counting.sizes) == 9


@pytest.mark.parametrize(
    ("shape", "most"), [((64, 3, 224, 224), 64), ((1, 3, 224, 224), 27), ((4, 1, 28, 28), 512), ((1, 3, 4000, 4000), 1)]
)
def test_a_pass_has_as_many_samples_as_inputs_or_few_bytes(shape, most):
    assert largest_pass(torch.empty(shape, device="meta")) == most


def test_features_are_those_of_senc_by_default(model):
    """Superpixels of 50 pixels, but no more than the samples afford."""
    rows = torch.linspace(0, 1, 40)
    x = torch.stack([rows.expand(40, -1), rows.expand(40, -1).T, rows.expand(40, -1).flip(1)])[None]
    y = torch.tensor([1])
    for n_masks in (130, 500):
        metric = DataSensitivityConsistency(n_masks, disable_warnings=True)
        metric(model, x, y, explain_func=explain)
        m = len(metric.sensitivities[0].prediction)
        maps = explain(model, x, y, method="RISE", n_samples=n_masks, softmax=False)[0, 0]
        assert len(maps.unique()) == m
        assert m <= n_masks / 4
    assert len(explain(model, x, y, method="FeatureAblation", reduce_axes=())[0, 0].unique()) == m


@pytest.mark.parametrize("method", PERTURBING)
def test_other_inputs(method):
    torch.manual_seed(0)
    keywords = {"n_samples": 20} if method in RANDOM else {}
    keywords |= {"alpha": 0.0001} if method == "Lime" else {}
    for shape in ((2, 6), (2, 2, 40), (2, 1, 4, 8, 8)):
        x = torch.rand(shape)
        model = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 3))
        maps = explain(model, x, torch.tensor([0, 2]), method=method, **keywords)
        assert maps.shape == (2, *shape[1:]) if len(shape) == 2 else (2, 1, *shape[2:])
        assert maps.isfinite().all()


def test_a_linear_model_of_a_table_is_explained_exactly():
    torch.manual_seed(0)
    model, x = nn.Linear(5, 3), torch.rand(2, 5)
    expected = model.weight[torch.tensor([0, 2])].detach() * x
    for method in ("Occlusion", "FeatureAblation", "KernelShap"):
        torch.testing.assert_close(explain(model, x, torch.tensor([0, 2]), method=method), expected, rtol=1e-4, atol=1e-5)


def test_the_shapley_value_of_a_single_feature(model, x, y):
    """The second image has several features."""

    def halves(image):
        return np.arange(16) // 8 * np.ones((16, 1), int) * int(torch.equal(image, x[1]))

    maps = explain(model, x, y, method="KernelShap", segment_func=halves, reduce_axes=())
    falls = (model(x) - model(torch.zeros_like(x))).gather(1, y[:, None]).detach()
    torch.testing.assert_close(maps[:, 0, 0, :1][[0, 2]], falls[[0, 2]])
    torch.testing.assert_close(maps[1, 0, 0, 0] + maps[1, 0, 0, -1], falls[1, 0], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", PERTURBING)
def test_the_model_is_not_altered(method, x, y):
    model = network("ResNet10").train()
    before = snapshot(model)
    explain(model, x, y, method=method, **KEYWORDS[method])
    assert snapshot(model) == before
    with pytest.raises(Exception, match=r"out of bounds|out of range|index"):
        explain(model, x, y + 5, method=method, **KEYWORDS[method])
    assert snapshot(model) == before


@pytest.mark.parametrize("method", PERTURBING)
def test_prepared_methods_give_the_same_maps(method, model, x, y):
    prepared = explain.prepare(model, x, method=method, **KEYWORDS[method])
    assert torch.equal(prepared(model, x, y), explain(model, x, y, method=method, **KEYWORDS[method]))


@pytest.mark.parametrize("method", ["Occlusion", "FeatureAblation", "RISE"])
def test_in_senc(method, model, x, y):
    senc = DataSensitivityConsistency(20, 0.5, segment_func="grid", segment_func_kwargs={"patch_size": 8})
    kwargs = {"method": method, **KEYWORDS[method]}
    assert np.isfinite(senc(model, x, y, explain_func=explain, explain_func_kwargs=kwargs)).all()


@pytest.mark.parametrize("name", ["Lime", "KernelShap", "Occlusion", "FeatureAblation", "kernel SHAP", "LIME", "rise"])
def test_names(name, model, x, y):
    keywords = {} if name.lower() in ("occlusion", "featureablation") else {"n_samples": 4}
    assert explain(model, x[:1], y[:1], method=name, **keywords).shape == (1, 1, 16, 16)


def test_occlusion_with_the_windows_of_quantus(model, x, y):
    expected = quantus.explain(model, x, y, method="Occlusion", window=(3, 4, 4), reduce_axes=())
    maps = explain(model, x, y, method="Occlusion", window=4, strides=1, reduce_axes=())
    np.testing.assert_allclose(maps, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "Lime", "n_samples": 1}, "n_samples=1 must be an integer from 2"),
        ({"method": "Lime", "alpha": -1}, "alpha=-1 must be a finite number, 0 or more"),
        ({"method": "KernelShap", "seed": -1}, "seed=-1 must be an integer from 0"),
        ({"method": "RISE", "seed": 0.5}, "seed=0.5 must be an integer"),
        ({"method": "RISE", "mask_rate": 1}, "mask_rate=1 must be a probability between 0 and 1"),
        ({"method": "RISE", "segment_func": "gird"}, "unknown segment_func 'gird'; did you mean 'grid'"),
        ({"method": "RISE", "segment_func": "window"}, "segment_func='window' does not fit inputs of shape"),
        ({"method": "Occlusion", "window": 17}, "window=17 must be an integer from 1 to 16"),
        ({"method": "Occlusion", "window": (3, 4, 4)}, r"window=\(3, 4, 4\) must be an integer, or one for each of 2 axes"),
        ({"method": "Occlusion", "window": 4, "strides": 5}, "strides=5 must be an integer from 1 to 4"),
        ({"method": "FeatureAblation", "n_samples": 5}, "unknown keyword of method='FeatureAblation' 'n_samples'"),
    ],
)
def test_wrong_arguments(kwargs, message, model, x, y):
    with pytest.raises(ValueError, match=message):
        explain(model, x, y, **kwargs)
