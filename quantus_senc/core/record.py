"""The record of one image, or of one image and layer: its sensitivities, its score, and the table that they come from."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int
from torch import Tensor

from quantus_senc.core.consistency import consistency, top_k_agreement
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.standard_error import reliability, score_replicates, standard_error

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
    replicates
        64 scores that other masks might have given; the score itself where all masks were run, NaN where the masks are too few
        to tell.
    reliability
        By what factor the noise of the masks has lowered the correlation of the two, if their noise is independent, in [0, 1].
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
    replicates: Float64[Tensor, " r"]
    reliability: float
    tie_tolerance: Float64[Tensor, " 2"]
    weights: Float64[Tensor, "K 2"]
    constant: Bool[Tensor, " K"]
    design: MaskDesign
    undefined: str = ""

    @classmethod
    def from_estimate(
        cls,
        sensitivities: Float64[Tensor, "2 m"],
        deviations: Float64[Tensor, "G 2 m"],
        *,
        tie_tolerance: Float64[Tensor, " 2"],
        undefined: str,
        labels: Int[Tensor, "*spatial"] | None,
        **table: Tensor | MaskDesign,
    ) -> "Sensitivity":
        """Score sensitivities; those of features that the image does not have are left out."""
        if labels is not None:
            n_features = int(labels.max()) + 1
            sensitivities, deviations = sensitivities[:, :n_features], deviations[..., :n_features]
        prediction, explanation = sensitivities
        score = consistency(prediction, explanation, tie_tolerance)
        replicates = score_replicates(sensitivities, deviations, tie_tolerance)
        undefined = SINGLE if len(prediction) < 2 else undefined
        if not undefined and score.isnan():
            undefined = "equal sensitivities of all features"
        if undefined:
            score, replicates = torch.full_like(score, torch.nan), torch.full_like(replicates, torch.nan)
        return cls(
            labels=labels,
            prediction=prediction,
            explanation=explanation,
            score=score.item(),
            replicates=replicates,
            reliability=reliability(sensitivities, deviations),
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

        For the paper's two sums it is too small: their shared noise puts weak features in the same order in both, whichever the
        masks are. The scatter of a method that gives something else each time is in it, unless all masks were run.
        """
        return standard_error(self.score, self.replicates, self.reliability)

    def top_k_agreement(self, k: int) -> float:
        """Share of the k most sensitive features in common (Tan, WACV 2025, Eq. 5); NaN where there is no score."""
        agreement = top_k_agreement(self.prediction, self.explanation, k, self.tie_tolerance)
        return math.nan if self.undefined else agreement
