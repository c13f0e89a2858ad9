"""Sums over masks stream: any split into chunks, and any split into shards that are added, gives the same."""

import itertools

import numpy as np
import pytest
import torch

from quantus_senc._consistency import consistency, top_k_agreement, with_ties
from quantus_senc._sensitivity import N_BLOCKS, Sums, block_sums, n_terms, terms
from tests import reference

WEIGHTS = torch.rand(3, 2, 50, generator=torch.Generator().manual_seed(0))
MASKS = torch.rand(3, 50, 7, generator=torch.Generator().manual_seed(1)) > 0.8
CONSTANT = torch.rand(3, 50, generator=torch.Generator().manual_seed(2)) > 0.5
FREE = torch.tensor([[True] * 7, [True, False] * 3 + [True], [False] * 5 + [True] * 2])
EXACT = torch.zeros(2, dtype=torch.float64)


def rows(images, masks, n_paired=4):
    return terms(MASKS[images, masks], FREE[images, None], 0.8, 7, n_paired)


def add(sums, images, masks, share=1.0):
    found = rows(slice(*images), slice(*masks))
    weights, constant = WEIGHTS[slice(*images), :, slice(*masks)], CONSTANT[slice(*images), slice(*masks)]
    sums.add(torch.arange(*images), masks, found, weights, torch.full(found.shape[:2], share), constant)
    return sums


def sums_of(*masks, share=1.0):
    return add(Sums.zeros(3, 14), (0, 3), masks or (0, 50), share)


def assert_equal(found, expected):
    np.testing.assert_allclose(found.blocks, expected.blocks, rtol=1e-12, atol=1e-15)
    for name in ("lowest", "highest", "n_masks", "n_constant"):
        assert torch.equal(getattr(found, name), getattr(expected, name))


def test_terms_are_the_masks_of_the_free_features_and_products_of_pairs():
    found = rows(slice(0, 3), slice(0, 50))
    assert found.shape == (3, 50, n_terms(7, 4)) == (3, 50, 14)
    for image in range(3):
        kept = MASKS[image][:, FREE[image]].numpy().astype(float)
        count = kept.shape[1]
        np.testing.assert_array_equal(found[image, :, 0], 1)
        np.testing.assert_array_equal(found[image, :, 1 : 1 + count], kept)
        assert not found[image, :, 1 + count : 8].any()
        pairs = [(kept[:, a] - 0.2) * (kept[:, b] - 0.2) for b in range(min(count, 4)) for a in range(b)]
        np.testing.assert_allclose(found[image, :, 8 : 8 + len(pairs)], np.array(pairs).T)


def test_block_sums_equal_a_loop():
    expected = np.zeros((3, N_BLOCKS, 2, 14))
    found = rows(slice(0, 3), slice(0, 50)).numpy()
    for image in range(3):
        for mask in range(50):
            for sensitivity in range(2):
                expected[image, mask % N_BLOCKS, sensitivity] += WEIGHTS[image, sensitivity, mask].item() * found[image, mask]
    np.testing.assert_allclose(block_sums(WEIGHTS, torch.tensor(found)), expected, rtol=1e-12, atol=1e-15)


def test_masks_may_be_shared_by_the_images():
    found = rows(slice(0, 1), slice(0, 50))
    shared, expanded = block_sums(WEIGHTS, found), block_sums(WEIGHTS, found.expand(3, -1, -1))
    np.testing.assert_allclose(shared, expanded, rtol=1e-12)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_any_chunks(size):
    sums = Sums.zeros(3, 14)
    for start in range(0, 50, size):
        for image in range(3):
            add(sums, (image, image + 1), (start, min(start + size, 50)))
    assert_equal(sums, sums_of())


@pytest.mark.parametrize("edges", [(0, 25, 50), (0, 1, 2, 49, 50), (0, 33, 40, 50)])
def test_shards_of_the_masks_add_up(edges):
    shards = [sums_of(*edge) for edge in itertools.pairwise(edges)]
    assert_equal(sum(reversed(shards), Sums.zeros(3, 14)), sums_of())


def test_shares_scale_the_sums():
    whole, half = sums_of(), sums_of(share=0.5)
    np.testing.assert_allclose(half.blocks, whole.blocks / 2)
    assert torch.equal(half.highest, whole.highest)


def test_nan_weights_stay_with_their_image():
    weights = WEIGHTS.clone()
    weights[1, 0, 3] = torch.nan
    found = block_sums(weights, rows(slice(0, 3), slice(0, 50))).sum(1)
    assert found.isnan().any(-1).tolist() == [[False, False], [True, False], [False, False]]


def test_features_within_the_resolution_are_tied():
    prediction = torch.tensor([3.0, 2.0, 2.0 + 1e-7, 1.0], dtype=torch.float64)
    explanation = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    swapped = explanation[[0, 2, 1, 3]]
    resolution = torch.tensor([1e-6, 0.0], dtype=torch.float64)
    assert consistency(prediction, explanation, resolution) == consistency(prediction, swapped, resolution) < 1
    assert consistency(prediction, explanation, EXACT) < consistency(prediction, swapped, EXACT) == 1
    assert top_k_agreement(prediction, explanation, 2, resolution) == 1.0
    assert top_k_agreement(prediction, explanation, 2, EXACT) == 0.5


def test_ties_do_not_depend_on_where_a_grid_would_lie_and_chains_of_them_break():
    resolution = torch.tensor(1e-6, dtype=torch.float64)
    for offset in np.linspace(0, 1e-6, 7):
        values = torch.tensor([0.5 + 1.8e-6, 0.5, 0.5 + 0.9e-6, 0.5 + 2.7e-6], dtype=torch.float64) + offset
        assert (with_ties(values, resolution) == values[[0, 1, 1, 0]]).all()


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
