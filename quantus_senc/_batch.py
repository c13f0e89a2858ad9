"""Some images of a call, and what their masked copies are compared with."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc._chunks import BatchLimit, Chunk
from quantus_senc._explain import Subject
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


@dataclass(frozen=True)
class Batch:
    """Some images of a call, and what their evaluation needs.

    Attributes
    ----------
    x_batch, y_batch
        Arrays (B, \\*shape), channels first, and (B,).
    images
        Which images of the call they are.
    originals
        Their unperturbed prediction and explanation.
    subject, limit, progress
        What to run, how many samples at a time, and whom to tell.
    """

    x_batch: np.ndarray
    y_batch: np.ndarray
    images: slice
    originals: Originals
    subject: Subject
    limit: BatchLimit
    progress: "tqdm[Any]"
