"""Ties, the score and top-k agreement against plain Python."""

import numpy as np
import pytest
import torch

from quantus_senc.core.consistency import consistency, top_k_agreement
from quantus_senc.core.ties import with_ties
from tests import reference

EXACT = torch.zeros(2, dtype=torch.float64)


def test_features_within_the_tie_tolerance_are_tied():
    prediction = torch.tensor([3.0, 2.0, 2.0 + 1e-7, 1.0], dtype=torch.float64)
    explanation = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    swapped = explanation[[0, 2, 1, 3]]
    tie_tolerance = torch.tensor([1e-6, 0.0], dtype=torch.float64)
    assert consistency(prediction, explanation, tie_tolerance) == consistency(prediction, swapped, tie_tolerance) < 1
    assert consistency(prediction, explanation, EXACT) < consistency(prediction, swapped, EXACT) == 1
    assert top_k_agreement(prediction, explanation, 2, tie_tolerance) == 1.0
    assert top_k_agreement(prediction, explanation, 2, EXACT) == 0.5


def test_ties_do_not_depend_on_where_a_grid_would_lie_and_chains_of_them_break():
    tie_tolerance = torch.tensor(1e-6, dtype=torch.float64)
    for offset in np.linspace(0, 1e-6, 7):
        values = torch.tensor([0.5 + 1.8e-6, 0.5, 0.5 + 0.9e-6, 0.5 + 2.7e-6], dtype=torch.float64) + offset
        assert (with_ties(values, tie_tolerance) == values[[0, 1, 1, 0]]).all()


def test_ties_equal_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(20):
        values = rng.integers(20, size=(2, 12)) / 10
        found = with_ties(torch.tensor(values), torch.tensor(0.15, dtype=torch.float64))
        assert found.tolist() == [reference.with_ties(row, 0.15).tolist() for row in values]


def test_top_k_agreement_equals_sets():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(5, size=(2, 9)).astype(float)
        for k in range(1, 10):
            found = top_k_agreement(torch.tensor(a), torch.tensor(b), k, EXACT)
            assert found == pytest.approx(reference.top_k_agreement(a, b, k))
