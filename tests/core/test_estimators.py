"""Estimators are functions of masks and weights alone; compared with plain loops and NumPy's least squares."""

import numpy as np
import pytest
import torch

from quantus_senc.core.estimators import N_BLOCKS, exhaustive, paper, regression, terms
from quantus_senc.core.masks import exhaustive_masks
from tests import estimates

MASKS = torch.rand(150, 7, generator=torch.Generator().manual_seed(1)) > 0.5
WEIGHTS = torch.rand(3, 150, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_terms_are_the_masks_and_products_of_every_two():
    kept = MASKS.numpy().astype(float)
    found = terms(MASKS, 0.8, interactions=True).numpy()
    np.testing.assert_array_equal(found[:, 0], 1)
    np.testing.assert_array_equal(found[:, 1:8], kept)
    pairs = [(kept[:, a] - 0.2) * (kept[:, b] - 0.2) for a in range(7) for b in range(a)]
    np.testing.assert_allclose(found[:, 8:], np.array(pairs).T)
    assert terms(MASKS, 0.8, interactions=False).shape == (150, 8)


@pytest.mark.parametrize("n_masks", [1, 20, 33, 150])
def test_paper_equals_a_loop(n_masks):
    expected = np.zeros((3, 2, 7))
    for image in range(3):
        for mask in range(n_masks):
            expected[image] += np.outer(WEIGHTS[image, mask], MASKS[mask])
    np.testing.assert_allclose(paper(MASKS.__getitem__, WEIGHTS[:, :n_masks]).sensitivities, expected)


@pytest.mark.parametrize("interactions", [False, True])
def test_regression_is_least_squares_of_each_image(interactions):
    found = regression(MASKS.__getitem__, WEIGHTS, 0.5, interactions=interactions).sensitivities
    for image in range(3):
        for kind in range(2):
            expected = estimates.regression(MASKS.numpy(), WEIGHTS[image, :, kind].numpy(), 0.5, interactions)
            np.testing.assert_allclose(found[image, kind], expected)


def test_regression_leaves_out_interactions_that_masks_do_not_tell_apart():
    masks = MASKS.clone()
    masks[:, 1] = ~masks[:, 0] | (torch.arange(150) < 4)  # nearly always the opposite of the first feature
    masks[:4, 0] = True
    few, plain = (regression(masks.__getitem__, WEIGHTS[:, :20], 0.5, interactions=each) for each in (True, False))
    assert torch.equal(few.sensitivities, plain.sensitivities)
    assert regression(masks.__getitem__, WEIGHTS, 0.5, interactions=False).sensitivities.isfinite().all()


@pytest.mark.parametrize("estimate", [paper, lambda m, w: regression(m, w, 0.5, interactions=True)])
def test_nan_weights_stay_with_their_image_and_kind(estimate):
    weights = WEIGHTS.clone()
    weights[1, 3, 0] = torch.nan
    found, expected = estimate(MASKS.__getitem__, weights), estimate(MASKS.__getitem__, WEIGHTS)
    there = torch.tensor([[False, False], [True, False], [False, False]])
    assert torch.equal(found.sensitivities.isnan().any(-1), there)
    np.testing.assert_allclose(found.sensitivities[~there], expected.sensitivities[~there])


@pytest.mark.parametrize("mask_rate", [0.2, 0.8])
def test_all_masks_give_the_limit(mask_rate):
    masks = exhaustive_masks(torch.ones(7, dtype=torch.bool), torch.arange(128))
    weights = torch.rand(1, 128, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    slopes = exhaustive(masks.__getitem__, weights, mask_rate, estimator="regression")
    sums = exhaustive(masks.__getitem__, weights, mask_rate, estimator="paper")
    for kind in range(2):
        expected = estimates.limit(masks.numpy(), weights[0, :, kind].numpy(), mask_rate)
        np.testing.assert_allclose(slopes.sensitivities[0, kind], expected)
        probabilities = np.prod(np.where(masks, 1 - mask_rate, mask_rate), axis=1)
        np.testing.assert_allclose(sums.sensitivities[0, kind], (weights[0, :, kind].numpy() * probabilities) @ masks.numpy())
    assert slopes.deviations.shape == (1, N_BLOCKS, 2, 7)
    assert not slopes.deviations.any()
