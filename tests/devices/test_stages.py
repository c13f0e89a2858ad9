"""The stages of the core on a second device: what they return equals what they return on the CPU."""

import numpy as np
import pytest
import torch

from quantus_senc.core.distinct_masks import mask_keys
from quantus_senc.core.hashing import hash_rows
from quantus_senc.core.masks import exhaustive_masks, keep_masks
from quantus_senc.core.perturb import BASELINES, baseline_values, changed_features, eliminate
from quantus_senc.core.philox import philox, random_uniform
from quantus_senc.core.ranks import centred_ranks, rank_correlation
from tests.core.test_philox import KNOWN

pytestmark = pytest.mark.cuda
STREAMS = torch.tensor([0, 1, -1, -(2**63), 2**63 - 1, 2**40 + 1])


def same(function, device, *arguments, **keywords):
    """Assert that a function of tensors gives the same on the device, where it also puts its results."""
    expected = function(*arguments, **keywords)
    there = [one.to(device) if isinstance(one, torch.Tensor) else one for one in arguments]
    results = function(*there, **keywords)
    if isinstance(expected, torch.Tensor):
        expected, results = (expected,), (results,)
    for truth, result in zip(expected, results, strict=True):
        assert result.device.type == device.type
        assert result.dtype == truth.dtype
        assert torch.equal(result.cpu(), truth) or torch.allclose(result.cpu(), truth, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize(("counter", "key", "words"), KNOWN)
def test_known_answers_of_philox(device, counter, key, words):
    assert philox(*(torch.tensor(word, device=device) for word in counter), key).tolist() == words


@pytest.mark.parametrize("seed", [0, 42, 2**64 - 1])
def test_masks_are_the_same_bit_for_bit(device, seed):
    masks = keep_masks(seed, STREAMS[:, None], torch.arange(500), 37, 0.8)
    there = keep_masks(seed, STREAMS[:, None].to(device), torch.arange(500, device=device), 37, 0.8)
    assert there.device.type == device.type
    assert torch.equal(there.cpu(), masks)


def test_every_mask_is_listed_in_the_same_order(device):
    free = torch.tensor([[True, False, True, True, False], [False, True, True, True, True]])
    same(exhaustive_masks, device, free[:, None], torch.arange(8))
    same(exhaustive_masks, device, torch.ones(64, 6, dtype=torch.bool), torch.arange(64))


def test_keys_and_hashes_are_the_same(device):
    masks = keep_masks(7, torch.tensor(3), torch.arange(300), 12, 0.5)
    same(mask_keys, device, masks)
    same(hash_rows, device, torch.randn(5, 3000))
    same(hash_rows, device, torch.randn(5, 30).half())


def test_noise_is_the_same(device):
    expected = random_uniform(42, STREAMS, 100)
    assert torch.equal(random_uniform(42, STREAMS.to(device), 100).cpu(), expected)


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_baselines(device, name):
    images, image_ids = torch.randn(3, 2, 9, 8), torch.arange(3)
    expected = baseline_values(images, name, 1, image_ids)
    there = baseline_values(images.to(device), name, 1, image_ids.to(device))
    assert there.device.type == device.type
    torch.testing.assert_close(there.cpu(), expected, rtol=1e-6, atol=1e-6)


def test_perturbed_images_are_the_same(device):
    images, labels = torch.randn(2, 3, 8, 8), torch.arange(64).view(8, 8) // 16
    labels = labels.expand(2, 8, 8)
    masks, baselines = keep_masks(0, torch.arange(2)[:, None], torch.arange(6), 4, 0.5), torch.zeros(2, 1, 1, 1)
    same(eliminate, device, images, labels, masks, baselines)
    images[0, :, :2] = 0
    same(changed_features, device, images, labels, baselines, n_features=4)


VALUES = {
    "all different": torch.randn(4, 200),
    "ties": torch.randn(4, 200).round(),
    "zeros of both signs": torch.tensor([[0.0, -0.0, 1.0, -1.0, 0.0]]),
    "constant": torch.ones(3, 10),
    "nan": torch.tensor([[1.0, float("nan"), 3.0], [1.0, 2.0, 3.0]]),
    "infinite": torch.tensor([[1.0, float("inf"), -float("inf"), 2.0]]),
    "denormal": torch.tensor([[0.0, 1e-42, 2e-42, -1e-42]]),
    "one value": torch.tensor([[2.0]]),
}


@pytest.fixture(params=VALUES.values(), ids=VALUES.keys())
def values(device, request):
    if device.type == "xla" and request.param is VALUES["denormal"]:
        pytest.skip("XLA takes numbers this small for zero")
    return request.param


def test_ranks_are_the_same(device, values):
    same(centred_ranks, device, values)


def test_rank_correlations_are_the_same(device, values):
    ranks = centred_ranks(values.roll(1, -1))
    rho, constant = rank_correlation(ranks, values)
    there, constant_there = rank_correlation(ranks.to(device), values.to(device))
    np.testing.assert_allclose(there.cpu(), rho, rtol=1e-12 if device.type != "mps" else 1e-6, equal_nan=True)
    assert torch.equal(constant_there.cpu(), constant)
