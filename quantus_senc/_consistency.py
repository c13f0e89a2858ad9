"""Do the prediction and the explanation have the same sensitivities?"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float32, Float64, Int
from torch import Tensor

from quantus_senc._similarity import has_no_ranks, spearman


def consistency(prediction: Float64[Tensor, "*n m"], explanation: Float64[Tensor, "*n m"]) -> Float64[Tensor, "*n"]:
    """Spearman's rho of prediction and explanation sensitivity; NaN where either is constant or holds a NaN.

    References
    ----------
    Tan, WACV 2025, Eq. 4 and 6.
    """
    return spearman(_without_noise(prediction), _without_noise(explanation))


def _without_noise(sensitivity: Float64[Tensor, "*n m"]) -> Float64[Tensor, "*n m"]:
    """Sensitivities as multiples of 2^-30 of the largest, so that what differs by rounding alone is equal."""
    largest = sensitivity.abs().amax(-1, keepdim=True)
    return (sensitivity / largest.where(largest > 0, 1) * 2**30).round()


def top_k_agreement(prediction: Float64[Tensor, " m"], explanation: Float64[Tensor, " m"], k: int) -> float:
    """Share of the k most sensitive features that prediction and explanation have in common, in [0, 1].

    Of equally sensitive features, the one with the lower label comes first.

    Raises
    ------
    ValueError
        If k is not in 1 … m.

    References
    ----------
    Tan, WACV 2025, Eq. 5.

    Examples
    --------
    >>> prediction = torch.tensor([3.0, 2.0, 1.0], dtype=torch.float64)
    >>> explanation = torch.tensor([3.0, 1.0, 2.0], dtype=torch.float64)
    >>> top_k_agreement(prediction, explanation, k=2)
    0.5
    """
    m = len(prediction)
    if k not in range(1, m + 1):
        raise ValueError(f"k={k!r} is not in 1 … {m}, the number of features; choose a smaller k")
    if prediction.isnan().any() or explanation.isnan().any():
        return math.nan
    best = [_without_noise(values).sort(descending=True, stable=True).indices[: int(k)] for values in (prediction, explanation)]
    return torch.isin(*best).sum().item() / k


@dataclass(frozen=True, eq=False)
class Sensitivity:
    """What was found for one image, or for one image and layer.

    Attributes
    ----------
    labels
        The feature, in [0, m), that each position of the image belongs to, of shape (\\*spatial); None for a layer.
    prediction, explanation
        Prediction and explanation sensitivity of each feature or unit, of shape (m,), on the host.
    score
        Sensitivity consistency, in [-1, 1]; NaN where it is undefined.
    n_masks
        How many masks the sensitivities are the sums of.
    n_constant
        For how many masks the attribution was constant, so that its similarity counted as 0.
    undefined
        Why there is no score, or an empty string.
    """

    labels: Int[Tensor, "*spatial"] | None
    prediction: Float64[Tensor, " m"]
    explanation: Float64[Tensor, " m"]
    score: float
    n_masks: int
    n_constant: int
    undefined: str = ""

    @classmethod
    def of(
        cls,
        labels: Int[Tensor, "*spatial"] | None,
        sums: Float64[Tensor, "2 m"],
        n_masks: int,
        n_constant: int,
        original_ranks: Float32[Tensor, " n"],
    ) -> "Sensitivity":
        """From prediction and explanation sensitivity, and `centred_ranks` of the unperturbed explanation."""
        prediction, explanation = sums
        reasons = {
            "a single feature": len(prediction) < 2,
            "NaN in the prediction": prediction.isnan().any(),
            "NaN in the attribution": explanation.isnan().any(),
            "a constant attribution": has_no_ranks(original_ranks).item(),
            "an attribution that is constant under every mask": n_constant == n_masks,
            "equal sensitivities of all features": consistency(prediction, explanation).isnan(),
        }
        undefined = next((reason for reason, applies in reasons.items() if applies), "")
        score = math.nan if undefined else consistency(prediction, explanation).item()
        return cls(labels, prediction, explanation, score, n_masks, n_constant, undefined)

    def top_k_agreement(self, k: int) -> float:
        """Share of the k most sensitive features in common (Tan, WACV 2025, Eq. 5); NaN where there is no score."""
        agreement = top_k_agreement(self.prediction, self.explanation, k)
        return math.nan if self.undefined else agreement
