"""Masks: which features or units each of them keeps."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc.core.philox import random_words

_BLOCK = 2**18  # entries of masks that are made at a time on a CPU, so that they stay in the cache
_LARGE_BLOCK = 2**22  # elsewhere, where some hundred operations make a block, however small
_FEW_ENTRIES = 2**22  # of masks, which take a byte each


def keep_masks(
    seed: int,
    streams: Int64[Tensor, "*#n"],
    numbers: Int64[Tensor, "*#n"],
    n_features: int,
    mask_rate: float,
) -> Bool[Tensor, "*n m"]:
    """Draw masks in which every feature is eliminated with probability `mask_rate`, independently.

    Parameters
    ----------
    seed
        In [0, 2^64).
    streams
        What the masks belong to: an image's number in the whole data set, or the hash of a layer's name.
    numbers
        The numbers of the masks, each in [0, 2^32 - 1); they broadcast with `streams`.
    n_features
        m. A mask of more features begins with the mask of fewer.
    mask_rate
        Probability that a feature is eliminated, in (0, 1).

    Returns
    -------
    Tensor
        True keeps, False eliminates; on the device of `streams`, the same on every device.

    References
    ----------
    Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025, Algorithm 1, line 5.

    Examples
    --------
    >>> image, numbers = torch.tensor(0), torch.arange(5000)
    >>> keep_masks(42, image, numbers, n_features=16, mask_rate=0.8).double().mean().item()
    0.19965
    """
    return random_words(seed, streams, numbers, n_features) >= round(mask_rate * 2**32)


def exhaustive_masks(free: Bool[Tensor, "*#n m"], numbers: Int64[Tensor, "*#n"]) -> Bool[Tensor, "*n m"]:
    """List all masks of the free features, by number; the other features are kept.

    Parameters
    ----------
    free
        True for the L features that masks tell apart.
    numbers
        In [0, 2^L).

    Examples
    --------
    >>> exhaustive_masks(torch.tensor([True, False, True]), torch.arange(4)).int()
    tensor([[0, 1, 0],
            [1, 1, 0],
            [0, 1, 1],
            [1, 1, 1]], dtype=torch.int32)
    """
    # 1, 2, 4, ... for the free features. No shift by a tensor: XLA gives something else.
    power = (free.long() + 1).cumprod(-1) >> 1
    return (numbers[..., None] & power != 0) | ~free


def probability(masks: Bool[Tensor, "*n m"], mask_rate: float) -> Float64[Tensor, "*n"]:
    """Return the probability of masks that eliminate each feature independently with probability `mask_rate`.

    Examples
    --------
    >>> probability(torch.tensor([[False, False], [True, False], [False, True], [True, True]]), mask_rate=0.8)
    tensor([0.6400, 0.1600, 0.1600, 0.0400], dtype=torch.float64)
    """
    n_kept = masks.sum(-1).double()
    return mask_rate ** (masks.shape[-1] - n_kept) * (1 - mask_rate) ** n_kept


@dataclass(frozen=True, eq=False)
class MaskDesign:
    """The masks of some images: drawn at random, or all masks that there are. Masks are a function of their numbers.

    A design has a row for each image, or a single row whose masks all images share.

    Attributes
    ----------
    seed, mask_rate
        See `keep_masks`.
    streams
        What the drawn masks of each row are drawn for.
    free
        The features of each row whose sensitivities are estimated. The image does not have the others, or their elimination
        changes nothing.
    n_masks
        How many masks each row gets, at the most.
    exhaustive
        Whether a row gets all masks of its free features, rather than drawn ones.
    """

    seed: int
    mask_rate: float
    streams: Int64[Tensor, " r"]
    free: Bool[Tensor, "r m"]
    n_masks: tuple[int, ...]
    exhaustive: tuple[bool, ...]

    @property
    def chunk_size(self) -> int:
        """How many masks are made at a time."""
        block = _BLOCK if self.free.device.type == "cpu" else _LARGE_BLOCK
        return max(block // self.free.shape[1], 1)

    def row_of(self, image: int) -> int:
        """The row of an image."""
        return image if len(self.n_masks) > 1 else 0

    def masks(self, rows: Int64[Tensor, " p"], numbers: Int64[Tensor, " p"]) -> Bool[Tensor, "p m"]:
        """Masks by row and number; True keeps. All on the device of the design."""
        if len(rows) > self.chunk_size:
            chunks = zip(rows.split(self.chunk_size), numbers.split(self.chunk_size), strict=True)
            return torch.cat([self.masks(*chunk) for chunk in chunks])
        if all(self.exhaustive):
            return exhaustive_masks(self.free[rows], numbers)
        drawn = keep_masks(self.seed, self.streams[rows], numbers, self.free.shape[1], self.mask_rate)
        if not any(self.exhaustive):
            return drawn
        exhaustive = torch.tensor(self.exhaustive, device=rows.device)[rows]
        return torch.where(exhaustive[:, None], exhaustive_masks(self.free[rows], numbers), drawn)

    def row_masks(self, row: int, start: int, stop: int) -> Iterator[Bool[Tensor, "k m"]]:
        """The masks of a row with the numbers from `start` to `stop`, in chunks of bounded size."""
        numbers = torch.arange(start, stop, device=self.streams.device)
        for chunk in numbers.split(self.chunk_size):
            yield self.masks(torch.full_like(chunk, row), chunk)

    def by_number(self, n_masks: int) -> Callable[[Int64[Tensor, " k"]], Bool[Tensor, "k l"]]:
        """A function from the numbers of masks of a design of one row to the masks, restricted to the free features.

        Numbers and masks are on the host; the masks are made on the device of the design. Few masks are made once. Many are
        made anew whenever they are asked for, so that they need no memory.
        """
        device, columns = self.streams.device, self.free[0].nonzero()[:, 0]

        def make(numbers: Int64[Tensor, " k"]) -> Bool[Tensor, "k l"]:
            there = numbers.to(device)
            return self.masks(torch.zeros_like(there), there)[:, columns].cpu()

        few = n_masks * self.free.shape[1] <= _FEW_ENTRIES
        return make(torch.arange(n_masks)).__getitem__ if few else make

    def select_row(self, row: int) -> "MaskDesign":
        """The design of one row."""
        one = slice(row, row + 1)
        return replace(
            self, streams=self.streams[one], free=self.free[one], n_masks=self.n_masks[one], exhaustive=self.exhaustive[one]
        )

    def to(self, device: torch.device) -> "MaskDesign":
        """The same design on a device."""
        return replace(self, streams=self.streams.to(device), free=self.free.to(device))
