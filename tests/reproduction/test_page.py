"""The page of the reproduction: its numbers are those of the results, and its verdicts follow from them."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from benchmarks.reproduce import RESULTS
from benchmarks.reproduction.claims import CLAIMS
from benchmarks.reproduction.judging import (
    NO,
    ONLY,
    PARTLY,
    YES,
    Claim,
    Tried,
    above,
    as_random,
    at_randoms_level,
    best,
    clearly_above,
    falls,
    figure_is,
    near,
)
from benchmarks.reproduction.page import load_results, page

PAGE = Path(RESULTS).parent / "REPRODUCTION.md"
RESULTS_BY_NAME = load_results(RESULTS)


def numbers(value):
    """All numbers in nested results, also those that name a setting."""
    if isinstance(value, Mapping):
        value = [*map(_number, value), *value.values()]
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []


def _number(name):
    try:
        return float(name)
    except ValueError:
        return None


def unknown(text, known):
    """The decimal numbers of a text that no known number rounds to."""
    printed = re.findall(r"(?<![\w.])[-−]?\d+\.\d+(?![\w.])", text)
    return [
        one for one in printed if not any(f"{value:z.{len(one.split('.')[1])}f}" == one.replace("−", "-") for value in known)
    ]


def test_page_is_made_of_the_results():
    assert PAGE.read_text() == page(RESULTS_BY_NAME)


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim.text[:40])
def test_numbers_of_a_claim_are_results(claim):
    values = claim.values(RESULTS_BY_NAME)
    if values is None:
        pytest.skip("not run")
    judged = claim.judged(values)
    assert not unknown(f"{judged.ours} {judged.reason}", numbers(values))
    assert judged.verdict in (YES, NO, PARTLY) or judged.verdict.startswith(ONLY)
    assert re.search(r"\d", judged.ours)


def test_numbers_of_experiments_and_recommendations_are_results():
    text = PAGE.read_text().split("## What we recommend")[1]
    assert not unknown(text, numbers(RESULTS_BY_NAME))


def test_an_unknown_number_is_seen():
    assert unknown("0.61 ± 0.02, -0.2", [0.609, 0.0213]) == ["-0.2"]


def cell(mean, error=0.01):
    return {"mean": mean, "error": error, "n_images": 16}


def test_verdicts():
    row = {"IG": cell(0.5), "LRP": cell(0.52, 0.05), "VB": cell(0.2), "random": cell(0.19)}
    values = {"data": {"SenC, paper": row, "SenC, regression": row}}
    assert near(row["IG"], 0.519)
    assert not near(row["IG"], 0.521)
    assert clearly_above(row["IG"], row["VB"])
    assert not clearly_above(row["LRP"], row["IG"])
    assert at_randoms_level(row, "VB")
    assert not at_randoms_level(row, "IG")
    assert figure_is("data", "SenC, paper", "IG", 0.9)(values).verdict == NO
    assert best("data", "SenC, paper", ["IG", "LRP"])(values).verdict == YES
    assert best("data", "SenC, paper", ["IG", "VB"])(values).verdict == PARTLY
    assert as_random("data", ["SenC, paper"], ["VB", "IG"])(values).verdict == PARTLY


def test_a_claim_may_hold_in_another_setting_alone():
    """One that compares methods does not, where a method is missing."""
    row = {"IG": cell(0.5), "LRP": cell(0.8), "random": cell(0.0)}
    kept = {"IG": cell(0.9)}
    values = {
        "data": {"SenC, paper": row, "SenC, regression": row | {"IG": cell(0.7)}},
        "other settings": {"data": {"SenC, paper, 0.8 kept": kept, "SenC, regression, 0.8 kept": {"IG": cell(0.1)}}},
    }
    tried = Tried("data", "SenC, paper", ("IG",))
    claim = Claim("mnist", "IG above 0.6", above("data", "SenC, paper", ["IG"], 0.6), tried=tried)
    assert claim.judged(values).verdict == f"{ONLY} with 0.8 kept; by the regression"
    assert claim.elsewhere(values) == {
        ("0.8 kept", "paper"): ("IG 0.90 ± 0.01", True),
        ("0.8 kept", "regression"): ("IG 0.10 ± 0.01", False),
        ("", "regression"): ("IG 0.70 ± 0.01", True),
    }
    compared = Claim("mnist", "IG best", best("data", "SenC, paper", ["IG"]), tried=tried)
    assert compared.judged(values).verdict == NO
    holds = Claim("mnist", "LRP above 0.6", above("data", "SenC, paper", ["LRP"], 0.6), tried=tried)
    assert holds.elsewhere(values) == {}


def test_grad_cam_of_another_layer_leaves_other_methods():
    row = {"IG": cell(0.5), "Grad-CAM": cell(0.8), "random": cell(0.0)}
    other = {"data": {"SenC, paper, Grad-CAM of conv2": {"Grad-CAM": cell(0.1)}}}
    values = {"data": {"SenC, paper": row, "SenC, regression": row}, "other settings": other}
    claim = Claim(
        "mnist", "IG best", best("data", "SenC, paper", ["IG"]), tried=Tried("data", "SenC, paper", ("IG", "Grad-CAM"))
    )
    assert claim.judged(values).verdict == f"{ONLY} with Grad-CAM of conv2"


def test_claims_of_two_experiments():
    claim = next(claim for claim in CLAIMS if claim.experiment == "mnist, cifar10")
    assert claim.values({"mnist": {"values": {"a": 1}}}) is None
    both = {"mnist": {"values": {"a": 1}}, "cifar10": {"values": {"a": 2}}}
    assert claim.values(both) == {"mnist": {"a": 1}, "cifar10": {"a": 2}}


def test_a_fall_from_one_image_set_to_another():
    before, after = ({"parameter": {"all layers, paper": {"VB": cell(mean, 0.03)}}} for mean in (0.5, 0.3))
    values = {"mnist": before, "cifar10": after}
    assert falls("parameter", "all layers, paper", {"VB": 0.17})(values).verdict == YES
    assert falls("parameter", "all layers, paper", {"VB": 0.10})(values).verdict == NO
