"""Memory of one pass for the next: without it, a third of the time on a CPU may go to having it back."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import torch

LARGEST = 2**25 - 2**17  # bytes of a block; glibc takes larger ones from the system, and gives them back, one by one
_N_BLOCKS = 16  # 512 MB; what a pass takes beyond is given back as ever


@contextmanager
def kept_memory() -> Iterator[None]:
    """Have the C library keep the memory that passes free, of which each takes as much as the one before.

    Otherwise it goes back to the system after each pass, and to have it again costs a page fault for each 4 kB. glibc keeps
    free memory that lies below memory in use, in blocks up to the largest, of at most 32 MB, that the process has
    freed. So some are freed first, more than may come out of free memory; then again, but for the uppermost, which stays in
    use until the end. Nobody writes to them, so that they are addresses and no memory. Other C libraries are none the worse
    for it.
    """
    blocks: list[torch.UntypedStorage] = []
    if sys.platform == "linux":
        with suppress(RuntimeError):  # where addresses are short, passes must do without
            for size in (LARGEST + 2**16, LARGEST):
                blocks.clear()
                blocks += [torch.UntypedStorage(size, device="cpu") for _ in range(_N_BLOCKS + 1)]
            del blocks[:-1]
    try:
        yield
    finally:
        blocks.clear()
