"""The record of one image, or of one image and layer: its sensitivities, its score, and the table that they come from."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from quantus_senc.core.consistency import consistency, top_k_agreement
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.standard_error import limit_interval, standard_error

SINGLE = "a single feature"
NAN_PREDICTION = "NaN in the prediction"
NAN_ATTRIBUTION = "NaN in the attribution"
CONSTANT = "a constant attribution"
FINAL = (SINGLE, NAN_PREDICTION, NAN_ATTRIBUTION, CONSTANT)  # reasons that more masks cannot lift


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """Sensitivities and score of one image, or of one image and layer, on the host.

    Attributes
    ----------
    labels
        The feature, in [0, m), that each position of the image belongs to, of shape (\\*spatial); None for a layer.
    prediction, explanation
        Prediction and explanation sensitivity of each feature or unit, of shape (m,).
    score
        Sensitivity consistency, in [-1, 1]; NaN where it is undefined.
    interval
        The lowest and the highest score that ever more masks may lead to, of shape (2,); the score itself where all masks were
        run, NaN where the masks are too few to tell.
    tie_tolerance
        Features whose sensitivities differ by no more than this are tied: for prediction and for explanation.
    weights
        1 - confidence change and explanation similarity of each mask, of shape (K, 2).
    constant
        Whether the attribution under each mask was constant, so that its similarity counted as 0, of shape (K,).
    design
        What the masks are a function of; see `masks`.
    undefined
        Why there is no score, or an empty string.
    """

    labels: Int[Tensor, "*spatial"] | None
    prediction: Float64[Tensor, " m"]
    explanation: Float64[Tensor, " m"]
    score: float
    interval: Float64[Tensor, " 2"]
    tie_tolerance: Float64[Tensor, " 2"]
    weights: Float64[Tensor, "K 2"]
    constant: Bool[Tensor, " K"]
    design: MaskDesign
    undefined: str = ""

    @classmethod
    def from_estimate(
        cls,
        sensitivities: Float64[Tensor, "2 m"],
        steady: Float64[Tensor, "2 m"],
        deviations: Float64[Tensor, "G 2 m"],
        *,
        tie_tolerance: Float64[Tensor, " 2"],
        undefined: str,
        labels: Int[Tensor, "*spatial"] | None,
        **table: Tensor | MaskDesign,
    ) -> "Sensitivity":
        """Score sensitivities (see `Estimate`); those of features that the image does not have are left out."""
        if labels is not None:
            n_features = int(labels.max()) + 1
            sensitivities, steady, deviations = (one[..., :n_features] for one in (sensitivities, steady, deviations))
        prediction, explanation = sensitivities
        score = consistency(prediction, explanation, tie_tolerance)
        interval = limit_interval(steady, deviations, tie_tolerance)
        undefined = SINGLE if len(prediction) < 2 else undefined
        if not undefined and score.isnan():
            undefined = "equal sensitivities of all features"
        if undefined:
            score, interval = torch.full_like(score, torch.nan), torch.full_like(interval, torch.nan)
        return cls(
            labels=labels,
            prediction=prediction,
            explanation=explanation,
            score=score.item(),
            interval=interval,
            tie_tolerance=tie_tolerance,
            undefined=undefined,
            **table,  # type: ignore[arg-type]
        )

    @property
    def n_masks(self) -> int:
        """How many masks the sensitivities come from."""
        return len(self.weights)

    @property
    def n_constant(self) -> int:
        """For how many masks the attribution was constant."""
        return int(self.constant.sum())

    def masks(self) -> Bool[Tensor, "K m"]:
        """Which features or units each mask kept: True keeps, False eliminates. A row for each row of `weights`."""
        return torch.cat(list(self.design.row_masks(0, 0, self.n_masks)))[:, : len(self.prediction)]

    @property
    def standard_error(self) -> float:
        """How far the score may be from the one that ever more masks lead to, as a standard error; NaN where it is unknown.

        Two of them reach all of the `interval`. It exceeds the spread over seeds where the masks' noise moves all scores the
        same way: towards 0, or, for the paper's two sums, towards 1. The scatter of a method that gives something else each
        time is in it, unless all masks were run.
        """
        return standard_error(self.score, self.interval)

    def top_k_agreement(self, k: int) -> float:
        """Share of the k most sensitive features in common (Tan, WACV 2025, Eq. 5); NaN where there is no score."""
        agreement = top_k_agreement(self.prediction, self.explanation, k, self.tie_tolerance)
        return math.nan if self.undefined else agreement
