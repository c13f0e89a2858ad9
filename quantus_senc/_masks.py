"""Which features or units each mask keeps."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._philox import random_words
from quantus_senc._similarity import widest


def keep_masks(
    seed: int,
    streams: Int64[Tensor, "*#n"],
    indices: Int64[Tensor, "*#n"],
    n_features: int,
    mask_rate: float,
) -> Bool[Tensor, "*n m"]:
    """Masks in which every feature is eliminated with probability `mask_rate`, independently.

    Parameters
    ----------
    seed
        In [0, 2^64).
    streams
        What the masks belong to: an image's index in the call, the hash of a layer's name.
    indices
        The masks' indices, each in [0, 2^32 - 1); broadcast with `streams`.
    n_features
        m; a mask of more features begins with the mask of fewer.
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
    >>> image, masks = torch.tensor(0), torch.arange(5000)
    >>> keep_masks(42, image, masks, n_features=16, mask_rate=0.8).double().mean().item()
    0.19965
    """
    return random_words(seed, streams, indices, n_features) >= round(mask_rate * 2**32)


def every_mask(free: Bool[Tensor, "*#n m"], numbers: Int64[Tensor, "*#n"]) -> Bool[Tensor, "*n m"]:
    """All masks of the free features, by number; the others are kept.

    Parameters
    ----------
    free
        True for the features that masks tell apart, L of them.
    numbers
        In [0, 2^L).

    Examples
    --------
    >>> every_mask(torch.tensor([True, False, True]), torch.arange(4)).int()
    tensor([[0, 1, 0],
            [1, 1, 0],
            [0, 1, 1],
            [1, 1, 1]], dtype=torch.int32)
    """
    bit = (free.cumsum(-1) - 1).clamp(0, 62)
    return (numbers[..., None] >> bit & 1 == 1) | ~free


def probability(masks: Bool[Tensor, "*n m"], free: Bool[Tensor, "*#n m"], mask_rate: float) -> Float[Tensor, "*n"]:
    """The probability of masks that eliminate the free features independently with probability `mask_rate`.

    Examples
    --------
    >>> free = torch.tensor([True, False, True])
    >>> probability(every_mask(free, torch.arange(4)), free, mask_rate=0.8)
    tensor([0.6400, 0.1600, 0.1600, 0.0400], dtype=torch.float64)
    """
    rate = torch.tensor(mask_rate, dtype=widest(masks.device), device=masks.device)
    n_eliminated, n_kept = (~masks & free).sum(-1), (masks & free).sum(-1)
    return rate**n_eliminated * (1 - rate) ** n_kept


@dataclass(frozen=True)
class MaskDesign:
    """The masks of some images: drawn at random, or every mask there is.

    Attributes
    ----------
    seed, mask_rate
        See `keep_masks`.
    streams
        What the drawn masks of each image are drawn for.
    free
        The features of each image whose sensitivities are sought. Others are missing in this image, or their elimination
        changes nothing.
    n_masks
        How many masks each image gets.
    complete
        Whether they are all there are, rather than drawn.
    """

    seed: int
    mask_rate: float
    streams: Int64[Tensor, " B"]
    free: Bool[Tensor, "B m"]
    n_masks: tuple[int, ...]
    complete: tuple[bool, ...]

    def masks(self, images: Int64[Tensor, " b"], numbers: Int64[Tensor, " k"]) -> Bool[Tensor, "b k m"]:
        """Masks of some images, by number; True keeps."""
        free, complete = self.free[images, None], self._complete[images]
        if all(self.complete):
            return every_mask(free, numbers)
        drawn = keep_masks(self.seed, self.streams[images, None], numbers, free.shape[-1], self.mask_rate)
        if not any(self.complete):
            return drawn
        return torch.where(complete[:, None, None], every_mask(free, numbers), drawn)

    def shares(self, images: Int64[Tensor, " b"], masks: Bool[Tensor, "b k m"]) -> Float[Tensor, "b k"]:
        """What each mask counts for: 1 if it was drawn, its probability if all masks are there."""
        if not any(self.complete):
            return torch.ones((), device=masks.device).expand(masks.shape[:2])
        return probability(masks, self.free[images, None], self.mask_rate).where(self._complete[images, None], 1)

    @cached_property
    def _complete(self) -> Bool[Tensor, " B"]:
        return torch.tensor(self.complete, device=self.streams.device)
