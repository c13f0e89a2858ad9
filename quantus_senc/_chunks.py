"""The one place where memory is bounded: so many pairs of image and mask at a time."""

from collections.abc import Callable
from itertools import pairwise
from typing import TypeVar

import torch

from quantus_senc._allocator import LARGEST

T = TypeVar("T")
_BLOCK = 2**20  # entries of masks that are drawn at a time


class BatchLimit:
    """How many pairs of image and mask go in one pass.

    Parameters
    ----------
    max_batch_size
        The number of pairs, or "auto": a number that suits the device and the size of a sample, halved whenever
        memory does not suffice.
    input_bytes
        The size of an input.
    device
        Where the passes run.
    recover
        Called after a pass that ran out of memory, before the next is tried.
    n_samples
        How many inputs one pair brings into a forward pass: an explanation method may repeat it.
    largest
        Bytes of the largest tensor that a layer returns for one pair.
    """

    def __init__(
        self,
        max_batch_size: int | str,
        input_bytes: int,
        device: torch.device,
        recover: Callable[[], None] = lambda: None,
        n_samples: int = 1,
        largest: int = 1,
    ) -> None:
        self.recover = recover
        self.automatic = max_batch_size == "auto"
        suitable = _suitable(input_bytes, device, n_samples, largest)
        self.size = suitable if isinstance(max_batch_size, str) else max_batch_size

    def run(self, step: Callable[[slice], T], n: int) -> list[T]:
        """What `step` returns for ranges that make up [0, n), in order.

        Examples
        --------
        >>> BatchLimit(4, 1, torch.device("cpu")).run(lambda some: some.stop - some.start, 10)
        [3, 3, 4]
        """
        waiting, found = [(0, n)] * (n > 0), []
        while waiting:
            start, stop = waiting.pop()
            if stop - start > self.size:
                waiting.extend(reversed(_split(start, stop, self.size)))
                continue
            try:
                found.append(step(slice(start, stop)))
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not (self.automatic and stop - start > 1 and is_out_of_memory(error)):
                    raise
                self.recover()
                self.size = (stop - start) // 2
                waiting.append((start, stop))
        return found

    def blocks(self, numbers: tuple[int, int], n_images: int, n_features: int) -> list[tuple[int, int]]:
        """Ranges of masks that are drawn, and their sums added, at a time: many passes, of little memory beside them."""
        fewest = -(-self.size // n_images)
        return _split(*numbers, max(_BLOCK // (n_images * n_features), fewest))


def _split(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    """Ranges of at most so many, about equally large."""
    n = -(-(stop - start) // size)
    edges = [start + (stop - start) * i // n for i in range(n + 1)]
    return list(pairwise(edges))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory does not suffice."""
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _suitable(input_bytes: int, device: torch.device, n_samples: int, largest: int) -> int:
    # On a CPU a batch that stays in the cache, and in kept memory, is fastest; elsewhere only a large one fills the device.
    on_cpu = device.type == "cpu"
    budget, fewest, most = (2**21, 4, min(512 // n_samples, LARGEST // largest)) if on_cpu else (2**28, 16, 2048)
    return max(min(budget // max(n_samples * input_bytes, 1), most), fewest // n_samples, 1)
