"""Passes use the memory of those before, rather than have the system find it anew."""

import platform
import resource

import pytest
import torch

from quantus_senc import DataSensitivityConsistency
from quantus_senc._allocator import kept_memory
from tests.conftest import classes, gradient, image_model, inputs

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")


def n_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def run_pass():
    """180 MB in blocks of 30 MB; how many page faults that takes: 46,000 if all of it is new.

    Blocks wander about in kept memory, so that a later pass may take some. Where none is kept, a fresh process takes all of it
    twice at the least; later ones may find memory by luck.
    """
    before = n_faults()
    blocks = [torch.ones(30 * 2**18) for _ in range(6)]
    del blocks
    return n_faults() - before


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_passes_use_the_memory_of_those_before(device):
    with torch.device(device), kept_memory(), torch.device("cpu"):
        assert [run_pass() < 20_000 for _ in range(4)][1:] == [True] * 3


def test_kept_memory_is_not_written():
    """Which `use_deterministic_algorithms` would have torch do to what nothing is written to."""
    torch.use_deterministic_algorithms(True)
    before = n_faults()
    try:
        with kept_memory():
            assert n_faults() - before < 10_000
    finally:
        torch.use_deterministic_algorithms(False)


def test_a_call_keeps_memory():
    faults = []

    def greedy(model, inputs, targets):
        faults.append(run_pass())
        return gradient(model, inputs, targets)

    metric = DataSensitivityConsistency(150, segment_func="grid", segment_func_kwargs={"patch_size": 2}, max_batch_size=16)
    metric(image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=greedy)
    assert len(faults) >= 14
    assert max(faults[1:]) < 20_000
