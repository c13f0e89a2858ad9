from types import SimpleNamespace

import pytest
import torch
from matplotlib import pyplot as plt

from benchmarks.reproduction import known_truth
from benchmarks.reproduction.known_causes import causes, hidden, similarities
from benchmarks.reproduction.known_explanations import explain_effect, patch_effects
from benchmarks.reproduction.known_networks import (
    LIVE,
    N_PATCHES,
    Known,
    as_image,
    linear_model,
    shortcut_network,
    two_patch_network,
)
from benchmarks.reproduction.known_parameter_senc import relevant_units, unit_sweeps, unit_values
from benchmarks.reproduction.known_scores import data_records, score_values, standing
from benchmarks.reproduction.setup import Setup


def patch_sums(values):
    """Sums of pixels (N, 1, 8, 20) over each patch, (N, 10)."""
    return torch.nn.functional.avg_pool2d(values, 4).mul(16).flatten(1)


def test_effects_of_a_linear_model_on_logits_are_its_contributions():
    known = linear_model(3, 0, n_against=4)
    margin = known.model[1].weight[1] * known.x.flatten(1)  # half of the difference of the two logits
    contributions = patch_sums(margin.view_as(known.x)) * (2 * known.y[:, None] - 1)
    effects = patch_effects(known.model, known.x, known.y, softmax=False)
    torch.testing.assert_close(effects, contributions, atol=1e-5, rtol=0)
    assert (effects < 0).any()
    assert (effects > 0).any()


def test_effects_are_those_of_the_image_that_is_explained():
    known = linear_model(2, 0)
    kept = torch.ones(1, N_PATCHES)
    kept[0, 3] = 0
    before, after = (patch_effects(known.model, x, known.y) for x in (known.x, known.x * as_image(kept)))
    assert (after[:, 3] == 0).all()
    assert (after != before).all()
    torch.testing.assert_close(explain_effect(known.model, known.x, known.y, part="size"), as_image(before.abs()))
    torch.testing.assert_close(explain_effect(known.model, known.x, -known.y + 1, part="positive"), torch.zeros_like(known.x))


def test_linear_model_has_the_evidence_that_is_asked_for():
    known = linear_model(20, 1, n_relevant=6, n_against=2, margin=2.0)
    weights = patch_sums(known.model[1].weight.diff(dim=0).view(1, 1, 8, 20))[0]
    assert known.relevant == tuple(torch.nonzero(weights).flatten().tolist())
    assert ((weights > 0).sum().item(), (weights < 0).sum().item()) == (4, 2)
    assert known.model(known.x).diff(dim=1).abs().mean().item() == pytest.approx(2, abs=1e-5)


def test_two_patch_network_reads_two_patches_and_four_channels():
    known = two_patch_network(4, 0)
    outputs = known.model(known.x)
    for patch in range(N_PATCHES):
        kept = torch.ones(1, N_PATCHES)
        kept[0, patch] = 0
        assert torch.equal(known.model(known.x * as_image(kept)), outputs) == (patch not in known.relevant)
    units = relevant_units(known.model)
    assert units == {
        "convolution": list(range(LIVE)),
        "fully connected layer": [N_PATCHES * c + patch for c in range(LIVE) for patch in known.relevant],
    }
    known.model[0].weight[LIVE:] = 9.0
    assert torch.equal(known.model(known.x), outputs)
    known.model[0].weight[LIVE - 1] = 9.0
    assert not torch.equal(known.model(known.x), outputs)


def test_shortcut_network_follows_the_mark():
    known, reliance = shortcut_network(6, 0, steps=60)
    assert reliance["mark's class, stripes disagree"] > 0.95
    assert (patch_effects(known.model, known.x, known.y).argmax(1) == 0).all()
    effects = patch_effects(hidden(known).model, known.x, known.y)
    assert (effects[:, 1:] == 0).all()
    assert (effects[:, 0] > 0).all()


def test_evidence_of_one_sign_is_ranked_by_both_sensitivities_and_evidence_of_both_signs_by_one():
    one_sign = causes(linear_model(3, 0))
    assert one_sign["scores"]["effect"]["mean"] == pytest.approx(1, abs=1e-4)
    assert one_sign["scores"]["input"]["mean"] < 0.9
    both_signs = causes(linear_model(3, 0, n_against=5))
    assert both_signs["scores"]["effect"]["mean"] < 0.3
    halves = both_signs["the two sensitivities"]
    assert halves["prediction sensitivity with effect"] > 0.95
    assert halves["explanation sensitivity with size of effect"] > halves["explanation sensitivity with effect"] + 0.3


def test_estimators_read_the_same_masks_and_a_blind_map_has_a_score_by_the_papers_alone():
    known = linear_model(2, 0)
    records = data_records(known, {"blob": "blob", "effect": explain_effect}, n_masks=60, estimators=("regression", "paper"))
    (sums, fits), k = (records[name] for name in ("paper", "regression")), 3
    assert torch.equal(sums["effect"][0].weights, fits["effect"][0].weights)
    blind = score_values(fits["blob"], k)
    assert (blind["mean"], blind["undefined"], blind["top-3"]) == (None, 1.0, None)
    assert score_values(sums["blob"], k)["undefined"] == 0


def test_similarity_by_ranks_is_the_metrics_and_by_values_sees_that_effects_grow_where_the_softmax_is_less_saturated():
    known = linear_model(2, 0)
    values, on_logits = (similarities(known, softmax=softmax) for softmax in (True, False))
    record = data_records(known, {"effect": explain_effect}, n_masks="all", mask_rate=0.8)["regression"]["effect"]
    assert values["ranks"] == score_values(record, 3)
    assert values["ranks, nothing else changes"]["mean"] > 0.95
    assert values["values"]["mean"] < 0
    assert on_logits["values"]["mean"] > 0.99


def test_units_that_reach_nothing_have_ranks_of_noise_while_the_top_of_the_ranks_is_right():
    sweep = unit_sweeps(2, n_masks=256, mask_rate=0.8, seed=0)
    values = sweep["units"]["100"]()
    assert values["top-8"] > 0.8
    assert values["mean"] < 0.6
    assert values == sweep["masks"]["256"]()
    assert values["mean"] != sweep["seed of masks"]["1"]()["mean"]


def test_relevant_units_alone_and_errors_of_masks_that_all_images_share():
    known = linear_model(4, 0, n_against=5)
    records = data_records(known, {"effect": explain_effect}, n_masks=60)["regression"]["effect"]
    values = unit_values(records, list(range(N_PATCHES)))
    assert values["among relevant units"]["mean"] == values["mean"]
    assert values["mask_error"] == pytest.approx(sum(record.standard_error for record in records) / 4, abs=1e-4)
    assert score_values(records, N_PATCHES)["mask_error"] < values["mask_error"]


def test_standing_counts_no_score_as_0_and_pairs_images():
    scores = {"effect": (0.5, 0.7), "same but for one image": (0.4, 0.6), "no score": (float("nan"),) * 2, "best": (0.9, 0.9)}
    records = {name: [SimpleNamespace(score=one) for one in pair] for name, pair in scores.items()}
    values = standing(records, "effect")
    assert (values["rank"], values["order"][0], values["order"][-1]) == (2, "best", "no score")
    assert values["differences"]["same but for one image"] == {"mean": 0.1, "error": 0.0}
    assert values["differences"]["no score"] == {"mean": 0.6, "error": 0.1}
    assert values["not below it by two errors"] == ["best"]


def test_smoke(tmp_path):
    setup = Setup(None, tmp_path, scale="smoke")
    values = known_truth.run(setup)
    assert values == known_truth.run(setup)
    assert values["data SenC"]["linear, evidence for the class"]["limit"]["scores"]["effect"]["n_images"] == 2
    figure = known_truth.figure(values)
    assert figure.axes[0].get_yticklabels()[0].get_text() == "effect"
    plt.close(figure)


def test_known_keeps_what_is_relevant():
    known = Known(torch.nn.Identity(), torch.rand(3, 1, 8, 20), (1, 6))
    assert (known.k, len(known.first(2).x), known.first(2).relevant) == (2, 2, (1, 6))
