"""Memory of one pass for the next: otherwise up to a third of the time on a CPU is spent on getting it back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

LARGEST_BLOCK = 2**25 - 2**17  # bytes; glibc takes larger blocks from the system, and gives them back, one by one
_N_BLOCKS = 16  # 512 MB


@contextmanager
def retain_heap() -> Iterator[None]:
    """Let the C library keep the memory that passes free, since each pass takes as much as the one before.

    Otherwise the memory goes back to the system after each pass, and every 4 kB of it cost a page fault to get again. glibc
    keeps free memory that lies below memory in use, in blocks up to the largest block of at most 32 MB that the process has
    freed. So this frees such blocks first, and keeps the uppermost in use until the end. Nobody writes to the blocks, so they
    take addresses and no memory. Other C libraries are not harmed.
    """
    blocks: list[torch.UntypedStorage] = []
    if sys.platform == "linux":
        with suppress(RuntimeError):  # where addresses are short, passes do without
            for size in (LARGEST_BLOCK + 2**16, LARGEST_BLOCK):
                blocks.clear()
                blocks += [torch.UntypedStorage(size, device="cpu") for _ in range(_N_BLOCKS + 1)]
            del blocks[:-1]
    try:
        yield
    finally:
        blocks.clear()
