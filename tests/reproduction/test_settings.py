"""Experiment 5 of the reproduction: one setting is varied at a time."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from benchmarks.reproduction import settings
from benchmarks.reproduction.settings_ranking import ranking_agreement
from benchmarks.reproduction.settings_scores import Explained, Features, Masks, Table, scores
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import Trained
from quantus_senc import DataSensitivityConsistency, explain

FEATURES = Features(n_segments=9, compactness=10.0)


@pytest.fixture
def explained():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 10 * 10, 3)).eval()
    x = torch.rand(3, 1, 12, 12)
    x[:, :, :5] = 0  # features that equal the baseline
    return Explained(model, x, torch.tensor([0, 1, 2]), torch.tensor([7, 8, 9]))


def metric_of(masks, estimator):
    return DataSensitivityConsistency(
        n_masks=masks.n_masks,
        mask_rate=masks.mask_rate,
        seed=masks.seed,
        estimator=estimator,
        segment_func_kwargs={"n_segments": 9, "compactness": 10.0},
        disable_warnings=True,
    )


def run(metric, explained, method="Saliency"):
    kwargs = {"image_ids": explained.image_ids, "explain_func": explain, "explain_func_kwargs": {"method": method}}
    metric(explained.model, explained.x, explained.y, **kwargs)
    return metric.sensitivities


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("masks", [Masks(0.3, 60, 1), Masks(0.8, 300, 42), Masks(0.6, "all", 42)])
def test_other_masks_are_read_as_the_metric_would_run_them(explained, masks, estimator):
    every = [
        run(metric_of(Masks(0.8, "all", 42), "regression"), explained, method) for method in ("Saliency", "InputXGradient")
    ]
    again = [run(metric_of(masks, estimator), explained, method) for method in ("Saliency", "InputXGradient")]
    for image in range(3):
        table = Table.from_records([records[image] for records in every])
        for read, records in zip(table.read(masks, estimator), again, strict=True):
            assert read.score == pytest.approx(records[image].score)
            assert read.standard_error == pytest.approx(records[image].standard_error, abs=1e-3, nan_ok=True)
            assert read.explanation.tolist() == pytest.approx(records[image].explanation.tolist())


def test_masks_that_were_not_run_are_refused(explained):
    bright = replace(explained, x=explained.x + 0.5)  # more features than 50 masks have all masks of
    table = Table.from_records(run(metric_of(Masks(0.8, 50, 42), "regression"), bright)[:1])
    with pytest.raises(ValueError, match=r"the records lack \d+ of the masks; make them with n_masks='all'"):
        table.read(Masks(0.5, 200, 42), "paper")


def test_scores_are_by_method_estimator_and_masks(explained):
    methods = {"gradient": "Saliency", "random": "random"}
    values = scores(explained, methods, FEATURES, Masks(0.8, "all", 42), {"half": Masks(0.5, 80, 42)})
    assert list(values) == list(methods)
    for estimator in ("paper", "regression"):
        expected = [
            [one.score, one.standard_error, one.top_k_agreement(3)]
            for one in run(metric_of(Masks(0.5, 80, 42), estimator), explained)
        ]
        for row, values_of in zip(values["gradient"][estimator]["half"], expected, strict=True):
            assert row == pytest.approx(values_of, abs=1e-3)


def test_tau_counts_the_pairs_that_change_places():
    reference = np.array([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    agreement = ranking_agreement(reference[[0, 2, 1]], reference, seed=0)  # the last two of three change places
    assert agreement == {"tau": 0.3333, "error": 0.0, "low": 0.3333, "high": 0.3333}


def test_the_error_of_tau_comes_from_resampled_images():
    reference = np.array([[3.0, 3.0, 3.0], [2.0, 2.0, 2.0], [1.0, 1.0, 1.0]])
    mixed = np.array([[3.0, 3.0, 0.5], [2.0, 2.0, 2.0], [1.0, 1.0, 1.9]])
    agreement = ranking_agreement(mixed, reference, seed=0)
    # The first method is last, in two of three pairs, in the 7 of 27 resamples that hold the last image twice or more.
    assert (agreement["tau"], agreement["low"], agreement["high"]) == (1.0, -0.3333, 1.0)
    assert agreement["error"] == pytest.approx(4 / 3 * (7 * 20) ** 0.5 / 27, abs=0.03)
    assert agreement == ranking_agreement(mixed, reference, seed=0)


def test_images_without_a_score_are_left_out_of_a_mean():
    reference = np.array([[3.0, 3.0], [2.0, 2.0], [1.0, 1.0]])
    partly = np.array([[3.0, np.nan], [2.0, 2.0], [1.0, 1.0]])
    assert ranking_agreement(partly, reference, seed=0)["tau"] == 1.0


def test_tau_is_none_where_no_method_has_a_score():
    nothing = np.full((3, 2), np.nan)
    assert ranking_agreement(nothing, np.ones((3, 2)), seed=0) == dict.fromkeys(("tau", "error", "low", "high"))


@pytest.fixture
def setup(tmp_path, monkeypatch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 8 * 8, 10)).eval()
    monkeypatch.setattr(Setup, "network", lambda self, name: Trained(model, 0.5, None))
    digits = np.zeros((4, 28, 28), np.uint8)
    digits[:, 8:20, 8:20] = np.random.default_rng(0).integers(1, 255, (4, 12, 12))
    np.savez(tmp_path / "mnist_test.npz", x=digits, y=np.arange(4))
    return Setup(tmp_path, tmp_path / "out", scale="smoke")


def test_smoke(setup, monkeypatch):
    monkeypatch.setattr(settings, "RATES", (0.2, 0.8))
    monkeypatch.setattr(settings, "NUMBERS", (50, 5000, "all"))
    values = settings.run(setup)
    assert next(iter(values)) == "settings"
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    at_reference = values["mask rate"]["paper"]["0.8"]
    assert at_reference["tau"]["tau"] == 1.0  # with itself
    assert values["number of masks"]["paper"]["5000"] == at_reference
    limits = [values["number of masks"][estimator]["all"]["scores"]["VB"]["mean"] for estimator in ("paper", "regression")]
    assert limits[0] == limits[1]  # all masks rank features alike by both estimators
    assert values["number of masks"]["paper"]["all"]["tau to all masks"]["tau"] == 1.0
    assert values["compactness"]["paper"]["0.1"]["tau"]["tau"] == 1.0  # with as many masks as the other values have
    assert values["reading of a mask rate of 0.8"]["paper"]["kept"] == values["mask rate"]["paper"]["0.2"]
    assert values["number of masks"]["regression"]["50"]["scores"]["fixed random"]["mean"] is None  # a map that never changes
    assert values["superpixels"]["paper"]["15"] == values["compactness"]["paper"]["0.1"] == values["baseline"]["paper"]["0"]
    figure = settings.figure(values)
    names = ["VB", "Grad-CAM", "random", "fixed random", "tau, paper's sums", "tau, regression"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == names
    plt.close(figure)
    assert settings.run(setup) == values
