"""Sums over masks stream: any split into chunks, and any split into shards that are added, gives the same."""

import numpy as np
import pytest
import torch

from quantus_senc._chunks import BatchLimit, Chunk
from quantus_senc._consistency import consistency, top_k_agreement
from quantus_senc._sensitivity import Sums, weighted_masks
from tests import reference

WEIGHTS = torch.rand(3, 2, 50, generator=torch.Generator().manual_seed(0))
MASKS = torch.rand(3, 50, 7, generator=torch.Generator().manual_seed(1)) > 0.8
CONSTANT = torch.rand(3, 50, generator=torch.Generator().manual_seed(2)) > 0.5


def test_equals_a_loop():
    expected = np.zeros((3, 2, 7))
    for image in range(3):
        for mask in range(50):
            for sensitivity in range(2):
                expected[image, sensitivity] += WEIGHTS[image, sensitivity, mask].item() * MASKS[image, mask].numpy()
    np.testing.assert_allclose(weighted_masks(WEIGHTS, MASKS), expected, rtol=1e-12)


def test_masks_may_be_shared_by_the_images():
    shared = weighted_masks(WEIGHTS, MASKS[0])
    np.testing.assert_allclose(shared, weighted_masks(WEIGHTS, MASKS[:1].expand(3, -1, -1)), rtol=1e-12)


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
def test_any_chunks(size):
    sums = Sums.zeros(3, 7)

    def add(chunk):
        images, masks = slice(*chunk.images), slice(*chunk.masks)
        sums.add(chunk, MASKS[images, masks], WEIGHTS[images, :, masks], CONSTANT[images, masks])

    BatchLimit(size, 1, torch.device("cpu")).run(add, Chunk((0, 3), (0, 50)))
    np.testing.assert_allclose(sums.sensitivities, weighted_masks(WEIGHTS, MASKS), rtol=1e-12)
    assert torch.equal(sums.n_constant, CONSTANT.sum(1))


def test_nan_weights_stay_with_their_image():
    weights = WEIGHTS.clone()
    weights[1, 0, 3] = torch.nan
    found = weighted_masks(weights, MASKS)
    assert found.isnan().any(-1).tolist() == [[False, False], [True, False], [False, False]]


def test_features_that_differ_by_rounding_alone_are_tied():
    prediction = torch.tensor([3.0, 2.0, 2.0 + 1e-12, 1.0], dtype=torch.float64)
    explanation = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    swapped = explanation[[0, 2, 1, 3]]
    assert consistency(prediction, explanation) == consistency(prediction, swapped)
    assert top_k_agreement(prediction, explanation, 2) == 1.0


def test_top_k_agreement_equals_sets():
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, b = rng.integers(5, size=(2, 9)).astype(float)
        for k in range(1, 10):
            found = top_k_agreement(torch.tensor(a), torch.tensor(b), k)
            assert found == pytest.approx(reference.top_k_agreement(a, b, k))
