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
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.same_result import (
    is_deterministic,
    same_attributions,
    same_attributions_elsewhere,
    same_predictions,
)
from quantus_senc.core.similarity import Originals
from quantus_senc.model.explained_model import ExplainedModel, Outputs
from quantus_senc.model.pass_size import BatchLimit
from quantus_senc.model.shared_pass import SharedPass

RANDOM = "explanations or predictions differ for the same input"
DEPENDENT = "the explanation or prediction of an input changes with the other inputs of the batch"


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

    @stage("checks")
    def flaw(self) -> str:
        """RANDOM or DEPENDENT, if prediction or attribution is not a function of the input alone; else an empty string."""
        expected = self.originals
        predictions, maps = self.explained.run(self.x_batch, self.y_batch, self.limit)
        again = predictions, self.explained.attributions(maps)
        if not is_deterministic(expected.predictions, expected.attributions, *again):
            return RANDOM
        return "" if self._is_independent() else DEPENDENT

    def _is_independent(self) -> bool:
        """Whether each image gives the same beside another image as beside a copy of itself, and the copy the same.

        All passes are of two samples: passes of other sizes are summed in other orders, and round differently.
        """
        for image in range(len(self.x_batch)):
            alone, another = self.x_batch[[image]], self.x_batch[[image - 1]]
            if len(self.x_batch) == 1:
                another = np.flip(alone, -1)
            prediction, maps = self._run_pair(alone, alone, image)
            prediction_beside_another, maps_beside_another = self._run_pair(alone, another, image)
            same = same_predictions(prediction[0], prediction_beside_another[0])
            same &= same_attributions(maps[0], maps_beside_another[0]) & same_attributions_elsewhere(maps[0], maps[1])
            if not same:
                return False
        return True

    def _run_pair(self, first: np.ndarray, second: np.ndarray, image: int) -> Outputs:
        """Predictions and flattened maps of two inputs (1, \\*shape) in one pass, for the class of an image."""
        targets = self.y_batch[[image, image]]
        predictions, maps = self.explained.run(np.concatenate([first, second]), targets, self.limit)
        return predictions, self.explained.attributions(maps)

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
