"""Chunks cover every pair once, within the limit; memory errors halve them."""

import pytest
import torch

from quantus_senc._chunks import BatchLimit, Chunk

CPU = torch.device("cpu")


def covered(limit, n_images, n_masks, fails_above=10**9):
    counts = torch.zeros(n_images, n_masks, dtype=torch.int64)
    sizes = []

    def step(chunk):
        if chunk.n_pairs > fails_above:
            raise torch.OutOfMemoryError("no memory")
        counts[slice(*chunk.images), slice(*chunk.masks)] += 1
        sizes.append(chunk.n_pairs)

    limit.run(step, Chunk((0, n_images), (0, n_masks)))
    assert (counts == 1).all()
    return sizes


@pytest.mark.parametrize("size", [1, 2, 5, 7, 12, 64, 1000])
@pytest.mark.parametrize(("n_images", "n_masks"), [(1, 1), (3, 5), (7, 12), (5, 100)])
def test_every_pair_once_within_the_limit(size, n_images, n_masks):
    sizes = covered(BatchLimit(size, 1, CPU), n_images, n_masks)
    assert max(sizes) <= size


def test_several_images_share_a_pass_where_they_fit():
    assert covered(BatchLimit(64, 1, CPU), 12, 10) == [60, 60]


def test_memory_errors_halve_an_automatic_limit_for_good():
    limit = BatchLimit("auto", 2**14, CPU)
    assert limit.size == 96
    sizes = covered(limit, 2, 96, fails_above=30)
    assert max(sizes) == limit.size == 24


def test_memory_errors_pass_through_where_the_limit_is_the_users():
    with pytest.raises(torch.OutOfMemoryError):
        covered(BatchLimit(64, 1, CPU), 1, 64, fails_above=20)


def test_memory_errors_of_one_sample_pass_through():
    with pytest.raises(torch.OutOfMemoryError):
        covered(BatchLimit("auto", 1, CPU), 2, 8, fails_above=0)


def test_other_errors_pass_through():
    def step(chunk):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        BatchLimit("auto", 1, CPU).run(step, Chunk((0, 1), (0, 8)))


@pytest.mark.parametrize(
    ("sample_bytes", "device", "size"), [(1, CPU, 256), (10**9, CPU, 16), (4096, torch.device("cuda"), 2048)]
)
def test_automatic_limit(sample_bytes, device, size):
    assert BatchLimit("auto", sample_bytes, device).size == size


def test_automatic_limit_counts_samples_where_they_are_large():
    assert BatchLimit("auto", 16 * 600_000, CPU, n_samples=16).size == 1
    assert BatchLimit("auto", 4 * 600_000, CPU, n_samples=4).size == 4
    assert BatchLimit("auto", 100 * 600_000, CPU, n_samples=100).size == 1
