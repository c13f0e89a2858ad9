"""The one place where memory is bounded: pairs of image and mask, so many at a time."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch


@dataclass(frozen=True)
class Chunk:
    """Every pair of some images and some masks, each a range [start, stop)."""

    images: tuple[int, int]
    masks: tuple[int, int]

    @property
    def n_images(self) -> int:
        """How many images."""
        return self.images[1] - self.images[0]

    @property
    def n_masks(self) -> int:
        """How many masks of each image."""
        return self.masks[1] - self.masks[0]

    @property
    def n_pairs(self) -> int:
        """How many pairs of image and mask."""
        return self.n_images * self.n_masks

    def split(self, size: int) -> "list[Chunk]":
        """Chunks of at most `size` pairs, about equally many: some masks of one image, or all masks of some.

        Examples
        --------
        >>> [chunk.n_pairs for chunk in Chunk((0, 2), (0, 5)).split(2)]
        [1, 2, 2, 1, 2, 2]
        """
        if self.n_masks > size:
            ones = [(image, image + 1) for image in range(*self.images)]
            return [Chunk(one, masks) for one in ones for masks in _ranges(*self.masks, size)]
        return [Chunk(images, self.masks) for images in _ranges(*self.images, size // self.n_masks)]


def _ranges(start: int, stop: int, size: int) -> list[tuple[int, int]]:
    n = -(-(stop - start) // size)
    edges = [start + (stop - start) * i // n for i in range(n + 1)]
    return list(pairwise(edges))


class BatchLimit:
    """How many pairs go in one pass.

    Parameters
    ----------
    max_batch_size
        The number of pairs, or "auto": a number that suits the device and the size of a sample, halved whenever
        memory does not suffice.
    sample_bytes
        The size of what one pair brings into a forward pass.
    device
        Where the passes run.
    recover
        Called after a pass that ran out of memory, before the next is tried.
    n_samples
        How many samples one pair brings into a forward pass: an explanation method may repeat it.
    """

    def __init__(
        self,
        max_batch_size: int | str,
        sample_bytes: int,
        device: torch.device,
        recover: Callable[[], None] = lambda: None,
        n_samples: int = 1,
    ) -> None:
        self.recover = recover
        self.automatic = max_batch_size == "auto"
        self.size = _suitable(sample_bytes, device, n_samples) if isinstance(max_batch_size, str) else max_batch_size

    def run(self, step: Callable[[Chunk], None], chunk: Chunk) -> None:
        """Call `step` for chunks that make up `chunk`, in order."""
        waiting = [chunk]
        while waiting:
            piece = waiting.pop()
            if piece.n_pairs > self.size:
                waiting.extend(reversed(piece.split(self.size)))
                continue
            try:
                step(piece)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not (self.automatic and piece.n_pairs > 1 and _is_out_of_memory(error)):
                    raise
                self.recover()
                self.size = piece.n_pairs // 2
                waiting.append(piece)


def _is_out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def _suitable(sample_bytes: int, device: torch.device, n_samples: int) -> int:
    # On a CPU a batch that stays in the cache is fastest; elsewhere only a large one fills the device.
    budget, fewest, most = (3 * 2**19, 16, 256) if device.type == "cpu" else (2**28, 16, 2048)
    return min(max(budget // max(sample_bytes, 1), fewest // n_samples, 1), most)
