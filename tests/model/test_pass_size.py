"""Ranges cover everything once, within the limit; memory errors halve them."""

import pytest
import torch
from torch import nn

from quantus_senc.model.pass_size import BatchLimit, PassLoad

CPU = torch.device("cpu")


def covered(limit, n, fails_above=10**9):
    counts = torch.zeros(n, dtype=torch.int64)

    def step(some):
        if some.stop - some.start > fails_above:
            raise torch.OutOfMemoryError("no memory")
        counts[some] += 1
        return some.start, some.stop - some.start

    starts, sizes = zip(*limit.run(step, n), strict=True)
    assert (counts == 1).all()
    assert list(starts) == sorted(starts)
    return sizes


@pytest.mark.parametrize("size", [1, 2, 5, 7, 12, 64, 1000])
@pytest.mark.parametrize("n", [1, 15, 84, 500])
def test_everything_once_within_the_limit(size, n):
    sizes = covered(BatchLimit(size, PassLoad(1), CPU), n)
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_nothing_takes_no_step():
    assert BatchLimit(64, PassLoad(1), CPU).run(lambda some: some, 0) == []


def test_memory_errors_halve_an_automatic_limit_for_good():
    limit = BatchLimit("auto", PassLoad(2**14), CPU)
    assert limit.size == 128
    sizes = covered(limit, 384, fails_above=30)
    assert max(sizes) == limit.size == 16


def test_memory_errors_pass_through_where_the_limit_is_the_users():
    with pytest.raises(torch.OutOfMemoryError):
        covered(BatchLimit(64, PassLoad(1), CPU), 64, fails_above=20)


def test_memory_errors_of_one_sample_pass_through():
    with pytest.raises(torch.OutOfMemoryError):
        covered(BatchLimit("auto", PassLoad(1), CPU), 16, fails_above=0)


def test_other_errors_pass_through():
    def step(some):
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        BatchLimit("auto", PassLoad(1), CPU).run(step, 8)


def test_passes_are_told_of_once():
    told, limit = [], BatchLimit("auto", PassLoad(2**14), CPU)

    def step(samples):
        if samples.stop - samples.start > 30:
            raise torch.OutOfMemoryError("no memory")

    limit.run(step, 384, told.append)
    assert sum(told) == 384
    assert max(told) == 16


@pytest.mark.parametrize(
    ("input_bytes", "n_samples", "largest", "device", "size"),
    [
        (1, 1, 1, CPU, 512),
        (12_288, 1, 2**16, CPU, 170),
        (12_288, 1, 2**18, CPU, 127),  # of which 32 MB are not kept from pass to pass
        (600_000, 1, 2**22, CPU, 4),
        (10**9, 1, 2**30, CPU, 4),
        (4096, 1, 2**18, torch.device("cuda"), 2048),
        (100, 16, 1600, CPU, 32),  # as the model sees them
        (12_288, 2, 2**17, CPU, 85),
        (12_288, 2, 2**19, CPU, 63),
        (600_000, 2, 2**23, CPU, 2),
        (600_000, 16, 2**25, CPU, 1),
        (100, 1000, 2**17, CPU, 1),
    ],
)
def test_automatic_limit(input_bytes, n_samples, largest, device, size):
    assert BatchLimit("auto", PassLoad(input_bytes, n_samples, largest), device).size == size


def test_a_pass_fills_at_most_half_of_the_free_memory():
    load, cuda = PassLoad(4096, activations=10**8), torch.device("cuda")
    sizes = [BatchLimit("auto", load, cuda, free_memory=free).size for free in (None, 8 * 10**10, 8 * 10**8, 10**7)]
    assert sizes == [2048, 400, 4, 1]


def test_what_layers_return_is_added_up_once():
    """A container returns what one of its layers has made."""
    model, inputs = nn.Sequential(nn.Linear(4, 8), nn.Sequential(nn.ReLU(), nn.Linear(8, 2))), torch.ones(1, 4)
    assert PassLoad.measure(model, inputs, lambda: model(inputs)).activations == 1 + 4 * (8 + 8 + 2)
