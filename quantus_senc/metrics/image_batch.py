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
        independent = self._same_in_every_size() and all(map(self._same_in_every_company, range(len(self.x_batch))))
        return "" if independent else DEPENDENT

    def _same_in_every_company(self, image: int) -> bool:
        """Whether an image gives the same before and behind another image as beside a copy of itself.

        All passes are of two samples, because passes of other sizes are summed in other orders, and round differently.
        """
        itself, another = self.x_batch[[image]], self.x_batch[[image - 1]]
        if len(self.x_batch) == 1:
            another = np.flip(itself, -1)
        predictions, maps = self._run_together([itself, itself], image)
        for place, pair in enumerate(([itself, another], [another, itself])):
            prediction, attribution = (values[place] for values in self._run_together(pair, image))
            same = same_predictions(predictions[place], prediction) & same_attributions(maps[place], attribution)
            if not same:
                return False
        return bool(same_predictions(*predictions) & same_attributions_elsewhere(*maps))

    def _same_in_every_size(self) -> bool:
        """Whether the first image gives the same in a pass of its own as in a full pass of copies.

        Devices that round coarsely, and differently in passes of other sizes, show it in the predictions. There it cannot be
        told.
        """
        prediction, attribution = self._run_together([self.x_batch[:1]], 0)
        predictions, maps = self._run_together([self.x_batch[:1]] * self.limit.size, 0)
        same = same_predictions(prediction[0], predictions[0])
        if not same and self.explained.rounds_coarsely:
            return True
        return bool(same & same_attributions_elsewhere(attribution[0], maps[0]))

    def _run_together(self, inputs: list[np.ndarray], image: int) -> Outputs:
        """Predictions and flattened maps of inputs, each (1, \\*shape), in one pass, for the class of an image."""
        predictions, maps = self.explained.run(np.concatenate(inputs), self.y_batch[[image] * len(inputs)], self.limit)
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
