"""Some images of a call, and what their masked copies are compared with."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc._chunks import BatchLimit
from quantus_senc._copies import copies
from quantus_senc._explain import Subject
from quantus_senc._masks import MaskDesign
from quantus_senc._passes import Passes
from quantus_senc._philox import random_uniform
from quantus_senc._plan import Plan
from quantus_senc._plateaus import Plateaus
from quantus_senc._similarity import (
    centred_ranks,
    has_no_ranks,
    rank_correlation,
    ranked_alike,
    same_values,
    sum_of_squares,
)
from quantus_senc._survey import Survey

RANDOM = "explanations or predictions differ for the same input"
DEPENDENT = "the explanation or prediction of an input changes with the other inputs of the batch"
_ROUNDING = 1e-6  # of attributions, relative to the largest of a map


@dataclass(frozen=True)
class Originals:
    """Unperturbed prediction P°, and explanation e° with its ranks, of some images, on the model's device."""

    confidence: Float[Tensor, " B"]
    attribution: Float[Tensor, "B n"]
    ranks: Float32[Tensor, "B n"]

    @classmethod
    def of(cls, confidence: Float[Tensor, " B"], attribution: Float[Tensor, "B n"]) -> "Originals":
        """From the predictions for the explained classes and the attributions."""
        return cls(confidence, attribution, centred_ranks(attribution))

    @cached_property
    def variance(self) -> Float[Tensor, " B"]:
        """Sums of the squares of the ranks."""
        return sum_of_squares(self.ranks)

    @cached_property
    def plateaus(self) -> Plateaus:
        """What is known of the maps of masked copies."""
        return Plateaus(self.ranks)

    def change(self, images: Int64[Tensor, " N"], confidence: Float[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Confidence changes of masked copies of images (Tan, WACV 2025, Eq. 1)."""
        return (self.confidence[images] - confidence).abs()

    def similarity(
        self, images: Int64[Tensor, " N"], attribution: Float[Tensor, "N n"]
    ) -> tuple[Float[Tensor, " N"], Bool[Tensor, " N"]]:
        """Explanation similarities of masked copies of images (Tan, WACV 2025, Eq. 3), and which have no ranks."""
        found, variance = self.plateaus.firsts(attribution), self.variance[images]
        if found is None:
            return rank_correlation(copies(self.ranks, images), attribution, variance)
        values, groups = found
        return rank_correlation(copies(groups.sums, images), values, variance, groups.sizes)

    def predicts(self, confidence: Float[Tensor, " B"]) -> bool:
        """Whether predictions are these."""
        return torch.allclose(confidence, self.confidence, rtol=1e-4, atol=1e-6, equal_nan=True)

    def alike(self, confidence: Float[Tensor, " B"], attribution: Float[Tensor, "B n"]) -> bool:
        """Whether predictions, and attributions in their ranks, are these."""
        own = self.attribution
        alike = ranked_alike(own, attribution, _ROUNDING * own.abs().amax(-1))
        return bool(alike.all()) and self.predicts(confidence)

    def digests(self) -> Float[Tensor, "B d"]:
        """A few sums of the ranks of each image, with signs: other ranks have others."""
        streams = torch.arange(4, device=self.ranks.device)
        return self.ranks @ (random_uniform(0, streams, self.ranks.shape[1]).T - 0.5)


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
    subject, passes, limit, progress
        What to run, how, how many samples at a time, and whom to tell.
    """

    x_batch: np.ndarray
    y_batch: np.ndarray
    images: slice
    originals: Originals
    subject: Subject
    passes: Passes
    limit: BatchLimit
    progress: "tqdm[Any]"

    def survey(self, plan: Plan, design: MaskDesign, labels: Int64[Tensor, "B *spatial"] | None = None) -> Survey:
        """No masks of these images yet."""
        confidence, unranked = self.originals.confidence.double().cpu(), has_no_ranks(self.originals.ranks).cpu()
        return Survey(plan, design, labels, confidence, unranked, self.subject.rounding)

    def is_random(self) -> bool:
        """Whether prediction or attribution differ for the same inputs."""
        confidence, maps = self.subject.originals(self.x_batch, self.y_batch, self.limit)
        same = same_values(self.originals.attribution, self.subject.ready(maps))
        return not (bool(same.all()) and self.originals.predicts(confidence))

    def flaw(self) -> str:
        """RANDOM or DEPENDENT, if prediction or attribution is not a function of the input alone; else nothing."""
        n = len(self.x_batch)
        if self.is_random():
            return RANDOM
        if n > 1:
            confidence, maps = self._originals_one_by_one()
        else:
            beside_itself = self.subject.originals(self.x_batch.repeat(2, 0), self.y_batch.repeat(2, 0), self.limit)
            confidence, maps = (part[1:] for part in beside_itself)
        return "" if self.originals.alike(confidence, self.subject.ready(maps)) else DEPENDENT

    def explained_one_by_one(self) -> "Batch":
        """The same images, each explained for itself."""
        confidence, maps = self._originals_one_by_one()
        return replace(self, originals=Originals.of(confidence, self.subject.ready(maps)))

    def _originals_one_by_one(self) -> tuple[Float[Tensor, " B"], Float[Tensor, "B *_"]]:
        ones = [slice(image, image + 1) for image in range(len(self.x_batch))]
        found = [self.subject.originals(self.x_batch[one], self.y_batch[one], self.limit) for one in ones]
        confidence, maps = zip(*found, strict=True)
        return torch.cat(confidence), torch.cat(maps)
