"""Memory that one pass frees is there for the next; counted in a process of its own, in which nothing else allocates."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from quantus_senc.model import retain_heap as retain_heap_module
from quantus_senc.model.retain_heap import retain_heap

COUNT = """
import resource, runpy, sys
import torch
from contextlib import nullcontext

retain_heap = runpy.run_path(sys.argv[1])["retain_heap"]  # without the package, whose import takes seconds
torch.set_num_threads(1)
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for context in (nullcontext, retain_heap):
    with context():
        for _ in range(3):
            before = faults()
            blocks = [torch.ones(30 * 2**18) for _ in range(2)]  # 60 MB: 15,000 pages of 4 kB
            del blocks
            last = faults() - before
    print(last)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="is about glibc")
def test_a_pass_uses_the_memory_of_the_one_before():
    command = [sys.executable, "-c", COUNT, retain_heap_module.__file__]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    before, retained = map(int, done.stdout.split())
    assert retained < 0.2 * before


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_blocks_are_never_written_whatever_torch_s_defaults(device):
    torch.set_deterministic_debug_mode("error")  # torch fills what it allocates
    try:
        with torch.device(device), retain_heap():
            pass
    finally:
        torch.set_deterministic_debug_mode("default")
