"""What streams: weighted sums over masks, from which sensitivities are estimated."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from quantus_senc._similarity import widest

N_BLOCKS = 32  # masks number i, i + 32, i + 64, ... are one block, whose sums are kept apart for standard errors


def n_terms(n_free: int, n_paired: int) -> int:
    """How many terms `terms` returns: an intercept, one for each free feature, one for each pair of the paired ones."""
    return 1 + n_free + n_paired * (n_paired - 1) // 2


def terms(
    masks: Bool[Tensor, "*n m"], free: Bool[Tensor, "*#n m"], mask_rate: float, n_free: int, n_paired: int = 0
) -> Float[Tensor, "*n t"]:
    """What each mask contributes to the sums: 1, M_k of every free feature, and products of pairs of them.

    Parameters
    ----------
    masks
        True keeps.
    free
        The features to count, in which masks of different images may differ.
    mask_rate
        Products are of (M_j - p)(M_k - p) with p = 1 - mask_rate, so that they correlate neither with the M_k nor with
        each other.
    n_free
        How many free features there are, at the most. An image with fewer has zeros after its own.
    n_paired
        Products are of the first `n_paired` free features. They come in the order in which the features of fewer form the
        beginning.

    Examples
    --------
    >>> terms(torch.tensor([[True, False, True]]), torch.tensor([True, False, True]), 0.5, n_free=2, n_paired=2)
    tensor([[1.0000, 1.0000, 1.0000, 0.2500]], dtype=torch.float64)
    """
    first = (~free).long().sort(dim=-1, stable=True).indices[..., :n_free]
    valid = free.gather(-1, first)
    kept = masks.gather(-1, first.expand(*masks.shape[:-1], -1)).to(widest(masks.device)) * valid
    later, earlier = torch.tril_indices(n_paired, n_paired, -1, device=masks.device)
    centred = kept - (1 - mask_rate) * valid
    pairs = centred[..., later] * centred[..., earlier]
    return torch.cat([kept.new_ones(*kept.shape[:-1], 1), kept, pairs], -1)


def block_sums(weights: Float[Tensor, "*n w k"], terms: Float[Tensor, "*#n k t"]) -> Float64[Tensor, "*n g w t"]:
    """Sums over the masks of each block of every term times every weight.

    Parameters
    ----------
    weights
        Several for each mask; the masks' numbers follow each other.

    Returns
    -------
    Tensor
        First the block of the first mask, then that of the next, as many as there are; in double precision, on the host
        where the device has none.

    Examples
    --------
    >>> sums = block_sums(torch.ones(1, 33), torch.arange(33.0)[:, None])
    >>> sums.shape, sums.sum(), sums[0]
    (torch.Size([32, 1, 1]), tensor(528., dtype=torch.float64), tensor([[32.]], dtype=torch.float64))
    """
    if widest(terms.device) is not torch.float64:
        weights, terms = weights.cpu(), terms.cpu()
    numbers = torch.arange(weights.shape[-1], device=weights.device)
    block = numbers % N_BLOCKS == numbers[:N_BLOCKS, None]
    by_block = weights.double()[..., None, :, :] * block[:, None]
    return (by_block.flatten(-3, -2) @ terms.double()).unflatten(-2, (len(block), -1))


@dataclass(frozen=True)
class Sums:
    """Sums over some masks of some images, on the host. Sums over other masks of the same images can be added.

    Attributes
    ----------
    blocks
        Of terms times 1 - confidence change, and times explanation similarity, for each block of masks.
    lowest, highest
        Of the two weights.
    n_masks
        How many masks each image has had.
    n_constant
        For how many of them the attribution was constant.
    """

    blocks: Float64[Tensor, "B G 2 t"]
    lowest: Float64[Tensor, "B 2"]
    highest: Float64[Tensor, "B 2"]
    n_masks: Int64[Tensor, " B"]
    n_constant: Int64[Tensor, " B"]

    @classmethod
    def zeros(cls, n_images: int, n_terms: int) -> "Sums":
        """Sums over no masks yet."""
        lowest = torch.full((n_images, 2), torch.inf, dtype=torch.float64)
        blocks = torch.zeros(n_images, N_BLOCKS, 2, n_terms, dtype=torch.float64)
        none = torch.zeros(n_images, dtype=torch.int64)
        return cls(blocks, lowest, -lowest, none, none.clone())

    def add(
        self,
        images: Int64[Tensor, " b"],
        numbers: tuple[int, int],
        terms: Float[Tensor, "*#b k t"],
        weights: Float[Tensor, "b 2 k"],
        shares: Float[Tensor, "*#b k"],
        constant: Bool[Tensor, "b k"],
    ) -> None:
        """Add a range of masks of some images, in place, each of which counts for its share; count constant attributions."""
        found = block_sums(weights * shares[..., None, :], terms).cpu()
        blocks = (numbers[0] + torch.arange(found.shape[1])) % N_BLOCKS
        self.blocks[images[:, None], blocks] += found
        lowest, highest = (part.cpu().double() for part in weights.aminmax(dim=-1))
        self.lowest[images] = self.lowest[images].minimum(lowest)
        self.highest[images] = self.highest[images].maximum(highest)
        self.n_masks[images] += numbers[1] - numbers[0]
        self.n_constant[images] += constant.sum(-1).cpu()

    def __add__(self, other: "Sums") -> "Sums":
        """Sums over both sets of masks of the same images."""
        return Sums(
            self.blocks + other.blocks,
            self.lowest.minimum(other.lowest),
            self.highest.maximum(other.highest),
            self.n_masks + other.n_masks,
            self.n_constant + other.n_constant,
        )
