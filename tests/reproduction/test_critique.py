"""The statistics of `benchmarks.reproduction.critique` on cases with known answers, and the experiment as a whole."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib import pyplot as plt
from torch import nn

from benchmarks.reproduction import critique, critique_ink, critique_noise
from benchmarks.reproduction.critique_channels import channels
from benchmarks.reproduction.critique_ink import partial_rank_correlation, scores_by_ink
from benchmarks.reproduction.critique_noise import contrasted, expected_deviation, image_ssim
from benchmarks.reproduction.critique_ranks import (
    agreement_values,
    best_control,
    cascade_mprt,
    control_places,
    similarity_without_zeros,
)
from benchmarks.reproduction.critique_scales import correlation, parts, randomised, scale_values
from benchmarks.reproduction.networks import named_resnet18
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import NETWORKS
from quantus_senc import explain_blurred_noise, explain_sobel
from tests.comparisons import comparison


def two_layers():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def test_controls_are_placed_among_the_maps_that_have_a_rank():
    ranks = pd.Series({"VB": 1.0, "random": 2.0, "GB": 3.0, "IG": 4.0, "Sobel": 5.0, "blob": np.nan})

    assert control_places(ranks) == {
        "best rank of a control": 2.0,
        "methods below the best control": 2,
        "mean rank of controls": 3.5,
        "mean rank by chance": 3.0,
        "maps with a rank": 5,
        "controls with a rank": 2,
    }
    assert best_control(ranks) == "random"
    assert best_control(ranks[["VB", "blob"]]) == "none has a rank"


def test_the_six_methods_may_agree_where_all_maps_do_not():
    quality = {"VB": 6.0, "GB": 5.0, "IG": 4.0, "LRP": 3.0, "random": 0.0, "blob": 1.0}
    other = quality | {"random": 8.0, "blob": 7.0}
    scores = {metric: {name: [value] * 3 for name, value in by.items()} for metric, by in (("a", quality), ("b", other))}
    values = agreement_values(
        comparison(scores, {"a": ("Other", "higher"), "b": ("Other", "higher")}, settings={"controls": []})
    )

    assert values["the six methods"]["a"]["b"] == {"mean": 1.0, "low": 1.0, "high": 1.0, "n_methods": 4}
    assert values["all maps"]["a"]["b"]["mean"] == pytest.approx((6 - 9) / 15)


def test_similarity_leaves_out_what_is_zero_in_both():
    a, b = np.array([[0.0, 0, 0, 1, 2, 3, 0]]), np.array([[0.0, 0, 0, 3, 2, 0, 0]])

    assert similarity_without_zeros(a, b) == pytest.approx([-1])
    assert np.isnan(similarity_without_zeros(np.zeros((1, 5)), np.zeros((1, 5))))


def weight_of_last_layer(model, inputs, targets, **kwargs):
    return np.repeat(model[2].weight.detach().numpy().reshape(1, -1), len(inputs), 0)


def test_the_cascades_differ_by_where_they_begin():
    """A map of the last layer's weights is new at both steps from the top, but only at the second from below."""
    model = nn.Sequential(nn.Linear(15, 5), nn.ReLU(), nn.Linear(5, 3))
    x, y = np.ones((2, 15), dtype=np.float32), np.zeros(2, dtype=int)
    arguments = {"a_batch": weight_of_last_layer(model, x, y), "explain_func": weight_of_last_layer}

    top_down, bottom_up = (cascade_mprt(order, 0)(model, x, y, **arguments) for order in ("top_down", "bottom_up"))

    assert bottom_up == pytest.approx([(1 + rho) / 2 for rho in top_down])
    assert max(np.abs(top_down)) < 0.9


@pytest.mark.parametrize("width", [0.0, 2.0])
def test_the_deviation_of_the_correlation_of_independent_maps(width):
    images = torch.rand(400, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    maps = explain_blurred_noise(nn.Identity(), images, torch.zeros(400), width=width).flatten(1).numpy()
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(maps[:200], maps[200:], strict=True)]

    assert np.std(correlations) == pytest.approx(expected_deviation(12, width), rel=0.15)


def test_without_blur_the_deviation_is_that_of_independent_pixels():
    assert expected_deviation(10, 0.0) == pytest.approx(99**-0.5)


def test_ssim_sees_rows_and_columns_alike():
    maps = np.random.default_rng(0).random((2, 9, 9))
    turned = maps.swapaxes(1, 2)

    of_maps = image_ssim(maps.reshape(2, -1), (maps**2).reshape(2, -1))

    assert of_maps == pytest.approx(image_ssim(turned.reshape(2, -1), (turned**2).reshape(2, -1)))
    assert image_ssim(maps.reshape(2, -1), maps.reshape(2, -1)) == pytest.approx(1)


def test_contrast_is_stretched_for_each_map():
    assert contrasted(np.array([[1.0, 2.0, 3.0], [5.0, 5.0, 5.0]])).tolist() == [[0.0, 0.5, 1.0], [0.0, 0.0, 0.0]]


def test_removal_and_contribution_of_a_channel_below_a_linear_layer_are_weight_times_activation():
    model, x, y = two_layers(), torch.rand(4, 6, dtype=torch.float64), torch.tensor([0, 2, 1, 2])
    hidden = model[:2](x)
    expected = (hidden * model[2].weight[y]).abs().detach().numpy()

    of_channels = channels(model, "1", x, y)

    assert of_channels.activation == pytest.approx(hidden.detach().numpy())
    assert of_channels.gradient == pytest.approx(model[2].weight[y].abs().detach().numpy())
    assert of_channels.contribution == pytest.approx(expected)
    assert of_channels.removal == pytest.approx(expected)


def test_a_channel_of_an_image_is_removed_at_all_its_positions():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 4)).double()
    x, y = torch.rand(2, 1, 8, 8, dtype=torch.float64), torch.tensor([3, 0])
    hidden = model[:2](x)
    hidden[:, 1] = 0
    change = model(x)[[0, 1], y] - model[2:](hidden)[[0, 1], y]

    assert channels(model, "1", x, y).removal[:, 1] == pytest.approx(change.abs().detach().numpy())


def test_weights_are_drawn_anew_in_the_named_modules_alone():
    model = named_resnet18(2)
    layers = ["relu", "layer1.0", "layer1.1"]

    below, itself, above = parts(model, layers, "layer1.0")
    changed = randomised(model, itself, seed=1)

    assert below == ["conv1", "bn1"]
    assert itself == ["layer1.0.conv1", "layer1.0.bn1", "layer1.0.conv2", "layer1.0.bn2"]
    assert above[0] == "layer1.1.conv1"
    assert above[-1] == "fc"
    same = {name: torch.equal(value, changed.state_dict()[name]) for name, value in model.state_dict().items()}
    assert {name for name, is_same in same.items() if not is_same} == {"layer1.0.conv1.weight", "layer1.0.conv2.weight"}


def test_two_modules_of_one_shape_get_different_weights():
    changed = randomised(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), ["0", "1"], seed=1)

    assert not torch.equal(changed[0].weight, changed[1].weight)


def test_correlation_leaves_out_channels_and_images_without_ranks():
    a = np.array([[1.0, 2.0, 3.0, 9.0], [1.0, 1.0, 1.0, 1.0]])
    b = np.array([[3.0, 2.0, 1.0, 9.0], [1.0, 2.0, 3.0, 4.0]])

    assert correlation(a, b) == pytest.approx(0.2)
    assert correlation(a, b, a < 5) == pytest.approx(-1)


class Scaled(nn.Module):
    """Ten channels of very different sizes."""

    def forward(self, x):
        return x * 10.0 ** torch.arange(10, dtype=x.dtype)


def test_scales_survive_random_weights_above_and_gradients_do_not():
    torch.manual_seed(0)
    model = nn.Sequential(Scaled(), nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 3))
    x = torch.rand(8, 10) + 1

    values = scale_values(model, ["0"], x, torch.zeros(8, dtype=torch.int64), n_draws=8, seed=0)
    means = {question: row["0"]["mean"] for question, row in values["correlations"].items()}

    assert values["channels"] == [10]
    assert means["random above: activation and contribution"] > 0.95
    assert means["random above: activation and removal"] > 0.95
    assert abs(means["random above: gradient before and after"]) < 0.3
    assert means["random above: activation of shuffled channels and contribution"] < 0.8


def test_a_partial_rank_correlation_is_that_of_what_a_line_leaves_of_the_ranks():
    a, b, given = np.random.default_rng(0).permuted(np.tile(np.arange(30.0), (3, 1)), axis=1)
    left = [ranks - np.polyval(np.polyfit(given, ranks, 1), given) for ranks in (a, b)]

    assert partial_rank_correlation(a, b, given) == pytest.approx(np.corrcoef(*left)[0, 1])
    assert np.isnan(partial_rank_correlation(a, given, given))


def test_black_superpixels_are_left_out_where_ink_is_looked_at():
    image = torch.zeros(1, 5, 4)
    image[0, :4] = torch.arange(1.0, 5.0)[:, None]
    record = SimpleNamespace(
        labels=torch.arange(5).repeat_interleave(4).view(5, 4),
        prediction=torch.tensor([1.0, 2.0, 3.0, 4.0, 0.0]),
        explanation=torch.tensor([2.0, 1.0, 4.0, 3.0, 0.0]),
        score=0.8,
    )

    scores = scores_by_ink(record, image)

    assert scores["all superpixels"] == 0.8
    assert scores["superpixels with ink"] == pytest.approx(0.6)
    assert scores["prediction sensitivity and ink"] == pytest.approx(1)
    assert scores["share of superpixels with ink"] == pytest.approx(0.8)


def written(folder, name, side, *channels):
    """Six images of squares of four pixels, of which half are black."""
    rng = np.random.default_rng(0)
    squares = rng.integers(0, 256, (6, side // 4, side // 4, *channels)) * rng.integers(
        0, 2, (6, side // 4, side // 4, *channels)
    )
    x = squares.repeat(4, 1).repeat(4, 2).astype(np.uint8)
    np.savez(folder / f"{name}_test.npz", x=x, y=np.zeros(6, dtype=int))


def untrained(folder, name):
    torch.manual_seed(0)
    make, recipe = NETWORKS[name]
    saved = {"state": make().state_dict(), "accuracy": 0.1, "recipe": recipe.plain(), "seconds": 0.0}
    torch.save(saved, folder / f"{name}.pt")


@pytest.fixture
def setup(tmp_path, monkeypatch):
    written(tmp_path, "mnist", 28)
    written(tmp_path, "gtsrb", 32, 3)
    (tmp_path / "models").mkdir()
    untrained(tmp_path / "models", "mnist")
    untrained(tmp_path / "models", "gtsrb_shortcuts")
    monkeypatch.setattr(critique, "DEPTHS", {"mnist": ("relu1", "relu3"), "gtsrb_shortcuts": ("layer4.1",)})
    monkeypatch.setattr(critique_noise, "SHARES", (0.0, 1 / 3))
    monkeypatch.setattr(critique_ink, "MAPS", {"Sobel": explain_sobel})
    return Setup(tmp_path, tmp_path, "smoke")


def test_the_experiment_answers_all_four_questions(setup):
    values = critique.run(setup)
    drawn = critique.figure(json.loads(json.dumps(values, allow_nan=False)))
    plt.close(drawn)

    assert list(values) == ["settings", "maps", "why edges do well", "blurred noise", "activation scales", "agreement"]
    scores = values["maps"]["mnist"]["scores"]
    assert scores["MPRT top-down"]["blob"]["mean"] == 1
    assert scores["SenC (regression)"]["VB"]["n_images"] == 2
    assert scores["SenC (regression)"]["blob"]["rank"] is None
    row = values["activation scales"]["mnist"]["correlations"]["random above: activation and removal"]
    assert set(row) == {"relu1", "relu3"}
    assert set(values["blurred noise"]["width in pixels"]["MPRT"]) == {"0", "9.33"}
