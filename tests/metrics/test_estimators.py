"""Two estimators of one limit: what they compute, how sure they are, and when they stop."""

import copy
import functools

import numpy as np
import pytest
import quantus
import torch
from scipy.stats import spearmanr
from torch import nn
from tqdm.auto import tqdm

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain_random
from quantus_senc.core.consistency import consistency
from quantus_senc.core.estimators import N_BLOCKS
from quantus_senc.core.mask_loop import MaskRun, Unperturbed
from quantus_senc.core.plan import Plan
from quantus_senc.core.standard_error import limit_interval, standard_error
from tests import estimates, philox, reference
from tests.small_models import classes, gradient, image_model, inputs

GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}}  # 9 features of 8 x 8
QUARTERS = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
MODEL, X, Y = image_model(), inputs(3, 1, 8, 8), classes(3)


def data(x=X, explain_func=gradient, call=None, model=MODEL, **parameters):
    metric = DataSensitivityConsistency(**{"estimator": "regression", "disable_warnings": True, **GRID, **parameters})
    return metric, metric(model, x, Y[: len(x)], explain_func=explain_func, **(call or {}))


def conv_model(channels=5):
    torch.manual_seed(4)
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64 * channels, 3)
    ).eval()  # fmt: skip


def parameter(x=X, explain_func=gradient, call=None, model=None, **parameters):
    given = {"estimator": "regression", "layers": "first_conv", "disable_warnings": True, **parameters}
    metric = ParameterSensitivityConsistency(**given)
    return metric, metric(model or conv_model(), x, Y[: len(x)], explain_func=explain_func, **(call or {}))


def records(metric):
    found = metric.sensitivities
    return found if isinstance(found, list) else next(iter(found.values()))


def explain_one(x, y):
    return gradient(MODEL, x[None], np.array([y]))[0].numpy()


def own_weights(record, image, masks, **kwargs):
    return reference.data_weights(MODEL, X[image], Y[image], record.labels.numpy(), explain_one, masks, **kwargs)


@pytest.mark.parametrize(("n_masks", "pairs"), [(60, False), (91, False), (92, True), (150, True)])
def test_regression_is_least_squares_on_the_papers_masks(n_masks, pairs):
    metric, scores = data(n_masks=n_masks, mask_rate=0.5)
    for image, record in enumerate(metric.sensitivities):
        masks = np.array([philox.keep_mask(42, image, k, 9, 0.5) for k in range(n_masks)])
        expected = [estimates.regression(masks, weights, 0.5, pairs) for weights in own_weights(record, image, masks)]
        np.testing.assert_allclose(torch.stack([record.prediction, record.explanation]), expected, rtol=1e-4, atol=1e-6)
        assert scores[image] == pytest.approx(spearmanr(*expected).statistic)
        assert record.n_masks == n_masks


@pytest.fixture(scope="module")
def weights_of_every_mask():
    """For each image, by the paper's loop."""
    metric, _ = data(n_masks=100)
    return [own_weights(record, image, philox.every_mask(9)) for image, record in enumerate(metric.sensitivities)]


@pytest.mark.xdist_group("every mask")  # one process runs the loop
@pytest.mark.parametrize("mask_rate", [0.2, 0.8])
@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_every_mask_is_the_limit(mask_rate, estimator, weights_of_every_mask):
    metric, scores = data(n_masks="all", mask_rate=mask_rate, estimator=estimator)
    masks = philox.every_mask(9)
    for image, (record, weights) in enumerate(zip(metric.sensitivities, weights_of_every_mask, strict=True)):
        expected = np.array([estimates.limit(masks, part, mask_rate) for part in weights])
        assert scores[image] == pytest.approx(spearmanr(*expected).statistic)
        if estimator == "paper":
            probabilities = np.prod(np.where(masks, 1 - mask_rate, mask_rate), axis=1)
            expected = (weights * probabilities) @ masks
        np.testing.assert_allclose(torch.stack([record.prediction, record.explanation]), expected, rtol=1e-4, atol=1e-6)
        assert (record.n_masks, record.standard_error) == (512, 0)
    assert metric.standard_errors == [0, 0, 0]


def test_every_mask_of_a_layer_is_the_limit():
    model, masks = conv_model(), philox.every_mask(5)
    metric, scores = parameter(n_masks="all", model=model)
    for image, record in enumerate(records(metric)):
        original = reference.probability(model, X[image], Y[image]), gradient(model, X[image][None], Y[[image]])[0].numpy()
        weights = []
        for mask in masks:
            masked = reference.masked_model(model, "0", mask)
            explanation = gradient(masked, X[image][None], Y[[image]])[0].numpy()
            change = abs(original[0] - reference.probability(masked, X[image], Y[image]))
            weights.append((1 - change, reference.similarity(original[1], explanation)))
        expected = [estimates.limit(masks, part, 0.8) for part in np.array(weights).T]
        np.testing.assert_allclose(torch.stack([record.prediction, record.explanation]), expected, rtol=1e-4, atol=1e-6)
        assert scores[image] == pytest.approx(spearmanr(*expected).statistic)
        assert record.n_masks == 32


@pytest.mark.parametrize("run", [data, parameter])
@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_both_estimators_tend_to_the_limit(run, estimator):
    model = conv_model(9) if run is parameter else image_model()
    model[-1].weight.data *= 4  # so that masks matter more than the noise that the paper's sums share
    model = {"model": model}
    expected, truth = run(n_masks="all", mask_rate=0.5, **model)
    ceiling = {"n_masks": 511 if estimator == "regression" else 10_000}  # of 9 features there are 512 masks
    metric, scores = run(estimator=estimator, mask_rate=0.5, **ceiling, **model)
    assert [record.n_masks for record in records(expected)] == [512] * 3
    errors = np.array(metric.standard_errors)
    assert ((errors > 0) & (errors <= 1)).all()
    assert np.median(errors) < 0.3
    assert (np.abs(np.subtract(scores, truth)) <= 2 * errors + 1e-12).all()


def test_what_trying_every_mask_does_not_exceed_is_tried():
    metric, scores = data(n_masks=512)
    _, truth = data(n_masks="all")
    assert scores == truth
    assert [record.n_masks for record in metric.sensitivities] == [512] * 3


def test_features_that_equal_the_baseline_have_no_effect_and_need_no_masks():
    x = X.copy()
    x[0, :, :3] = x[1, :, 3:6, :3] = 0.0
    metric, _ = data(x, n_masks=200, mask_rate=0.5)
    assert [record.n_masks for record in metric.sensitivities] == [64, 200, 200]  # 2^6 for the six that are left
    first, second, third = metric.sensitivities
    assert first.prediction[:3].tolist() == first.explanation[:3].tolist() == [0, 0, 0]
    assert second.prediction[3] == second.explanation[3] == 0
    assert (third.prediction != 0).all()
    complete, _ = data(x, n_masks="all", mask_rate=0.5)
    assert [record.n_masks for record in complete.sensitivities] == [64, 256, 512]
    paper, _ = data(x, n_masks="all", mask_rate=0.5, estimator="paper")
    for a, b in zip(complete.sensitivities, paper.sensitivities, strict=True):
        np.testing.assert_allclose(a.prediction.diff() * 0.25, b.prediction.diff(), atol=1e-12)
        assert a.score == b.score
    sums, _ = data(x, n_masks=200, mask_rate=0.5, estimator="paper")  # Eq. 1 and 2 to the letter
    assert sums.sensitivities[0].prediction[:3].unique().numel() == 3


def test_ties_in_estimates_are_ties():
    x = X.copy()
    x[0, :, :3] = 0.0
    metric, scores = data(x[:1], n_masks=60, mask_rate=0.5)
    record = metric.sensitivities[0]
    assert scores[0] == pytest.approx(spearmanr(record.prediction, record.explanation).statistic)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("run", [data, parameter])
def test_an_explanation_that_never_changes_is_undefined(run, dtype):
    def blob(model, inputs, targets):
        row = torch.linspace(-1, 1, 8, device=inputs.device)
        return -(row[:, None] ** 2 + row**2).expand(len(inputs), 1, 8, 8)

    model = image_model() if run is data else conv_model()
    model[-1].weight.data *= 10  # so that predictions change by more than bfloat16 rounds away
    model = model.to(dtype)
    metric, scores = run(explain_func=blob, n_masks=70, model=model)
    assert np.isnan(scores).all()
    assert {record.undefined for record in records(metric)} == {"an explanation that no mask changes"}
    assert np.isnan(metric.standard_errors).all()
    _, scores = run(explain_func=blob, n_masks=70, model=model, estimator="paper")
    assert np.isfinite(scores).all()


def test_a_prediction_that_never_changes_is_undefined():
    class Certain(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * 1e-9

    metric, scores = data(model=Certain(*image_model()), n_masks=70)
    assert np.isnan(scores).all()
    assert {record.undefined for record in metric.sensitivities} == {"a prediction that no mask changes"}


def test_an_image_that_equals_the_baseline():
    x = X.copy()
    x[1] = 0.0
    _, expected = data(n_masks=70)
    metric, scores = data(x, explain_func=lambda model, inputs, targets: gradient(model, inputs + 1, targets), n_masks=70)
    assert np.isnan(scores[1])
    assert metric.sensitivities[1].n_masks == 1
    assert metric.sensitivities[1].undefined == "a prediction that no mask changes"
    assert np.isfinite([scores[0], scores[2], *expected]).all()


def test_masks_that_tell_features_apart_too_seldom():
    labels = np.arange(64).reshape(1, 8, 8).repeat(3, 0)
    metric, scores = data(n_masks=130, mask_rate=0.9, call={"custom_batch": labels})  # some are kept by no mask of 130
    singular = [record.undefined for record in metric.sensitivities]
    assert set(singular) <= {"", "masks that do not tell its features apart"}
    assert [bool(reason) for reason in singular] == np.isnan(scores).tolist()
    metric, scores = data(n_masks=130, mask_rate=0.5, call={"custom_batch": labels})
    assert np.isfinite(scores).all()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_masks": 19, "mask_rate": 0.5}, "n_masks=19 is too few .* 9 features and mask_rate=0.5; it takes at least 20"),
        ({"n_masks": 40}, "n_masks=40 is too few .* takes at least 50"),
        ({"n_masks": "all", "segment_func_kwargs": {"patch_size": 1}}, r"'all' takes 2\^64 masks for 64 features"),
        ({"n_masks": "every"}, "n_masks='every' must be an integer, or 'all'"),
        ({"estimator": "regresion"}, "unknown estimator 'regresion'; did you mean 'regression'"),
        ({"tolerance": 0}, "tolerance=0 must be None or a positive standard error"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
    ],
)
def test_wrong_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        data(**parameters)


def test_too_few_masks_for_a_layer():
    with pytest.raises(ValueError, match=r"n_masks=30 is too few .* 20 units of layer '0' .* takes at least 50"):
        parameter(model=conv_model(20), n_masks=30)
    with pytest.raises(ValueError, match=r"2\^21 masks for 21 units of layer '0'"):
        parameter(model=conv_model(21), n_masks="all")


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("run", [data, parameter])
def test_masks_until_the_error_is_small(run, estimator):
    tolerance = 0.12 if estimator == "regression" else 0.9  # the paper's sums are mostly noise here
    model = {"model": conv_model(12)} if run is parameter else {"segment_func_kwargs": {"patch_size": 2}}
    given = {"estimator": estimator, "mask_rate": 0.5, "n_masks": 3000, **model}
    metric, scores = run(tolerance=tolerance, **given)
    used = [record.n_masks for record in records(metric)]
    assert set(used) <= {256, 384, 576, 864, 1296, 1944, 2916, 3000}
    assert min(used) < 3000
    for count, error in zip(used, metric.standard_errors, strict=True):
        assert error <= tolerance or count == 3000
    for count in set(used):  # each is what as many masks alone would have given
        _, alone = run(**{**given, "n_masks": count})
        assert [one for one, n in zip(alone, used, strict=True) if n == count] == pytest.approx(
            [one for one, n in zip(scores, used, strict=True) if n == count]
        )
    others, found = run(tolerance=tolerance, max_batch_size=64, call={"batch_size": 2}, **given)
    np.testing.assert_allclose(found, scores)
    np.testing.assert_allclose(others.standard_errors, metric.standard_errors, atol=1e-4)  # passes round otherwise
    assert [record.n_masks for record in records(others)] == used


@pytest.mark.parametrize("strategy", ["weights", "hooks"])
def test_images_that_are_done_leave_the_batch(strategy):
    calls = []

    def counting(model, inputs, targets):
        calls.append(len(inputs))
        return gradient(model, inputs, targets)

    def total(**parameters):
        calls.clear()
        metric, _ = parameter(explain_func=counting, model=conv_model(10), n_masks=600, strategy=strategy, **parameters)
        return metric, sum(calls)

    metric, n_stopped = total(tolerance=0.25)
    used = [record.n_masks for record in records(metric)]
    _, n_all = total()
    assert sum(used) < 3 * 600
    stream = philox.layer_stream("0")
    spared = sum(philox.n_distinct(42, stream, 600, 10) - philox.n_distinct(42, stream, n, 10) for n in used)
    assert n_all - n_stopped >= spared * 0.9 > 0  # but for a few comparisons of hooks with weights


def test_records_and_layers_carry_their_errors():
    metric, _ = parameter(layers=None, n_masks=300, mask_rate=0.5, model=conv_model(2), estimator="paper")
    errors = [[record.standard_error for record in found] for found in metric.sensitivities.values()]
    assert len(errors) == 2
    np.testing.assert_allclose(metric.standard_errors, np.sqrt(np.square(errors).sum(0)) / 2)
    by_layer, _ = parameter(
        layers=None, n_masks=300, mask_rate=0.5, model=conv_model(2), estimator="paper", return_layer_scores=True
    )
    assert list(by_layer.standard_errors) == ["0", "3"]
    np.testing.assert_allclose(list(by_layer.standard_errors.values()), errors)
    whole, mean = data(n_masks=100, return_aggregate=True)
    assert len(mean) == 1
    assert len(whole.standard_errors) == 3


def test_the_progress_bar_shows_the_error_and_changes_nothing(monkeypatch):
    shown, bars = [], []
    monkeypatch.delenv("PYTEST")  # Quantus shows no bar where it is set
    monkeypatch.setattr(tqdm, "set_postfix_str", lambda self, text: shown.append((text, self.n)))
    monkeypatch.setattr("quantus_senc.metrics.batched_metric.tqdm", lambda **kwargs: bars.append(tqdm(**kwargs)) or bars[-1])
    metric, scores = data(n_masks=500, mask_rate=0.5, display_progressbar=True)
    assert [n for _, n in shown] == [256 * 3, 384 * 3]
    assert all(text.startswith("standard error 0.") for text, _ in shown)
    assert (metric.sensitivities[0].n_masks, scores) == (500, data(n_masks=500, mask_rate=0.5)[1])
    data(n_masks=5000, mask_rate=0.5, tolerance=0.2, display_progressbar=True, segment_func_kwargs={"patch_size": 2})
    assert [(bar.n, bar.n == bar.total) for bar in bars[::2]] == [(1500, True), (bars[2].n, True)]
    assert bars[2].n < 15_000


def test_other_images_of_the_batch_do_not_matter_to_when_one_stops():
    pixels = np.arange(64).reshape(8, 8)
    labels = np.stack([pixels // 16, pixels // 4, pixels // 8])
    given = {"n_masks": 3000, "tolerance": 0.15, "mask_rate": 0.5}
    for estimator in ("paper", "regression"):
        metric, together = data(estimator=estimator, call={"custom_batch": labels}, **given)
        others, alone = data(X[:1], estimator=estimator, call={"custom_batch": labels[:1]}, **given)
        assert together[0] == pytest.approx(alone[0])
        assert metric.sensitivities[0].n_masks == others.sensitivities[0].n_masks


def test_images_that_can_have_no_score_get_no_more_masks():
    x = X.copy()
    x[1, 0, 0, 0] = np.nan
    metric, scores = data(x, n_masks=3000, tolerance=1e-9, estimator="paper")
    assert [record.n_masks for record in metric.sensitivities] == [3000, 256, 3000]
    assert np.isnan(scores).tolist() == [False, True, False]


@pytest.mark.parametrize("mask_rate", [0.9, 0.95, 0.98])
def test_more_masks_never_leave_features_indistinct(mask_rate):
    for n_masks in (500, 600, 1000, 2000):
        metric, _ = data(X[:1], n_masks=n_masks, mask_rate=mask_rate, segment_func_kwargs={"patch_size": 2})
        assert metric.sensitivities[0].undefined == ""
        assert metric.standard_errors[0] > 0 or n_masks * (1 - mask_rate) < 15


@pytest.mark.unwatched("generators")
@pytest.mark.parametrize("run", [data, parameter])
def test_random_methods_are_not_listed_as_if_they_had_no_error(run):
    def noisy(model, inputs, targets):
        return gradient(model, inputs, targets) + 0.01 * torch.randn(inputs.shape)

    metric, _ = run(explain_func=noisy, n_masks=600, **({"model": conv_model(5)} if run is parameter else {}))
    assert [record.n_masks for record in records(metric)] == [600] * 3
    assert max(metric.standard_errors) > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_leaves_scores(dtype):
    model = image_model()
    model[-1].weight.data *= 4
    given = {"n_masks": 511, "mask_rate": 0.5}
    _, expected = data(model=copy.deepcopy(model), **given)
    _, found = data(model=model.to(dtype), **given)
    np.testing.assert_allclose(found, expected, atol=0.3)


def test_parameters_may_become_numpy_numbers():
    metric, expected = data(n_masks=300, estimator="paper")
    metric.n_masks = np.int64(300)
    assert metric(MODEL, X, Y, explain_func=gradient) == expected


def test_too_few_masks_have_no_known_error():
    metric, scores = data(n_masks=8, estimator="paper")
    assert np.isnan(metric.standard_errors).all()
    assert np.isfinite(scores).all()


def test_noise_that_drowns_the_truth_is_in_the_error():
    labels = np.arange(64).reshape(1, 8, 8).repeat(3, 0)
    for estimator in ("paper", "regression"):
        given = {"mask_rate": 0.5, "call": {"custom_batch": labels}, "estimator": estimator}
        few, scores = data(n_masks=160, **given)
        many, truth = data(n_masks=10_000, **given)
        assert (np.abs(np.subtract(scores, truth)) <= 2 * np.array(few.standard_errors)).all()
    assert max(many.standard_errors) < min(few.standard_errors)


def test_no_error_is_known_from_fewer_masks_than_the_regression_needs():
    labels = np.stack([np.arange(196).reshape(14, 14)])
    metric, _ = data(
        inputs(1, 1, 14, 14),
        model=image_model(size=14),
        n_masks=1000,
        mask_rate=0.5,
        tolerance=2.0,
        call={"custom_batch": labels},
    )
    assert metric.sensitivities[0].n_masks == 576  # not 256 or 384; it takes 394


def test_dead_features_are_tied_in_double_precision_too():
    model = nn.Linear(12, 3).double().eval()
    with torch.no_grad():
        model.weight[:, 4:] = 0
    metric = DataSensitivityConsistency("all")
    x = inputs(3, 12).astype(np.float64)
    metric(model, x, Y, explain_func=gradient)
    for record in metric.sensitivities:
        assert record.score == pytest.approx(
            reference.consistency(record.prediction.numpy(), record.explanation.numpy(), 1e-13), abs=1e-9
        )
        assert record.prediction[4:].max() - record.prediction[4:].min() <= record.tie_tolerance[0]


@functools.cache
class Tables:
    """Made-up weights for every mask: linear, with interactions, of m features."""

    def __init__(self, m, seed):
        rng = np.random.default_rng(seed)
        self.masks = philox.every_mask(m)
        linear, pairs = rng.normal(size=(2, m)), rng.normal(size=(2, m, m)) * 0.5
        triples = np.prod([self.masks[:, rng.integers(m, size=12)] for _ in range(3)], axis=0)
        self.weights = linear @ self.masks.T + ((self.masks @ pairs) * self.masks).sum(-1)
        self.weights += rng.normal(size=(2, 12)) @ triples.T

    def score(self, **parameters):
        plan = Plan(**{"seed": 0, "mask_rate": 0.5, "estimator": "regression", "tolerance": None, **parameters})
        m = self.masks.shape[1]
        free, nothing = torch.ones(1, m, dtype=torch.bool), torch.zeros(1, dtype=torch.float64)
        design = plan.design(torch.zeros(1, dtype=torch.int64), free)

        def weigh(pairs, told):
            entry = (pairs.masks().numpy() * 2 ** np.arange(m)[::-1]).sum(-1)
            return torch.tensor(self.weights[:, entry].T), torch.zeros(len(pairs), dtype=torch.bool)

        run = MaskRun(plan, design, Unperturbed(nothing, nothing.bool(), 1e-9, None), tqdm(total=0, disable=True), free)
        return plan, run.records(weigh)[0]


@pytest.mark.parametrize(
    ("estimator", "n_masks", "pairs"), [("paper", 70, False), ("regression", 70, False), ("regression", 120, True)]
)
def test_deviations_are_those_of_fits_without_a_block(estimator, n_masks, pairs):
    tables = Tables(8, seed=3)
    plan, record = tables.score(estimator=estimator, n_masks=n_masks)
    deviations = plan.estimate(record.masks().__getitem__, record.weights[None], 8, is_exhaustive=False).deviations[0]
    masks = np.array([philox.keep_mask(0, 0, k, 8, 0.5) for k in range(n_masks)])
    weights = tables.weights[:, (masks * 2 ** np.arange(8)[::-1]).sum(-1)]
    for block in (0, 7, 31):
        others = np.arange(n_masks) % N_BLOCKS != block
        if estimator == "paper":
            uneven = weights - weights.mean(1, keepdims=True)
            expected = (uneven @ masks) - (uneven[:, others] @ masks[others]) * n_masks / others.sum()
        else:
            fits = [[estimates.regression(masks[some], w[some], 0.5, pairs) for w in weights] for some in (slice(None), others)]
            n_terms = 1 + 8 + 28 * pairs
            expected = np.subtract(*fits) * np.sqrt(1 - n_terms / n_masks)
        np.testing.assert_allclose(deviations[block], expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("n_masks", "tolerance"), [(60, None), (800, None), (5000, 0.05)])
def test_two_standard_errors_cover_the_limit(n_masks, tolerance):
    covered, ratio = [], []
    for number in range(40):
        tables = Tables(14, seed=number)
        truth = spearmanr(*[estimates.limit(tables.masks, weights, 0.5) for weights in tables.weights]).statistic
        for seed in range(2):
            _, record = tables.score(n_masks=n_masks, tolerance=tolerance, seed=seed)
            covered.append(abs(record.score - truth) <= 2 * record.standard_error)
            ratio.append((record.score - truth, record.standard_error))
    assert np.mean(covered) >= 0.95
    off, errors = np.square(ratio).mean(0)
    assert 1 <= np.sqrt(errors / off) <= 1.5


def noisy_pair(n_masks, noise, seed=0):
    """Masks of 12 features with weights whose limits rank the features alike; and noise in the second weight."""
    rng = np.random.default_rng(seed)
    masks = rng.random((n_masks, 12)) > 0.5
    first = 1 + masks @ np.arange(12) / 50
    weights = np.stack([first, first + noise * rng.normal(size=n_masks)], -1)
    return torch.tensor(masks), torch.tensor(weights)[None]


@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_the_interval_of_noise_reaches_the_limit_and_no_farther_than_needed(estimator):
    """The limit is 1. Noise as large as what the features do lowers every score, by more than scores scatter."""
    reached, widths = [], []
    for seed in range(20):
        masks, weights = noisy_pair(400, 1.0, seed)
        estimate = Plan(0, 0.5, 400, estimator, None).estimate(masks.__getitem__, weights, 12, is_exhaustive=False)
        low, high = limit_interval(estimate.steady[0], estimate.deviations[0], torch.zeros(2, dtype=torch.float64)).tolist()
        reached.append(low <= 1 == high)
        widths.append(high - low)
    assert np.mean(reached) >= 0.9
    assert np.median(widths) < 1.5


def test_the_papers_noise_that_both_sums_share_is_in_the_error():
    """The explanation answers to nothing, and the prediction to little: all the paper's sums have in common is chance."""
    rng = np.random.default_rng(0)
    masks = torch.tensor(rng.random((400, 20)) > 0.5)
    weights = torch.tensor(1 - 0.01 * rng.random((1, 400, 2)))
    estimate = Plan(0, 0.5, 400, "paper", None).estimate(masks.__getitem__, weights, 20, is_exhaustive=False)
    nothing = torch.zeros(2, dtype=torch.float64)
    score = consistency(*estimate.sensitivities[0], nothing).item()
    assert score > 0.95
    error = standard_error(score, limit_interval(estimate.steady[0], estimate.deviations[0], nothing))
    assert score - 2 * error <= 0


def test_half_the_distance_to_the_farther_end_is_the_standard_error():
    assert standard_error(0.5, torch.tensor([0.1, 0.6])) == pytest.approx(0.2)
    assert standard_error(-0.5, torch.tensor([-0.5, 0.5])) == pytest.approx(0.5)
    assert np.isnan(standard_error(0.5, torch.tensor([torch.nan, torch.nan])))


def test_random_maps_score_zero_on_average_and_fixed_ones_nothing():
    x, y = inputs(40, 1, 8, 8), classes(40)
    for mask_rate in (0.2, 0.5, 0.8):
        metric = DataSensitivityConsistency(200, mask_rate, estimator="regression", **GRID)
        scores = np.array(metric(MODEL, x, y, explain_func=explain_random))
        assert abs(scores.mean()) <= 2 * scores.std(ddof=1) / np.sqrt(40)
        scores = metric(MODEL, x[:3], y[:3], explain_func=lambda model, inputs, targets: inputs * 0 + torch.arange(8.0))
        assert np.isnan(scores).all()


def test_standard_errors_stand_beside_the_scores():
    calls = []

    def counting(model, inputs, targets, method=None):
        calls.append(len(inputs))
        return gradient(model, inputs, targets).numpy()

    senc = DataSensitivityConsistency(200, estimator="regression", **GRID)
    metrics = {"SenC": senc, "error": senc.standard_error()}
    results = quantus.evaluate(metrics, {"a": counting, "b": counting}, MODEL, X, Y, explain_func_kwargs={})
    assert results["b"]["error"] == senc.standard_errors
    assert all(np.isfinite(results["a"]["error"]))
    n_calls = len(calls)
    again = {"explain_func": counting, "explain_func_kwargs": {"method": "b"}}
    assert senc.standard_error()(MODEL, X, Y, **again) == senc.standard_errors
    assert calls[n_calls:] == [1, len(X)]  # a second look
    whole = ParameterSensitivityConsistency(60, layers="first_conv", return_layer_scores=True, return_aggregate=True)
    assert list(whole.standard_error()(conv_model(), X, Y, explain_func=gradient)) == ["0"]
    assert len(whole.standard_errors["0"]) == 3


def test_nan_of_one_image_stays_with_it_where_masks_are_shared():
    def explain(model, inputs, targets):
        marked = (inputs[:, :1, :1, :1] == 99).expand_as(inputs)
        return torch.where(marked, torch.nan, gradient(model, inputs, targets))

    x = X.copy()
    x[1, 0, 0, 0] = 99
    given = {"n_masks": 150, "model": conv_model(12), "strategy": "weights"}
    metric, scores = parameter(x, explain_func=explain, **given)
    _, expected = parameter(x, **given)
    assert np.isnan(scores).tolist() == [False, True, False]
    assert records(metric)[0].n_masks == 150  # pairs of features are fitted
    np.testing.assert_allclose([scores[0], scores[2]], [expected[0], expected[2]])
    assert records(metric)[1].undefined == "NaN in the attribution"


def test_pairs_that_masks_do_not_tell_apart_are_left_out(monkeypatch):
    given = {"n_masks": 300, "mask_rate": 0.95}
    _, expected = data(**given)
    monkeypatch.setattr("quantus_senc.core.plan.affords_interactions", lambda *args: True)
    metric, scores = data(**given)
    assert scores == pytest.approx(expected)
    assert np.isfinite(metric.standard_errors).all()


def test_the_scale_of_unnormalised_outputs_does_not_matter():
    class Scaled(nn.Sequential):
        def forward(self, x):
            return super().forward(x) * 2.0**-30

    given = {"n_masks": 300, "mask_rate": 0.5, "call": {"softmax": False}}
    _, expected = data(**given)
    _, found = data(model=Scaled(*image_model()), **given)
    assert found == pytest.approx(expected)


def test_with_a_tolerance_every_mask_is_tried_only_if_that_takes_no_more_than_the_first_look():
    metric, _ = data(n_masks=3000, tolerance=1.0)
    assert {record.n_masks for record in metric.sensitivities} <= {256, 384}  # not the 512 that there are
    metric, _ = data(n_masks=3000, tolerance=1.0, **QUARTERS)
    assert {record.n_masks for record in metric.sensitivities} == {16}
