"""Some images of a call, and what their evaluation needs."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc.core.mask_loop import Unperturbed
from quantus_senc.core.similarity import Originals
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.pass_size import BatchLimit
from quantus_senc.model.shared_pass import SharedPass


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images of a call, and what their evaluation needs.

    Attributes
    ----------
    x_batch, y_batch
        Arrays (B, \\*shape), channels first, and (B,).
    start
        The index of the first image in the call.
    originals
        The unperturbed predictions and explanations.
    explained, shared_pass, limit
        The model and the explanation method, how both are run in one pass, and how many samples a pass may have.
    progress
        Is told of every pair of an image and a mask.
    """

    x_batch: np.ndarray
    y_batch: np.ndarray
    start: int
    originals: Originals
    explained: ExplainedModel
    shared_pass: SharedPass
    limit: BatchLimit
    progress: "tqdm[Any]"

    @cached_property
    def inputs(self) -> Float[Tensor, "B *shape"]:
        """The images, on the model's device."""
        return self.explained.inputs(self.x_batch)

    @cached_property
    def targets(self) -> Int64[Tensor, " B"]:
        """The classes to explain, on the model's device."""
        return self.explained.targets(self.y_batch)

    def unperturbed(self, labels: Int64[Tensor, "B *spatial"] | None = None) -> Unperturbed:
        """What the records need to know of the images."""
        predictions, unranked = self.originals.predictions.cpu().double(), self.originals.unranked.cpu()
        return Unperturbed(predictions, unranked, self.explained.rounding, labels)

    def explained_one_by_one(self) -> "Batch":
        """The same images, each of which is explained in a pass of its own."""
        each = [slice(image, image + 1) for image in range(len(self.x_batch))]
        outputs = [self.explained.run(self.x_batch[one], self.y_batch[one], self.limit) for one in each]
        predictions, maps = zip(*outputs, strict=True)
        return replace(self, originals=self.explained.originals(torch.cat(predictions), torch.cat(maps)))


def join_weights(
    passes: list[tuple[Float[Tensor, "_ 2"], Bool[Tensor, " _"]]],
) -> tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]:
    """The results of several passes, on the host."""
    weights, constant = zip(*passes, strict=True)
    return torch.cat(weights).cpu().double(), torch.cat(constant).cpu()
