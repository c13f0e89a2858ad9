"""Experiment 7: MetaQuantus's criteria on cases with known answers, what is perturbed, and that the experiment runs."""

import math

import numpy as np
import pytest
import torch

from benchmarks.reproduction import meta_evaluation, meta_published
from benchmarks.reproduction.meta_consistency import (
    changed_distribution,
    preserved_ranks,
    unchanged_distribution,
    worse_scores,
)
from benchmarks.reproduction.meta_metrics import OF_QUANTUS, PaperScore, as_published, of_this_package
from benchmarks.reproduction.meta_perturbations import PUBLISHED, Perturbation
from benchmarks.reproduction.meta_scores import Trial
from benchmarks.reproduction.meta_summary import meta_consistency
from benchmarks.reproduction.networks import paper_cnn
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import NETWORKS
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.named_methods import named_methods

N = 6
MINOR, DISRUPTIVE = PUBLISHED[:2]


def scores_of_two_methods():
    return np.arange(2.0 * N).reshape(2, N)


def all_count(n_copies=1):
    return np.ones((n_copies, N), dtype=bool)


def test_scores_that_stay_have_p_1_and_scores_that_all_rise_the_smallest_p():
    scores = scores_of_two_methods()
    perturbed = np.stack([scores, scores + np.arange(1, N + 1)])
    assert unchanged_distribution(scores, perturbed, all_count(2)) == pytest.approx([1, 2 / 2**N])
    assert changed_distribution(scores, perturbed, all_count(2)) == pytest.approx([0, 1 - 2 / 2**N])


def test_scores_that_stay_count_for_the_same_distribution():
    scores = np.arange(40.0)[None]
    some_rise = scores + (np.arange(40) < 10)
    p = unchanged_distribution(scores, some_rise[None], np.ones((1, 40), dtype=bool)).item()
    mean, falls = 40 * 41 / 4, 30 * 15.5 / 2  # rank sums: expected, and half of the ranks of those that stay
    variance = 40 * 41 * 81 / 24 - (30**3 - 30 + 10**3 - 10) / 48  # with the correction for equal differences
    assert p == pytest.approx(math.erfc((mean - falls) / (2 * variance) ** 0.5))  # 0.01, and 0.002 without those that stay


def test_the_p_value_is_the_mean_over_methods():
    scores = scores_of_two_methods()
    one_rises = scores.copy()
    one_rises[1] += np.arange(1, N + 1)
    assert unchanged_distribution(scores, one_rises[None], all_count()) == pytest.approx([(1 + 2 / 2**N) / 2])


def test_ranks_that_swap_in_one_of_six_images_are_preserved_in_five():
    scores = scores_of_two_methods()
    swapped = scores.copy()
    swapped[:, 0] = swapped[::-1, 0]
    assert preserved_ranks(scores, swapped[None], all_count()) == pytest.approx([5 / 6])


def test_a_rank_is_of_a_method_and_not_of_a_score():
    scores = scores_of_two_methods()
    assert preserved_ranks(scores, 7 * scores[None] + 3, all_count()) == pytest.approx([1])


def test_equal_scores_keep_their_ranks():
    constant = np.ones((3, N))
    assert preserved_ranks(constant, constant[None], all_count()) == pytest.approx([1])


@pytest.mark.parametrize(("higher_is_better", "share"), [(True, 1 / 3), (False, 1 / 2)])
def test_worse_scores_are_lower_or_higher_and_never_equal(higher_is_better, share):
    scores = scores_of_two_methods()
    changed = scores + np.array([-1, -1, 0, 1, 1, 1])
    assert worse_scores(scores, changed[None], all_count(), higher_is_better=higher_is_better) == pytest.approx([share])


CRITERIA = [
    unchanged_distribution,
    changed_distribution,
    preserved_ranks,
    lambda *scores: worse_scores(*scores, higher_is_better=True),
]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("is_nan", [True, False])
def test_images_that_do_not_count_or_have_no_score_change_nothing(criterion, is_nan):
    generator = np.random.default_rng(0)
    scores, perturbed = generator.normal(size=(2, N)), generator.normal(size=(1, 2, N))
    counts = all_count()
    expected = criterion(scores[:, 1:], perturbed[..., 1:], counts[:, 1:])
    perturbed[..., 0] = np.nan if is_nan else -9
    counts[:, 0] = is_nan
    assert criterion(scores, perturbed, counts) == pytest.approx(expected)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_no_images_give_nan_and_no_other_copy_is_lost(criterion):
    scores = scores_of_two_methods()
    counts = all_count(2)
    counts[0] = False
    values = criterion(scores, np.stack([scores, scores - 1]), counts)
    assert np.isnan(values).tolist() == [True, False]


def test_an_ideal_metric_has_the_highest_meta_consistency_that_six_images_allow():
    scores = scores_of_two_methods()
    fallen = scores - np.arange(1, N + 1)
    perturbed = {"minor": scores, "disruptive": fallen}
    counts = [True] * N
    copies = {
        noise.name: [{"counts": counts, "scores": {"metric": perturbed[noise.name.split(",")[0]].tolist()}}] * 2
        for noise in PUBLISHED
    }
    values = meta_consistency({"scores": {"metric": scores.tolist()}}, copies, "metric", higher_is_better=True)
    ideal = 1 - 2 / 2**N / 4
    assert [values["MC"]["mean"], values["input"]["MC"]["mean"], values["model"]["MC"]["mean"]] == pytest.approx(
        [ideal] * 3, abs=1e-4
    )
    assert values["MC"]["low"] == values["MC"]["high"] == values["MC"]["mean"]
    reversed_direction = meta_consistency({"scores": {"metric": scores.tolist()}}, copies, "metric", higher_is_better=False)
    assert reversed_direction["MC"]["mean"] == pytest.approx(ideal - 1 / 4, abs=1e-4)


def test_noise_in_the_input_is_uniform_and_not_darker_than_the_image():
    x = torch.full((2, 1, 50, 50), 0.5)
    x[0] = 0
    noisy = Perturbation("input", True, 0.1).apply(torch.nn.Flatten(), x, seed=0)[1]
    assert noisy[0].min() == 0
    assert (noisy[1] - 0.5).abs().max().item() == pytest.approx(0.1, rel=0.01)
    assert (noisy[1] - 0.5).abs().mean().item() == pytest.approx(0.05, rel=0.05)


def test_noise_in_the_model_multiplies_a_copy_of_its_weights():
    model = torch.nn.Linear(200, 100)
    before = model.weight.clone()
    noisy = Perturbation("model", False, 2.0).apply(model, torch.zeros(1, 200), seed=0)[0]
    factors = (noisy.weight / before).detach()
    assert torch.equal(model.weight, before)
    assert factors.mean().item() == pytest.approx(1, abs=0.06)
    assert factors.std().item() == pytest.approx(2, rel=0.03)


class Recorder:
    """A metric that keeps its arguments and returns its seed."""

    def __init__(self):
        self.calls = []

    def metrics(self, model, shape, seed):
        def metric(**call):
            self.calls.append(call)
            return [seed] * len(call["x_batch"])

        return {"metric": metric}


def trial_of(recorder, x, model):
    y = model(x).argmax(1)
    return Trial("trial", model, x, y, named_methods(["input"]), recorder.metrics, 1)


def test_draws_are_fresh_for_a_copy_unless_they_shall_be_equal():
    trial = trial_of(Recorder(), torch.rand(3, 1, 8, 8), torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)))
    first = trial.scores(42, None, 0)["scores"]
    assert trial.scores(42, MINOR, 0, equal_draws=True)["scores"] == first
    seeds = {trial.scores(42, noise, copy)["scores"]["metric"][0][0] for noise in PUBLISHED for copy in (0, 1)}
    assert len(seeds | {first["metric"][0][0]}) == 9


def test_a_metric_gets_noisy_images_and_the_maps_of_those_without_noise():
    recorder, x = Recorder(), torch.rand(3, 1, 8, 8)
    trial = trial_of(recorder, x, torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3)))
    trial.scores(42, DISRUPTIVE, 0)
    assert np.array_equal(recorder.calls[0]["a_batch"], x.numpy())
    assert np.abs(recorder.calls[0]["x_batch"] - x.numpy()).max() > 1


class Brightness(torch.nn.Module):
    """Predicts whether an image is bright."""

    def forward(self, x):
        mean = x.flatten(1).mean(1)
        return torch.stack([0.9 - mean, mean - 0.9], 1)


def test_images_count_if_minor_noise_leaves_their_class_and_disruptive_noise_changes_it():
    x = torch.cat([torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)])
    trial = trial_of(Recorder(), x, Brightness())
    assert trial.scores(42, MINOR, 0)["counts"] == [True, True]
    assert trial.scores(42, DISRUPTIVE, 0)["counts"] == [True, False]  # noise in [-5, 5] brightens black images


@pytest.mark.parametrize("of", ["data", "layer"])
def test_the_papers_score_from_another_estimators_masks_is_the_published_one(of):
    torch.manual_seed(0)
    model, x = paper_cnn().eval(), torch.rand(2, 1, 28, 28)
    make, layers = (
        (DataSensitivityConsistency, {}) if of == "data" else (ParameterSensitivityConsistency, {"layers": "first_conv"})
    )
    common = {"n_masks": 60, "disable_warnings": True, **layers}
    call = {"model": model, "x_batch": x.numpy(), "y_batch": np.array([3, 1]), "a_batch": None, "s_batch": None}
    call |= {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}}
    expected = make(estimator="paper", **common)(**call)
    assert PaperScore(make(estimator="regression", **common))(**call) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("made", [of_this_package, as_published])
def test_all_metrics_give_every_image_a_score(made):
    torch.manual_seed(0)
    model, x = paper_cnn().eval(), torch.rand(2, 1, 28, 28)
    sizes = {
        "n_masks": 60,
        "n_masks_of_layers": 60,
        "n_classes": 10,
        "segment_func_kwargs": {"n_segments": 6, "compactness": 10},
    }
    metrics = made(model, tuple(x.shape), 0, **(sizes if made is of_this_package else {}))
    evaluation = Evaluation(model, x.numpy(), np.array([3, 1]), torch.arange(2), 0)
    method = named_methods(["Saliency"])["Saliency"]
    cells = [evaluation.score(method, metric, evaluation.attributions(method), {}) for metric in metrics.values()]
    assert [cell.error for cell in cells] == [""] * len(cells)
    assert np.isfinite([cell.scores for cell in cells]).all()
    assert set(OF_QUANTUS) <= set(metrics)


def cheap_metrics(model, shape, seed, **kwargs):
    """Brightness, which noise changes, under all names; it is the same with all draws."""

    def metric(**call):
        return call["x_batch"].mean((1, 2, 3)).tolist()

    return dict.fromkeys(["Data SenC, paper", *OF_QUANTUS], metric)


@pytest.fixture
def setup(tmp_path):
    torch.manual_seed(0)
    (tmp_path / "models").mkdir()
    for data, shape in (("mnist", (3, 28, 28)), ("cifar10", (3, 32, 32, 3))):
        images = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        np.savez(tmp_path / f"{data}_test.npz", x=images, y=np.zeros(3, int))
        make, recipe = NETWORKS[data]
        saved = {"state": make().state_dict(), "accuracy": 0.1, "recipe": recipe.plain(), "seconds": 0.0}
        torch.save(saved, tmp_path / "models" / f"{data}.pt")
    return Setup(tmp_path, tmp_path, "smoke")


def test_the_experiment_runs_goes_on_and_draws_its_figure(setup, monkeypatch):
    monkeypatch.setattr(meta_evaluation, "of_this_package", cheap_metrics)
    monkeypatch.setattr(meta_published, "as_published", cheap_metrics)
    monkeypatch.setattr(meta_evaluation, "METHODS", ("Saliency", "GradCAM"))
    monkeypatch.setattr(meta_published, "METHODS", {"Gradient": "Gradient"})
    values = meta_evaluation.run(setup)
    metrics = values["mnist"]["metrics"]
    assert metrics["MPRT"]["input"]["IEC minor"]["mean"] == 1  # all methods have the same score
    assert metrics["MPRT"]["model"]["IAC minor"]["mean"] == 1  # noise in the weights changes no image
    assert metrics["MPRT"]["equal draws"] == {key: metrics["MPRT"][key] for key in ("MC", "input", "model")}
    assert metrics["MPRT"]["scores"]["Saliency"]["as they are"] == pytest.approx(0.5, abs=0.05)
    monkeypatch.setattr(Trial, "scores", lambda *call: pytest.fail("computed again"))  # everything is in files
    assert meta_evaluation.run(setup) == values
    axes = meta_evaluation.figure(values).axes
    assert [axis.get_title() for axis in axes] == ["mnist", "cifar10"]
    assert [label.get_text() for label in axes[0].get_yticklabels()] == list(metrics)
