"""The counter-based generator against the authors' known answers and a second implementation."""

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from quantus_senc.core.masks import keep_masks
from quantus_senc.core.philox import philox, random_uniform
from tests import philox as philox_reference

# kat_vectors of Random123: counter, key, words
KNOWN = [
    ([0] * 4, 0, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ([2**32 - 1] * 4, 2**64 - 1, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    (
        [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344],
        0x299F31D0A4093822,
        [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
    ),
]


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers(counter, key, words):
    assert philox(*(torch.tensor(word) for word in counter), key).tolist() == words


def test_second_implementation():
    rng = np.random.default_rng(0)
    counters = rng.integers(2**32, size=(50, 4))
    key = 0x0123456789ABCDEF
    expected = [philox_reference.philox_4x32([int(word) for word in row], [key % 2**32, key >> 32]) for row in counters]
    assert philox(*torch.tensor(counters).unbind(1), key).tolist() == expected


@pytest.mark.parametrize(("seed", "stream", "n_features"), [(42, 0, 16), (0, 7, 5), (2**64 - 1, -3, 1), (9, 2**40 + 1, 33)])
def test_masks_equal_the_reference(seed, stream, n_features):
    masks = keep_masks(seed, torch.tensor(stream), torch.arange(20), n_features, 0.8)
    expected = [philox_reference.keep_mask(seed, stream % 2**64, index, n_features, 0.8) for index in range(20)]
    np.testing.assert_array_equal(masks.numpy(), expected)


def test_mask_is_a_function_of_its_own_counter():
    together = keep_masks(1, torch.arange(3)[:, None], torch.arange(10), 9, 0.5)
    alone = keep_masks(1, torch.tensor(2), torch.tensor(7), 6, 0.5)
    assert torch.equal(together[2, 7, :6], alone)


@pytest.mark.parametrize("mask_rate", [0.2, 0.8])
def test_features_are_eliminated_independently_at_the_mask_rate(mask_rate):
    masks = keep_masks(3, torch.tensor(0), torch.arange(20_000), 6, mask_rate)
    for feature in range(6):
        kept = int(masks[:, feature].sum())
        assert binomtest(kept, len(masks), 1 - mask_rate).pvalue > 1e-4
    correlations = np.corrcoef(masks.numpy().T.astype(float))[np.triu_indices(6, 1)]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(masks))


def test_uniform_noise():
    noise = random_uniform(5, torch.arange(4), 5000)
    assert noise.min() >= 0
    assert noise.max() < 1
    assert abs(noise.mean().item() - 0.5) < 0.01
    assert torch.equal(random_uniform(5, torch.tensor([2]), 10), noise[2:3, :10])
