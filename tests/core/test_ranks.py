"""Ranks and rank correlation against SciPy, ties included."""

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from quantus_senc.core.ranks import centred_ranks, has_no_ranks, rank_correlation, spearman


def rows(ties, dtype=torch.float32):
    torch.manual_seed(0)
    values = torch.randn(12, 57, dtype=torch.float64)
    return (values.mul(2).round() if ties else values).to(dtype)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_ranks_equal_scipy(ties, dtype):
    values = rows(ties, dtype)
    np.testing.assert_array_equal(centred_ranks(values), 2 * rankdata(values, axis=1) - 58)


def test_ranks_of_special_values():
    values = torch.tensor([torch.inf, -torch.inf, 0.0, -0.0, 1e-45])
    np.testing.assert_array_equal(centred_ranks(values), [4, -4, -1, -1, 2])
    np.testing.assert_array_equal(centred_ranks(torch.tensor([7.0])), [0])


@pytest.fixture(params=[1, 8])
def n_threads(request):
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("ties", [False, True])
def test_all_ways_to_sort_give_the_same(ties, n_threads):
    """Single precision on the host has two ways of its own."""
    values = rows(ties)
    values[0, :9] = torch.tensor([0.0, -0.0, torch.inf, -torch.inf, 1e-45, -1e-45, 3e38, -3e38, -0.0])
    values[1, 3] = torch.nan
    values[2, 3] = -torch.nan
    ranks = centred_ranks(values)
    np.testing.assert_array_equal(ranks, centred_ranks(values.double()))
    assert ranks.isnan().all(-1).tolist() == [False, True, True] + [False] * 9
    strided = torch.stack([values, values], -1)[..., 0]
    np.testing.assert_array_equal(centred_ranks(strided), ranks)


@pytest.mark.parametrize("ties", [False, True])
def test_spearman_equals_scipy(ties):
    a, b = rows(ties), rows(ties).flip(0)
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, rtol=1e-12)


def test_one_row_of_ranks_with_many_rows_of_values():
    a, b = rows(ties=True)[:1], rows(ties=True)
    rho, constant = rank_correlation(centred_ranks(a), b)
    np.testing.assert_allclose(rho, spearman(a.expand_as(b), b), rtol=1e-12)
    assert not constant.any()


def test_equal_correlations_are_equal_to_the_last_bit():
    """Five values have few correlations; sums of them must tie where they are the same sums."""
    values = torch.stack([torch.randperm(5) for _ in range(500)]).float()
    rho, _ = rank_correlation(centred_ranks(torch.arange(5.0)), values)
    assert len(rho.unique()) == len(np.unique(rho.numpy().round(6))) == 21


def test_rows_without_ranks():
    values = torch.tensor([[2.0, 2.0, 2.0], [1.0, torch.nan, 2.0], [1.0, 3.0, 2.0]])
    ranks = centred_ranks(values)
    assert has_no_ranks(ranks).tolist() == [True, False, False]
    assert ranks[1].isnan().all()
    rho, constant = rank_correlation(ranks[2], values)
    assert rho.isnan().tolist() == [False, True, False]
    assert rho[0] == 0
    assert constant.tolist() == [True, False, False]
    assert spearman(values, values[[2, 2, 2]]).isnan().tolist() == [True, True, False]
    assert spearman(values[[2, 2, 2]], values).isnan().tolist() == [True, True, False]


@pytest.mark.parametrize("ties", [False, True])
def test_other_defaults_of_torch(ties):
    values = rows(ties)
    expected = centred_ranks(values)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.device("meta"):
            assert torch.equal(centred_ranks(values), expected)
    finally:
        torch.set_default_dtype(torch.float32)


def test_a_row_does_not_depend_on_the_others():
    values = rows(ties=True)
    assert torch.equal(centred_ranks(values)[5:6], centred_ranks(values[5:6]))


def test_large_rows_keep_their_precision():
    torch.manual_seed(0)
    a = torch.randn(2, 150_528)
    b = a + torch.randn_like(a)
    expected = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(spearman(a, b), expected, atol=1e-7)
