"""What masked copies are compared with."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from quantus_senc._chunks import Chunk
from quantus_senc._similarity import centred_ranks, rank_correlation


@dataclass(frozen=True)
class Originals:
    """Unperturbed prediction P° and ranked explanation e° of some images, on the model's device."""

    confidence: Float[Tensor, " B"]
    ranks: Float32[Tensor, "B n"]

    @classmethod
    def of(cls, confidence: Float[Tensor, " B"], attribution: Float[Tensor, "B n"]) -> "Originals":
        """From the predictions for the explained classes and the attributions."""
        return cls(confidence, centred_ranks(attribution))

    def compare(
        self, chunk: Chunk, confidence: Float[Tensor, " N"], attribution: Float[Tensor, "N n"]
    ) -> tuple[Float[Tensor, "b 2 k"], Bool[Tensor, "b k"]]:
        """Weights of a chunk's masks, 1 - confidence change and explanation similarity, and which have no ranks.

        References
        ----------
        Tan, WACV 2025, Eq. 1 to 3.
        """
        images, shape = slice(*chunk.images), (chunk.n_images, chunk.n_masks)
        change = (self.confidence[images, None] - confidence.view(shape)).abs()
        similarity, constant = rank_correlation(self.ranks[images, None], attribution.view(*shape, -1))
        return torch.stack([1 - change.to(similarity), similarity], 1), constant
