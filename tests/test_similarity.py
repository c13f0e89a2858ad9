"""Ranks and rank correlation against SciPy, ties included."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from quantus_senc._similarity import average_ranks, is_constant, spearman, unit_ranks


def rows(ties, dtype=torch.float32):
    torch.manual_seed(0)
    values = torch.randn(12, 57, dtype=torch.float64)
    return (values.mul(2).round() if ties else values).to(dtype)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ranks_equal_scipy(ties, dtype):
    values = rows(ties, dtype)
    np.testing.assert_array_equal(average_ranks(values), rankdata(values, axis=1))


def test_ranks_of_special_values():
    values = torch.tensor([[torch.inf, -torch.inf, 0.0, -0.0, 1e-45]])
    np.testing.assert_array_equal(average_ranks(values), [[5, 1, 2.5, 2.5, 4]])


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_equals_scipy(ties):
    a, b = rows(ties), rows(ties).flip(0)
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-12)


def test_half_precision_loses_nothing():
    values = rows(ties=False, dtype=torch.float16)
    np.testing.assert_array_equal(unit_ranks(values), unit_ranks(values.float()))


def test_rows_without_ranks():
    values = torch.tensor([[2.0, 2.0, 2.0], [1.0, torch.nan, 2.0], [1.0, 3.0, 2.0]])
    ranks = unit_ranks(values)
    assert is_constant(ranks).tolist() == [True, False, False]
    assert (ranks[0] == 0).all()
    assert ranks[1].isnan().all()
    assert spearman(values, values[[2, 2, 2]]).isnan().tolist() == [True, True, False]


def test_a_row_does_not_depend_on_the_others():
    values = rows(ties=True)
    assert torch.equal(unit_ranks(values)[5:6], unit_ranks(values[5:6]))


def test_large_rows_keep_their_precision():
    torch.manual_seed(0)
    a, b = torch.randn(2, 150_528), torch.randn(2, 150_528)
    expected = [spearmanr(x, x + y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, a + b), expected, atol=1e-10)
