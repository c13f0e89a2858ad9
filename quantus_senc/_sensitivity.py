"""Sensitivities from weighted masks, as sums that stream."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from quantus_senc._chunks import Chunk
from quantus_senc._similarity import widest


def weighted_masks(weights: Float[Tensor, "*n w K"], masks: Bool[Tensor, "*#n K m"]) -> Float64[Tensor, "*n w m"]:
    """Sum of masks, each times its weight: S_k = sum over i of w_i M_ik.

    Sums of parts of the masks add up to the sum of all of them.

    Parameters
    ----------
    weights
        Several for each mask: 1 - confidence change for the prediction sensitivity, explanation similarity for the
        explanation sensitivity.
    masks
        True keeps.

    Returns
    -------
    Tensor
        In double precision; on the host where the device has none.

    References
    ----------
    Tan, WACV 2025, Eq. 1 and 2.

    Examples
    --------
    >>> weighted_masks(torch.tensor([[1.0, 0.5]]), torch.tensor([[True, False], [True, True]]))
    tensor([[1.5000, 0.5000]], dtype=torch.float64)
    """
    if widest(masks.device) is not torch.float64:
        weights, masks = weights.cpu(), masks.cpu()
    return weights.double() @ masks.double()


@dataclass(frozen=True)
class Sums:
    """Sensitivities of some images in the making: sums over masks, to which chunks add in place.

    Attributes
    ----------
    sensitivities
        Prediction and explanation sensitivity of each image and feature so far.
    n_constant
        For how many masks each image's attribution was constant.
    """

    sensitivities: Float64[Tensor, "B 2 m"]
    n_constant: Int64[Tensor, " B"]

    @classmethod
    def zeros(cls, n_images: int, n_features: int) -> "Sums":
        """Sums over no masks yet, on the host."""
        return cls(torch.zeros(n_images, 2, n_features, dtype=torch.float64), torch.zeros(n_images, dtype=torch.int64))

    def add(
        self,
        chunk: Chunk,
        masks: Bool[Tensor, "*#b k m"],
        weights: Float[Tensor, "b 2 k"],
        constant: Bool[Tensor, "b k"],
    ) -> None:
        """Add the masks of a chunk, each times its weights, and count the constant attributions."""
        images = slice(*chunk.images)
        self.sensitivities[images] += weighted_masks(weights, masks).cpu()
        self.n_constant[images] += constant.sum(-1).cpu()
