"""Comparisons: tables, agreement of metrics, verdicts, and folders that give them back."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import kendalltau, sem

from quantus_senc import Comparison
from quantus_senc.comparison.agreement import image_counts
from tests.comparisons import METHODS, METRICS, comparison, described, examples, record, scattered, typical

HIGHER = {"a": ("Faithfulness", "higher"), "b": ("Faithfulness", "higher")}


def test_summary_has_means_and_errors_over_images():
    made = typical(n_images=6)
    summary = made.summary()
    assert list(zip(summary["metric"], summary["method"], strict=True)) == [(a, b) for a in METRICS for b in METHODS]
    for row in summary.itertuples():
        scores = made.scores.query("metric == @row.metric and method == @row.method")["score"]
        assert row.n_images == 6
        assert row.mean == pytest.approx(scores.mean())
        assert row.error == pytest.approx(sem(scores))
        expected = pytest.approx(math.sqrt(6 * 0.03**2) / 6) if row.metric == "SenC" else pytest.approx(math.nan, nan_ok=True)
        assert row.mask_error == expected
        assert row.failure == ""


@pytest.mark.parametrize(("direction", "ranks"), [("higher", [4, 1, 2.5, 2.5]), ("lower", [1, 4, 2.5, 2.5])])
def test_ranks_follow_the_metric_and_ties_share_theirs(direction, ranks):
    scores = {"a": {"p": [0.1, 0.0], "q": [1.0, 2.0], "r": [0.1, 0.5], "s": [0.5, 0.1], "failed": [np.nan, np.nan]}}
    made = comparison(scores, {"a": ("Any", direction)}, failures={("a", "failed"): "no gradient"})
    summary = made.summary()
    np.testing.assert_array_equal(summary["rank"], [*ranks, np.nan])
    assert list(summary["failure"]) == ["", "", "", "", "no gradient"]
    assert summary["n_images"].iloc[-1] == 0
    assert np.isnan(summary["mean"].iloc[-1])


def test_means_that_differ_by_rounding_alone_are_tied():
    values = np.random.default_rng(0).normal(size=200)
    assert values.mean() != values[::-1].mean() or values.mean() != np.sort(values).mean()
    made = comparison({"a": {"p": values, "q": values[::-1], "r": np.sort(values)}}, HIGHER)
    assert list(made.summary()["rank"]) == [2, 2, 2]


def test_images_without_a_score_are_left_out():
    made = comparison({"a": {"p": [1.0, np.nan, 3.0, np.inf], "q": [5.0, np.nan, np.nan, np.nan]}}, HIGHER, errors={"a": 0.1})
    summary = made.summary()
    assert list(summary["n_images"]) == [2, 1]
    assert list(summary["mean"]) == [2, 5]
    np.testing.assert_allclose(summary["error"], [1, np.nan])
    np.testing.assert_allclose(summary["mask_error"], [0.1 / math.sqrt(2), 0.1])


@pytest.mark.filterwarnings("error")
def test_infinite_scores_are_none():
    made = comparison({"a": {"p": [1.0, np.inf, 2.0], "q": [0.0, np.inf, -np.inf]}}, HIGHER)
    assert list(made.summary()["n_images"]) == [2, 1]
    assert "p is best" in sentences(made)


def test_the_error_of_a_mean_is_at_least_that_of_the_masks():
    scores = {"a": {"p": [0.50, 0.51, 0.52], "q": [0.10, 0.11, 0.12], "r": [0.40, 0.41, 0.42]}}
    made = comparison(scores, HIGHER, errors={"a": 0.1})
    summary = made.summary()
    np.testing.assert_allclose(summary["error"], [0.1 / math.sqrt(3)] * 3)
    np.testing.assert_allclose(summary["error"], summary["mask_error"])
    np.testing.assert_array_equal(summary[["best_rank", "worst_rank"]], [[1, 2], [3, 3], [1, 2]])
    text = sentences(made)
    assert "p is best, but not clearly, by a (0.100 ± 0.082 better than r, the runner-up by its mean)" in text
    exact = comparison(scores, HIGHER, errors={"a": 0.0})
    np.testing.assert_allclose(exact.summary()["error"], [0.01 / math.sqrt(3)] * 3)
    np.testing.assert_array_equal(exact.summary()["best_rank"], exact.summary()["rank"])
    assert "p is clearly best" in sentences(exact)


def test_an_unknown_mask_error_of_one_image_makes_that_of_the_mean_unknown():
    made = comparison({"a": {"p": [1.0, 2.0]}}, HIGHER, errors={"a": 0.1})
    made.scores.loc[0, "standard_error"] = np.nan
    assert np.isnan(made.summary()["mask_error"].item())


def slow_agreement(made, rows):
    """Kendall's tau by SciPy, of means of the images of the rows."""
    wide = made.scores.pivot(index="image", columns=["metric", "method"], values="score").loc[rows]
    means = {name: wide[name].mean().to_numpy() * (-1 if name == "MPRT" else 1) for name in METRICS}
    pairs = [("SenC", "Faithfulness Corr."), ("SenC", "MPRT"), ("Faithfulness Corr.", "MPRT")]
    taus = []
    for pair in pairs:
        first, second = (np.round(means[name], 12) for name in pair)
        both = ~(np.isnan(first) | np.isnan(second))
        taus.append(kendalltau(first[both], second[both]).statistic if both.sum() > 2 else math.nan)
    return taus


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize("decimals", [3, 0])
def test_agreement_is_scipys_on_the_same_resamples(decimals):
    """With whole numbers, which tie; with missing scores of single images and of a whole method."""
    qualities = {name: range(6) for name in METRICS}
    scores = scattered(qualities, "uvwxyz", n_images=5, spread=2)
    for by_method in scores.values():
        for values in by_method.values():
            values[:] = np.round(values, decimals)
    scores["SenC"]["u"][1:3] = np.nan
    scores["MPRT"]["v"][:] = np.nan
    made = comparison(scores)
    table = made.agreement(n_resamples=60, seed=3)
    np.testing.assert_allclose(table["tau"], slow_agreement(made, range(5)))
    assert list(table["n_methods"]) == [6, 5, 5]
    counts = image_counts(5, 60, 3)
    assert set(counts.sum(1)) == {5}
    slow = np.array([slow_agreement(made, np.repeat(range(5), count)) for count in counts])
    low, high = np.nanpercentile(slow, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(table["low"], low)
    np.testing.assert_allclose(table["high"], high)


def test_agreement_orients_both_metrics():
    scores = {"SenC": {"p": [1.0], "q": [2.0], "r": [3.0]}, "MPRT": {"p": [1.0], "q": [2.0], "r": [3.0]}}
    assert comparison(scores).agreement()["tau"].item() == -1


def test_agreement_draws_the_same_images_for_every_metric():
    """Two copies of a metric agree in every resample, however much single images scatter."""
    scores = scattered({"a": [0, 0, 0, 0]}, n_images=8)
    made = comparison({"a": scores["a"], "b": scores["a"]}, HIGHER)
    assert made.agreement()[["tau", "low", "high"]].to_numpy().tolist() == [[1, 1, 1]]


@pytest.mark.parametrize(
    ("second", "n_methods"), [({"p": 1, "q": 2}, 2), ({"p": 1, "q": 1, "r": 1}, 3)], ids=["too few", "all tied"]
)
def test_agreement_is_unknown(second, n_methods):
    first = {"p": [1.0, 1.0], "q": [2.0, 2.0], "r": [3.0, 3.0]}
    made = comparison({"a": first, "b": {name: [value, value] for name, value in second.items()}}, HIGHER)
    row = made.agreement().iloc[0]
    assert row["n_methods"] == n_methods
    assert row[["tau", "low", "high"]].isna().all()


def test_a_single_image_has_no_interval():
    row = typical(n_images=1).agreement().iloc[0]
    assert not np.isnan(row["tau"])
    assert row[["low", "high"]].isna().all()


def test_agreement_depends_on_its_seed_alone():
    made = typical(n_images=5)
    pd.testing.assert_frame_equal(made.agreement(100, seed=1), made.agreement(100, seed=1))
    with pytest.raises(ValueError, match="n_resamples=0 is less than 1"):
        made.agreement(0)


def test_controls_are_a_list():
    with pytest.raises(ValueError, match="controls='random', which is no list"):
        typical(settings={"controls": "random"})


def test_nothing_to_compare():
    assert comparison({"SenC": {"p": [1.0]}}).agreement().empty
    empty = comparison({})
    assert empty.summary().empty
    assert empty.agreement().empty
    assert empty.verdict() == []


def sentences(made):
    return "\n".join(made.verdict())


def test_verdict_names_the_best_of_each_category():
    text = sentences(typical())
    assert "Sensitivity consistency: LayerGradCam is clearly best by SenC (" in text
    assert 'Randomisation: the control "random" is clearly best by MPRT (' in text


def test_a_lead_is_judged_on_pairs_of_images():
    """The images differ far more than the methods do, which is the same for both."""
    images = np.linspace(-10, 10, 12)
    steady = comparison({"a": {"p": images, "q": images + 0.1 + 0.01 * np.cos(images)}}, HIGHER)
    assert "q is clearly best by a (0.0989 ± 0.0021 better than p, the runner-up by its mean)" in sentences(steady)
    loose = comparison({"a": {"p": images, "q": images[::-1] + 0.1}}, HIGHER)
    assert "q is best, but not clearly, by a (" in sentences(loose)


def test_verdict_gathers_metrics_with_one_finding():
    images = np.linspace(0, 1, 12)
    by_method = {"p": images, "q": images + 1}
    assert "Faithfulness: q is clearly best by a (1.00" in sentences(comparison({"a": by_method, "b": by_method}, HIGHER))
    text = sentences(comparison({"a": by_method, "b": {"p": images, "q": images}}, HIGHER))
    assert "; p and q tie for first by b." in text


def test_verdict_says_where_controls_rank():
    text = sentences(typical())
    assert 'The control "random" ranks 4th of 4 by SenC and Faithfulness Corr. and 1st of 4 by MPRT.' in text
    assert "control" not in sentences(typical(settings={"controls": []}))


def test_verdict_says_which_controls_nothing_beats():
    alike = np.cos(np.arange(12.0))
    scores = {
        "a": {"p": alike, "q": alike[::-1] + 0.01, "random": -alike - 0.1},
        "b": {"p": alike + 1, "q": alike, "random": alike},
    }
    text = sentences(comparison(scores, HIGHER, settings={"controls": ["random"]}))
    assert 'No informative method is clearly better than the control "random" by a.' in text
    assert "joint 2nd of 3 by b" in text


def test_verdict_on_agreement():
    text = sentences(typical())
    assert "Pairs of metrics: 1 ranking the methods alike" in text
    assert "2 ranking them the other way round" in text
    assert "Most opposed: Faithfulness Corr. and MPRT (tau −1.00, −1.00 to −1.00)" in text
    assert "1 leaving it open (0 included)" in sentences(comparison(scattered({"a": [0] * 4, "b": [0] * 4}), HIGHER))


def test_verdict_is_careful_with_few_images_and_gaps():
    assert "images" not in sentences(typical())
    assert "only 4 images" in sentences(typical(n_images=4))
    text = sentences(typical(n_images=1))
    assert "single image" in text
    assert "clearly" not in text
    scores = scattered()
    scores["MPRT"]["Saliency"][:] = np.nan
    text = sentences(comparison(scores, failures={("MPRT", "Saliency"): "no gradient"}))
    assert "1 of 12 means are missing: MPRT for Saliency." in text


AWKWARD = [
    "a,b",
    'say "no"',
    "two\nlines",
    "carriage\r\nreturn\r",
    "bare\rreturn",
    "über/δ 漢字",
    "NA",
    "nan",
    "",
    "<b>",
    " spaced ",
    "nul\0",
]


def test_a_folder_gives_everything_back(tmp_path):
    draw = np.random.default_rng(0)
    scores = {
        metric: {method: draw.normal(size=3) * 10.0 ** draw.integers(-300, 300) for method in AWKWARD} for metric in AWKWARD
    }
    scores["NA"]["nan"][:] = np.nan
    failures = {("NA", "nan"): 'it said:\n"no, never", NaN'}
    settings = {"controls": ["nan"], "versions": {"quantus": "0.6.0"}, "seconds": 0.1 + 0.2, "note": "δ\n"}
    metrics = {name: (name, "lower") for name in AWKWARD}
    made = comparison(scores, metrics, {"NA": 1 / 3}, failures, settings, examples(AWKWARD))
    made.save(tmp_path / "new" / "folder")
    loaded = Comparison.load(tmp_path / "new" / "folder")
    pd.testing.assert_frame_equal(loaded.scores, made.scores, check_exact=True)
    pd.testing.assert_frame_equal(loaded.metrics, made.metrics)
    assert loaded.settings == settings
    assert loaded.examples is not None
    np.testing.assert_array_equal(loaded.examples.image, made.examples.image)
    assert loaded.examples.target == 7
    assert list(loaded.examples.maps) == AWKWARD
    for name, values in made.examples.maps.items():
        np.testing.assert_array_equal(loaded.examples.maps[name], values)


def assert_equal(first, second):
    """The same types and values, in dataclasses and tuples too, bit for bit."""
    assert type(first) is type(second)
    if dataclasses.is_dataclass(first):
        for field in dataclasses.fields(first):
            assert_equal(getattr(first, field.name), getattr(second, field.name))
    elif isinstance(first, torch.Tensor):
        assert first.dtype is second.dtype
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    elif isinstance(first, tuple):
        for pair in zip(first, second, strict=True):
            assert_equal(*pair)
    else:
        assert first == second or (math.isnan(first) and math.isnan(second))


def test_records_come_back_from_a_folder(tmp_path):
    made = examples()
    made.units["LayerGradCam"] = dataclasses.replace(record(), score=math.nan, undefined="a constant attribution")
    typical(examples=made).save(tmp_path)
    loaded = Comparison.load(tmp_path).examples
    for before, after in ((made.features, loaded.features), (made.units, loaded.units)):
        assert list(before) == list(after)
        for name in before:
            assert_equal(before[name], after[name])
            torch.testing.assert_close(before[name].masks(), after[name].masks())


def test_a_folder_is_written_anew(tmp_path):
    typical(examples=examples()).save(tmp_path)
    typical().save(tmp_path)
    assert Comparison.load(tmp_path).examples is None


def test_folders_that_cannot_be_used(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"holds no SHA256SUMS; pass a folder that Comparison.save has written"):
        Comparison.load(tmp_path / "absent")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"file' was not written .*File exists.*; mend that, or pass another folder"):
        typical().save(tmp_path / "file")
    with pytest.raises(TypeError, match="settings hold what JSON cannot"):
        typical(settings={"model": torch.nn.Linear(1, 1)}).save(tmp_path)
    assert not (tmp_path / "scores.csv").exists()


def test_frames_are_the_comparisons_own():
    given = typical().to_frame()
    made = Comparison(given, described(), {})
    given["score"] = 0.0
    copy = made.to_frame()
    copy["score"] = 1.0
    assert made.scores["score"].nunique() > 2


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda scores, metrics: (scores.drop(columns="image"), metrics), r"scores lack the columns \['image'\]"),
        (lambda scores, metrics: (pd.concat([scores, scores]), metrics), "scores hold {'metric': 'SenC', .* more than once"),
        (lambda scores, metrics: (scores, metrics.replace("lower", "up")), r"directions \['up'\]; write 'higher' or 'lower'"),
        (lambda scores, metrics: (scores, metrics.iloc[1:]), r"scores are of metrics \['SenC'\] that `metrics` has no row"),
        (lambda scores, metrics: (scores.assign(method=None), metrics), "scores hold NaN among"),
        (lambda scores, metrics: (scores[:2].assign(method=[1, "1"], image=0), metrics), "scores hold {.*'1'.* more than once"),
        (lambda scores, metrics: (scores.assign(image="first"), metrics), "scores hold what is no number where one must be"),
    ],
)
def test_frames_that_cannot_be_compared(spoil, message):
    made = typical(n_images=2)
    with pytest.raises(ValueError, match=message):
        Comparison(*spoil(made.scores, made.metrics), {})


def test_best_is_clear_only_if_it_is_so_against_all():
    noise = np.array([-4.0, 4.0, -4.0, 4.0])
    scores = {"SenC": {"a": np.array([1.0, 2.0, 3.0, 4.0]), "b": np.array([0.9, 1.9, 2.9, 3.89]), "c": 1.0 + noise}}
    (first, *_) = comparison(scores).verdict()
    assert "a is best, but not clearly, by SenC" in first
    assert "better than b, the runner-up by its mean; not clearly better than c)" in first


def test_best_mean_of_other_images_is_not_best():
    nan = np.nan
    scores = {"SenC": {"a": np.array([nan, 10.0, 9.0]), "b": np.array([5.0, 11.0, 10.5])}}
    (first, *_) = comparison(scores).verdict()
    assert (
        "a has the best mean, but is not clearly best, by SenC (1.25 ± 0.25 worse than b, the runner-up by its mean, on the"
        in first
    )
