"""What counts as the same result: rounding does, other ranks and other NaN do not."""

import pytest
import torch

from quantus_senc.core.same_result import (
    coarsely_same_attributions,
    coarsely_same_values,
    is_deterministic,
    same_attributions,
    same_predictions,
)

MAP = torch.tensor([[0.1, -2.0, 3.0, 0.5]])


@pytest.mark.parametrize(
    ("expected", "values", "same"),
    [
        (MAP, MAP * (1 + 1e-6), True),
        (MAP, MAP.flip(1), False),
        (MAP, MAP * torch.nan, False),
        (MAP * torch.nan, MAP, False),
        (MAP * torch.nan, MAP * torch.nan, True),
        (torch.ones(1, 4), torch.ones(1, 4), True),
        (torch.ones(1, 4), MAP, False),
    ],
)
def test_attributions(expected, values, same):
    assert same_attributions(expected, values).tolist() == [same]


def test_predictions():
    expected = torch.tensor([0.5, 0.5, 0.5, torch.nan, torch.nan])
    predicted = torch.tensor([0.5 + 2e-5, 0.5 + 2e-4, torch.nan, 0.5, torch.nan])
    assert same_predictions(expected, predicted).tolist() == [True, False, False, False, True]


@pytest.mark.parametrize(("n_changed", "deterministic"), [(0, True), (1, True), (2, False)])
def test_a_single_sample_of_four_may_change(n_changed, deterministic):
    """Rounding may put a ReLU on the other side of its kink."""
    predictions, maps = torch.rand(4), torch.rand(4, 30)
    again = maps.clone()
    again[:n_changed] += 1
    assert is_deterministic(predictions, maps, predictions, again) == deterministic


@pytest.mark.parametrize(("moved", "same"), [(1e-3, True), (2e-2, False)])
def test_coarse_rounding(moved, same):
    expected = torch.linspace(-1, 1, 2001)[None]
    assert coarsely_same_attributions(expected, expected * (1 + moved)).tolist() == [same]
    assert not coarsely_same_attributions(expected, -expected).item()


def test_an_infinite_value_says_nothing_of_the_others():
    expected = torch.tensor([torch.inf, 0.1, 0.2, 0.3])
    assert same_attributions(expected, expected.clone())
    assert not same_attributions(expected, expected[[0, 3, 1, 2]])


@pytest.mark.parametrize(
    ("expected", "values", "same"),
    [(MAP, MAP * 1.001, True), (MAP, MAP * 1.02, False), (MAP * 0, MAP * 0, True), (MAP * torch.nan, MAP * torch.nan, True)],
)
def test_coarse_values_need_no_ranks(expected, values, same):
    assert coarsely_same_values(expected, values).tolist() == [same]
