"""Every declared direction against a case whose truth is known."""

import numpy as np
import pytest
import quantus
import torch
from quantus.functions.discretise_func import rank
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain_fixed_random, explain_random
from quantus_senc.comparison.directions import _CONFIRMED, _CORRECTED, category, direction
from quantus_senc.comparison.quantus_corrections import FaithfulnessCorrelation, SmoothMPRT
from quantus_senc.comparison.quantus_metrics import curve_area, mean_drop
from quantus_senc.comparison.quantus_per_image import PerImage
from tests.small_models import image_model

SIDE, N = 16, 8
QUIET = {"disable_warnings": True}


def linear_model():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3)).eval()
    nn.init.normal_(model[1].weight, std=0.15)
    return model


def images():
    x = np.random.default_rng(0).random((N, 1, SIDE, SIDE)).astype(np.float32)
    x[:, :, 0, 0] = 0  # Quantus's "black" is the minimum: with 0, weight times input is what each pixel adds
    return x


def contributions(model, inputs, targets, **kwargs):
    weights = model[1].weight.detach().numpy().reshape(-1, 1, SIDE, SIDE)
    return inputs * weights[targets]


def reverse(model, inputs, targets, **kwargs):
    return -contributions(model, inputs, targets)


def per_class(model, inputs, targets, **kwargs):
    return explain_fixed_random(model, inputs, targets, per_class=True)


def noise(model, inputs, targets, **kwargs):
    return explain_random(model, inputs, targets) - 0.5


def one_pixel(model, inputs, targets, **kwargs):
    maps = np.full(inputs.shape, 1e-6, dtype=np.float32)
    maps[:, :, 3, 3] = 1
    return maps


OBJECT = np.zeros((N, 1, SIDE, SIDE), dtype=int)
OBJECT[:, :, 4:9, 5:11] = 1


def inside(model, inputs, targets, **kwargs):
    return (OBJECT + np.random.default_rng(0).random(OBJECT.shape) / 10).astype(np.float32)


def outside(model, inputs, targets, **kwargs):
    return 1.2 - inside(model, inputs, targets)


ATTRIBUTION = [
    FaithfulnessCorrelation(subset_size=64, return_aggregate=False, **QUIET),
    PerImage(quantus.PixelFlipping(features_in_step=4, **QUIET), curve_area),
    PerImage(quantus.RegionPerturbation(patch_size=2, **QUIET), mean_drop),
    quantus.FaithfulnessEstimate(features_in_step=4, **QUIET),
    quantus.Selectivity(patch_size=4, **QUIET),
    quantus.ROAD(percentages=[10, 30, 50, 70, 90], **QUIET),
    quantus.SensitivityN(features_in_step=8, n_max_percentage=0.5, **QUIET),
    quantus.Infidelity(n_perturb_samples=20, **QUIET),
]
WEIGHTS = [
    quantus.MPRT(return_last_correlation=True, **QUIET),
    SmoothMPRT(return_last_correlation=True, nr_samples=3, **QUIET),
    quantus.EfficientMPRT(**QUIET),
]
CLASSES = [
    quantus.RandomLogit(num_classes=3, **QUIET),
    quantus.Sufficiency(threshold=0.01, return_aggregate=False, **QUIET),
    quantus.Consistency(discretise_func=rank, **QUIET),
]
OBJECTS = [
    quantus.AttributionLocalisation(**QUIET),
    quantus.AUC(**QUIET),
    quantus.PointingGame(**QUIET),
    quantus.RelevanceMassAccuracy(**QUIET),
    quantus.RelevanceRankAccuracy(**QUIET),
    quantus.TopKIntersection(k=20, **QUIET),
]

NOISE = [
    quantus.MonotonicityCorrelation(features_in_step=4, nr_samples=5, **QUIET),
    quantus.NonSensitivity(features_in_step=1, **QUIET),
    quantus.Completeness(normalise=False, abs=False, **QUIET),
]
FEW = {"nr_samples": 3, "return_nan_when_prediction_changes": False, **QUIET}
STABLE = [
    quantus.AvgSensitivity(**FEW),
    quantus.MaxSensitivity(**FEW),
    quantus.LocalLipschitzEstimate(**FEW),
    quantus.Continuity(nr_steps=5, **QUIET),
    quantus.RelativeInputStability(**FEW),
    quantus.RelativeOutputStability(**FEW),
    quantus.RelativeRepresentationStability(**FEW),
    quantus.InputInvariance(**QUIET),
]
SPARSE = [quantus.Sparseness(**QUIET), quantus.Complexity(**QUIET), quantus.EffectiveComplexity(**QUIET)]


def mean(scores):
    values = scores.values() if isinstance(scores, dict) else scores
    return np.mean([np.mean(np.asarray(value, dtype=float)) for value in values])


def assert_better(metric, model, x, y, better, worse, **kwargs):
    np.random.seed(0)
    means = []
    for explain in (better, worse):
        a_batch = explain(model, x, y)
        means.append(mean(metric(model=model, x_batch=x, y_batch=y, a_batch=a_batch, explain_func=explain, **kwargs)))
    end, why = direction(metric)
    assert (means[0] > means[1] + 1e-3) if end == "higher" else (means[0] < means[1] - 1e-3), (end, why, means)
    assert "confirmed: " in why or ", but " in why


def names(metric):
    return type(getattr(metric, "metric", metric)).__name__


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", ATTRIBUTION, ids=names)
def test_what_a_linear_model_adds_up_is_better_than_its_reverse(metric):
    model, x = linear_model(), images()
    y = model(torch.tensor(x)).argmax(1).numpy()
    assert_better(metric, model, x, y, contributions, reverse, explain_func_kwargs={})


@pytest.mark.filterwarnings("ignore")
def test_irof_goes_up_where_numpy_can_still_integrate(monkeypatch):
    monkeypatch.setattr("quantus.helpers.utils.calculate_auc", lambda values, **kwargs: np.trapezoid(values, axis=1))
    model, x = linear_model(), images()
    y = model(torch.tensor(x)).argmax(1).numpy()
    metric = quantus.IROF(return_aggregate=False, **QUIET)
    assert_better(metric, model, x, y, contributions, reverse, explain_func_kwargs={})


@pytest.mark.parametrize("metric", WEIGHTS, ids=names)
def test_maps_that_follow_the_weights_are_better_than_blind_ones(metric):
    model, x = linear_model(), images()
    with torch.no_grad():  # few large weights, so that random ones make the map more complex
        model[1].weight *= (torch.rand_like(model[1].weight) < 0.05) * 10
    y = np.arange(N) % 3
    assert_better(metric, model, x, y, contributions, explain_fixed_random, explain_func_kwargs={})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", CLASSES, ids=names)
def test_maps_that_differ_between_classes_are_better_than_one_for_all(metric):
    y = np.arange(N) % 2
    x = images()
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 3)).eval()
    with torch.no_grad():  # predicts what the first pixel says
        model[1].weight.zero_()[1, 0] = 1
        model[1].bias.copy_(torch.tensor([0.5, 0.0, -9.0]))
    x[:, 0, 0, 0] = y
    assert_better(metric, model, x, y, per_class, explain_fixed_random, explain_func_kwargs={})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", OBJECTS, ids=names)
def test_attribution_inside_the_object_is_better_than_outside(metric):
    y = np.arange(N) % 3
    assert_better(metric, linear_model(), images(), y, inside, outside, s_batch=OBJECT, explain_func_kwargs={})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", NOISE, ids=names)
def test_what_a_linear_model_adds_up_is_better_than_noise(metric):
    model, x = linear_model(), images()
    nn.init.zeros_(model[1].bias)
    y = model(torch.tensor(x)).argmax(1).numpy()
    assert_better(metric, model, x, y, contributions, noise, softmax=False, explain_func_kwargs={})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("metric", STABLE, ids=names)
def test_maps_that_never_change_are_better_than_new_ones(metric):
    model = image_model(1, SIDE)
    y = model(torch.tensor(images())).argmax(1).numpy()
    assert_better(metric, model, images(), y, explain_fixed_random, explain_random, explain_func_kwargs={})


@pytest.mark.parametrize("metric", SPARSE, ids=names)
def test_attribution_of_one_pixel_is_better_than_of_all(metric):
    y = np.arange(N) % 3
    assert_better(metric, linear_model(), images(), y, one_pixel, explain_fixed_random, explain_func_kwargs={})


def test_monotonicity_is_void():
    model, x = linear_model(), images()
    y, metric = np.arange(N) % 3, quantus.Monotonicity(features_in_step=16, **QUIET)
    for explain in (contributions, reverse, noise):
        assert all(metric(model=model, x_batch=x, y_batch=y, a_batch=explain(model, x, y), explain_func=explain))
    assert "; void: it replaces black pixels by black ones" in direction(metric)[1]


def descending_table():
    model = nn.Sequential(nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[0].weight.zero_()[0] = torch.tensor([1.8, 1.3, 1.0, 0.7, 0.4, 0.25, 0.12, 0.06])
        model[0].bias.zero_()
    return model, 1 + np.random.default_rng(0).random((4, 8), dtype=np.float32) / 10, np.zeros(4, dtype=int)


def attribution(model, inputs, targets, **kwargs):
    return inputs * model[0].weight.detach()[targets]


def other_columns(model, inputs, targets, **kwargs):
    return inputs * model[0].weight.detach()[targets].flip(1)


def unrelated(model, inputs, targets, **kwargs):
    generator = torch.Generator().manual_seed(int(model[0].weight.sum() * 1e6) + 3)
    return torch.rand(inputs.shape, generator=generator)


@pytest.mark.parametrize("estimator", ["regression", "paper"])
def test_true_attribution_has_higher_sensitivity_consistency(estimator):
    model, x, y = descending_table()
    senc = DataSensitivityConsistency("all", estimator=estimator, **QUIET)
    units = ParameterSensitivityConsistency("all", estimator=estimator, layers="linear", **QUIET)
    for metric, worse in (
        (senc, other_columns),
        (senc.top_k(1), other_columns),
        (senc.top_k(3), other_columns),
        (units, unrelated),
    ):
        means = [mean(metric(model, x, y, explain_func=explain)) for explain in (attribution, worse)]
        end, why = direction(metric)
        assert end == "higher"
        assert "declared by this package (ScoreDirection.HIGHER); confirmed: the true attribution" in why
        assert means[0] > means[1] + 0.2


def test_every_direction_that_is_said_to_be_checked_is():
    every = (*ATTRIBUTION, *WEIGHTS, *CLASSES, *OBJECTS, *NOISE, *STABLE, *SPARSE)
    metrics = [getattr(metric, "metric", metric) for metric in every]
    checked = {cls for metric in metrics for cls in type(metric).__mro__}
    ours = {cls for cls in _CONFIRMED if cls.__module__.startswith("quantus_senc")}
    assert {*_CONFIRMED, *_CORRECTED} - ours - checked == {quantus.IROF}


def test_directions_of_metrics_that_nobody_has_checked():
    class Unknown:
        score_direction = quantus.Sparseness.score_direction

    assert direction(Unknown()) == ("higher", "declared by the metric (ScoreDirection.HIGHER); not checked")
    assert direction(lambda **kwargs: [0.0]) == ("higher", "assumed: the metric has no score_direction")
    standard_error = DataSensitivityConsistency().standard_error()
    assert direction(standard_error) == ("lower", "declared by this package (ScoreDirection.LOWER); not checked")


def test_directions_that_quantus_has_wrong():
    end, why = direction(quantus.RegionPerturbation(**QUIET))
    assert end == "higher"
    assert why == (
        "Quantus declares ScoreDirection.LOWER, but it returns drops of the prediction, and the true attribution of a linear "
        "model gets higher values than its reverse"
    )
    assert quantus.RegionPerturbation.score_direction.value == quantus.Consistency.score_direction.value == "lower"


def test_categories():
    senc = DataSensitivityConsistency()
    assert {category(metric) for metric in (senc, senc.top_k(3), senc.standard_error())} == {"Sensitivity consistency"}
    assert category(PerImage(quantus.MPRT(**QUIET))) == quantus.MPRT.evaluation_category.value
    assert category(quantus.PixelFlipping(**QUIET)) == "Faithfulness"
    assert category(image_model()) == "Other"
