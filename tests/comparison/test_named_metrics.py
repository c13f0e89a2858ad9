"""The default metrics: one float an image of whatever kind, the same every time, and equal to loops by hand."""

import functools
import warnings
from itertools import pairwise

import numpy as np
import pytest
import quantus
import torch
from scipy.stats import spearmanr
from torch import nn

from quantus_senc import CONTROLS, explain_fixed_random, explain_random
from quantus_senc.comparison.named_metrics import available_metrics, default_metrics
from quantus_senc.comparison.quantus_corrections import SmoothMPRT, map_entropy, rank_similarity
from quantus_senc.comparison.quantus_metrics import features_in_step
from quantus_senc.comparison.quantus_per_image import PerImage
from tests.small_models import classes, gradient, image_model, inputs, series_model, table_model

GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
MODELS = {
    "images": (image_model(channels=3), np.abs(inputs(3, 3, 8, 8)), GRID),
    "series": (series_model(), inputs(3, 2, 24), {}),
    "table": (table_model(), inputs(3, 6), {}),
}
Y = classes(3)


def explain(model, inputs, targets, **kwargs):
    return gradient(model, inputs, targets).numpy()


def scores(metric, model, x, explain=explain, y=Y):
    a_batch = np.asarray(explain(model, x, y))
    return metric(
        model=model, x_batch=x, y_batch=y, a_batch=a_batch, s_batch=None, explain_func=explain, explain_func_kwargs={}
    )


@pytest.mark.parametrize("kind", MODELS)
def test_every_default_metric_gives_a_float_an_image(kind):
    model, x, data = MODELS[kind]
    metrics = default_metrics(x, model, n_masks=50, n_classes=3, **data)
    missing = [] if kind == "images" else ["Region Perturbation"]
    assert list(metrics) == [name for name in available_metrics() if name not in missing]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", category=RuntimeWarning)
        for name, metric in metrics.items():
            actual = scores(metric, model, x)
            assert len(actual) == 3, name
            assert all(isinstance(score, float) and np.isfinite(score) for score in actual), (name, actual)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_every_default_metric_takes_every_control(control):
    model, x, data = MODELS["images"]
    for name, metric in default_metrics(x, model, n_masks=50, n_classes=3, **data).items():
        assert [type(score) for score in scores(metric, model, x, control)] == [float] * 3, name


def test_scores_are_the_same_every_time_and_leave_generators_and_model_alone():
    model, x, data = MODELS["images"]
    model = nn.Sequential(*model).train()
    weights = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    metrics = default_metrics(x, model, n_masks=50, n_classes=3, **data)
    for metric in (metric for metric in metrics.values() if isinstance(metric, PerImage)):
        first = scores(metric, model, x)
        np.random.seed(1)
        torch.manual_seed(1)
        expected = np.random.random(3), torch.rand(3)
        np.random.seed(1)
        torch.manual_seed(1)
        assert scores(metric, model, x) == first
        np.testing.assert_array_equal(np.random.random(3), expected[0])
        assert torch.equal(torch.rand(3), expected[1])
    assert model.training
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.state_dict().items())


def test_keywords_of_the_caller_stay_as_they_are():
    model, x, data = MODELS["images"]
    kwargs = {"method": "Saliency"}
    metric = default_metrics(x, model, n_masks=50, n_classes=3, **data)["MPRT"]
    metric(model, x, Y, explain_func=quantus.explain, explain_func_kwargs=kwargs, device="cpu")
    assert kwargs == {"method": "Saliency"}


def probability(model, x, y):
    return model(torch.tensor(x)).softmax(-1).detach().numpy()[np.arange(len(x)), y]


def test_area_under_pixel_flipping_is_that_of_a_loop():
    model, x, _ = MODELS["images"]
    metric = default_metrics(x, model, n_classes=3)["Pixel Flipping"]
    step = metric.metric.features_in_step
    expected = []
    for image, y in zip(x, Y, strict=True):
        a = explain(model, image[None], np.array([y])).ravel()
        flat, curve = image.ravel().copy(), []
        for chosen in np.split(np.argsort(-a), len(a) // step):
            flat[chosen] = flat.min()
            curve.append(probability(model, flat.reshape(1, *image.shape), [y])[0])
        expected.append(np.mean([(a + b) / 2 for a, b in pairwise(curve)]))
    np.testing.assert_allclose(scores(metric, model, x), expected, rtol=1e-5)


@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 8), (3, 10)], ids=["grey", "colour", "padded"])
def test_region_perturbation_is_that_of_a_loop(channels, size):
    model, x = image_model(channels, size), np.abs(inputs(3, channels, size, size))
    metric = default_metrics(x, model, n_classes=3)["Region Perturbation"]
    metric.metric.patch_size = side = 4
    before = (-size % side) // 2
    grid = (np.arange(size) + before) // side
    patches = grid[:, None] * (grid.max() + 1) + grid
    expected = []
    for image, y in zip(x, Y, strict=True):
        a = explain(model, image[None], np.array([y]))[0].sum(0)
        order = np.argsort([-a[patches == patch].sum() for patch in range(patches.max() + 1)])
        drops, perturbed = [0.0], image.copy()
        for patch in order:
            perturbed[:, patches == patch] = image.min()
            drops.append(probability(model, image[None], [y])[0] - probability(model, perturbed[None], [y])[0])
        expected.append(np.mean(drops))
    np.testing.assert_allclose(scores(metric, model, x), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 224, 224), (2, 24), (1, 1000), (1, 97)])
def test_pixel_flipping_takes_about_fifty_steps(shape):
    step = features_in_step((5, *shape))
    assert np.prod(shape[1:]) % step == 0
    assert 25 <= np.prod(shape) / step <= 100


def test_columns_are_flipped_one_by_one():
    assert features_in_step((5, 200)) == 1


def test_subsets_are_smaller_than_the_input():
    for shape, size in {(2, 6): 2, (2, 1, 4, 4): 4, (2, 3, 224, 224): 224}.items():
        metric = default_metrics(np.zeros(shape), image_model(), n_classes=3)["Faithfulness Correlation"]
        assert metric.metric.subset_size == size


def test_smooth_mprt_explains_by_the_method_that_it_is_given():
    model, x, _ = MODELS["images"]
    metric = default_metrics(x, model, n_classes=3)["Smooth MPRT"]
    np.testing.assert_allclose(scores(metric, model, x, explain_fixed_random), 1)
    seen = []

    def spy(model, inputs, targets, **kwargs):
        seen.append((inputs.dtype, kwargs))
        return explain(model, inputs, targets)

    smooth = PerImage(SmoothMPRT(nr_samples=4, return_last_correlation=True, disable_warnings=True))
    smooth(model, x, Y, a_batch=x, explain_func=spy, explain_func_kwargs={"n": 3})
    assert set(map(str, seen)) == {str((np.dtype(np.float32), {"n": 3}))}
    assert len(seen) % 4 == 0


def test_smooth_mprt_without_noise_is_mprt():
    model, x, _ = MODELS["images"]
    last = {"return_last_correlation": True, "disable_warnings": True}
    smooth, plain = PerImage(SmoothMPRT(nr_samples=3, noise_magnitude=0.0, **last)), PerImage(quantus.MPRT(**last))
    np.testing.assert_allclose(scores(smooth, model, x), scores(plain, model, x), atol=1e-3)


def test_skipping_layers_changes_nothing_that_is_returned():
    model, x, _ = MODELS["images"]
    metric = default_metrics(x, model, n_classes=3)["MPRT"]
    every = PerImage(quantus.MPRT(return_last_correlation=True, disable_warnings=True))
    np.testing.assert_allclose(scores(metric, model, x), scores(every, model, x), atol=1e-12)


@pytest.mark.filterwarnings("ignore:An input array is constant")
def test_one_constant_map_costs_the_others_nothing():
    a, b = inputs(5, 30), inputs(5, 30, seed=1)
    b[3] = 0.5
    actual = rank_similarity(a, b)
    np.testing.assert_allclose(np.delete(actual, 3), [spearmanr(a[i], b[i]).statistic for i in (0, 1, 2, 4)])
    assert np.isnan(actual[3])


def test_parameters_of_the_masks_reach_every_metric_that_has_some():
    model, x, _ = MODELS["images"]
    metrics = default_metrics(
        x, model, n_masks=77, mask_rate=0.5, tolerance=0.1, seed=2**40, n_classes=3, perturb_baseline="mean"
    )
    for name in ("SenC", "SenC (regression)", "Parameter SenC"):
        metric = metrics[name]
        assert (metric.n_masks, metric.mask_rate, metric.tolerance, metric.seed) == (77, 0.5, 0.1, 2**40)
    assert metrics["SenC"].perturb_baseline == metrics["SenC (regression)"].perturb_baseline == "mean"
    for metric in metrics.values():
        if isinstance(metric, PerImage):
            assert len(scores(metric, model, x)) == 3


def test_the_published_score_bears_the_plain_name():
    model, x, data = MODELS["images"]
    metrics = default_metrics(x, model, n_masks=50, n_classes=3, **data)
    assert metrics["SenC"].estimator == "paper"
    assert metrics["SenC (regression)"].estimator == metrics["Parameter SenC"].estimator == "regression"
    assert metrics["Top-1"].metric is metrics["Top-3"].metric is metrics["SenC (regression)"]
    assert available_metrics()[:5] == ["SenC (regression)", "Top-1", "Top-3", "SenC", "Parameter SenC"]


def test_metrics_that_do_not_apply_are_left_out():
    class Weighted(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(6, 1))

        def forward(self, x):
            return x @ self.weight

    metrics = default_metrics(inputs(3, 6), Weighted(), n_masks=50, n_classes=1)
    senc = ["SenC (regression)", "Top-1", "Top-3", "SenC"]
    assert list(metrics) == [*senc, "Faithfulness Correlation", "Pixel Flipping"]


def test_parameter_senc_masks_the_first_layer():
    assert default_metrics(inputs(3, 3, 8, 8), image_model(), n_classes=3)["Parameter SenC"].layers == "first_conv"
    assert default_metrics(inputs(3, 6), table_model(), n_classes=3)["Parameter SenC"].layers == ["0"]


def test_random_maps_are_at_the_null_of_every_test_of_randomisation():
    model, x, data = MODELS["images"]
    metrics = default_metrics(x, model, n_masks=50, n_classes=3, **data)
    for name in ("MPRT", "Smooth MPRT", "Efficient MPRT", "Random Logit"):
        assert np.abs(np.mean(scores(metrics[name], model, x, explain_random))) < 0.25, name


@functools.cache
def good_scores(method):
    """Of each default metric, for the images as they are."""
    model, x, data = MODELS["images"]
    metrics = default_metrics(x, model, n_masks=50, n_classes=3, **data)
    return {name: scores(metric, model, x, method) for name, metric in metrics.items()}


BAD = {"zero": 0.0, "constant": 0.5, "NaN": np.nan, "infinite": np.inf}


@pytest.mark.parametrize("value", BAD.values(), ids=BAD)
def test_one_bad_map_is_nan_and_costs_the_others_nothing(value):
    model, x, data = MODELS["images"]

    def one_bad(model, inputs, targets, **kwargs):
        maps = explain(model, inputs, targets)
        near = np.abs(np.asarray(inputs) - x[1]).mean((1, 2, 3)) < 0.3
        maps[near] = value
        return maps

    for name, metric in default_metrics(x, model, n_masks=50, n_classes=3, **data).items():
        good, actual = good_scores(explain)[name], scores(metric, model, x, one_bad)
        np.testing.assert_allclose(np.delete(actual, 1), np.delete(good, 1), atol=1e-6, err_msg=name)
        assert np.isnan(actual[1]), name


@pytest.mark.parametrize("method", [explain, explain_fixed_random], ids=["NaN too", "finite"])
def test_an_image_of_nan_is_nan_and_costs_the_others_nothing(method):
    model, x, data = MODELS["images"]
    broken = x.copy()
    broken[1] = np.nan
    for name, metric in default_metrics(x, model, n_masks=50, n_classes=3, **data).items():
        good, actual = good_scores(method)[name], scores(metric, model, broken, method)
        np.testing.assert_allclose(np.delete(actual, 1), np.delete(good, 1), atol=1e-6, err_msg=name)
        assert np.isnan(actual[1]), name


def test_maps_without_any_order_are_all_nan():
    model, x, _ = MODELS["images"]
    for metric in default_metrics(x, model, n_classes=3).values():
        if isinstance(metric, PerImage):
            assert np.isnan(scores(metric, model, x, lambda model, inputs, targets, **kwargs: np.zeros_like(inputs))).all()


def test_entropy_of_maps_that_are_not_finite():
    assert np.isnan(map_entropy(np.array([1.0, np.nan]), None))
    np.testing.assert_allclose(map_entropy(np.arange(8.0), None, n_bins=8), np.log(8))


def test_attributions_are_explained_where_none_are_given():
    model, x, _ = MODELS["images"]
    metric = default_metrics(x, model, n_classes=3)["Pixel Flipping"]
    assert metric(model, torch.tensor(x), torch.tensor(Y), explain_func=explain) == scores(metric, model, x)
    with pytest.raises(ValueError, match=r"a_batch=None needs an explain_func; pass one, or the attributions"):
        metric(model, x, Y)
