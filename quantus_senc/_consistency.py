"""Do the prediction and the explanation have the same sensitivities?"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int
from scipy.linalg import hadamard
from torch import Tensor

from quantus_senc._estimators import Estimate
from quantus_senc._sensitivity import N_BLOCKS
from quantus_senc._similarity import spearman

SINGLE = "a single feature"
NAN_PREDICTION = "NaN in the prediction"
NAN_ATTRIBUTION = "NaN in the attribution"
CONSTANT = "a constant attribution"
FINAL = (SINGLE, NAN_PREDICTION, NAN_ATTRIBUTION, CONSTANT)  # reasons that more masks cannot lift

# On enumerated MNIST images, two standard errors cover the limit in 89 to 99 % of the cases with 1, in 92 to 100 % with this.
_CAUTION = 1.25
_HADAMARD = torch.tensor(hadamard(N_BLOCKS).tolist(), dtype=torch.float64)
_SIGNS = torch.cat([_HADAMARD, -_HADAMARD])  # of each block, for each replicate


def consistency(
    prediction: Float64[Tensor, "*n m"], explanation: Float64[Tensor, "*n m"], resolution: Float64[Tensor, " 2"]
) -> Float64[Tensor, "*n"]:
    """Spearman's rho of prediction and explanation sensitivity; NaN where either is constant or holds a NaN.

    Parameters
    ----------
    prediction, explanation
        Sensitivity of each feature.
    resolution
        What differences of the two rounding alone can make; features that differ by no more are tied.

    References
    ----------
    Tan, WACV 2025, Eq. 4 and 6.
    """
    return spearman(with_ties(prediction, resolution[0]), with_ties(explanation, resolution[1]))


def with_ties(values: Float64[Tensor, "*n m"], resolution: Float64[Tensor, ""]) -> Float64[Tensor, "*n m"]:
    """The values, but those no more than `resolution` above the lowest of a group take its value.

    Groups are formed from the lowest value up.

    Examples
    --------
    >>> with_ties(torch.tensor([0.3, 0.1, 0.1 + 1e-9, 0.2], dtype=torch.float64), torch.tensor(1e-6, dtype=torch.float64))
    tensor([0.3000, 0.1000, 0.1000, 0.2000], dtype=torch.float64)
    """
    ordered, order = values.sort(-1)
    if not (ordered.diff(dim=-1) <= resolution).any():
        return values
    lowest = [ordered[..., 0]]
    for value in ordered.unbind(-1)[1:]:
        lowest.append(torch.where(value - lowest[-1] <= resolution, lowest[-1], value))
    return torch.empty_like(ordered).scatter_(-1, order, torch.stack(lowest, -1))


def top_k_agreement(
    prediction: Float64[Tensor, " m"], explanation: Float64[Tensor, " m"], k: int, resolution: Float64[Tensor, " 2"]
) -> float:
    """Share of the k most sensitive features that prediction and explanation have in common, in [0, 1].

    Of equally sensitive features, the one with the lower label comes first. For `resolution` see `consistency`.

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
    >>> top_k_agreement(prediction, explanation, k=2, resolution=torch.zeros(2, dtype=torch.float64))
    0.5
    """
    m = len(prediction)
    if k not in range(1, m + 1):
        raise ValueError(f"k={k!r} is not in 1 … {m}, the number of features; choose a smaller k")
    if prediction.isnan().any() or explanation.isnan().any():
        return math.nan
    tied = with_ties(prediction, resolution[0]), with_ties(explanation, resolution[1])
    best = [values.sort(descending=True, stable=True).indices[: int(k)] for values in tied]
    return torch.isin(*best).sum().item() / k


def score_replicates(estimate: Estimate) -> Float64[Tensor, " r"]:
    """What the score might as well have been: scores after the blocks' deviations are added with balanced random signs.

    Deviations of blocks that are left out have, up to a factor, the covariance of the sensitivities themselves (the delete-a-
    block jackknife). Ranks are no smooth function of them, so that each score without one block says little about a score
    with other masks; all blocks at once, half of them with the sign turned, move the sensitivities as far as other masks
    would. The mean square of what that does to the score counts its variance, and some of its bias.

    Replicates lie around the estimate, which has already put nearly tied features in an order, not around the limit; other
    masks would turn that order more often. `_CAUTION` makes up for it.
    """
    scale = _CAUTION * math.sqrt(1 - 1 / N_BLOCKS)
    moved = estimate.sensitivities + scale * torch.tensordot(_SIGNS, estimate.deviations, 1)
    return consistency(moved[:, 0], moved[:, 1], estimate.resolution)


def reliability(estimate: Estimate) -> float:
    """The geometric mean of what shares of the two sensitivities' variance over features are not noise of the masks.

    Independent noise lowers a correlation by that factor (Spearman, "The proof and measurement of association between two
    things", 1904).
    """
    noise = (1 - 1 / N_BLOCKS) * estimate.deviations.square().sum(0).mean(-1)
    spread = estimate.sensitivities.var(-1, correction=min(1, estimate.sensitivities.shape[-1] - 1)).clamp(
        min=torch.finfo(torch.float64).tiny
    )
    return (1 - noise / spread).clamp(min=0).prod().sqrt().item()


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
    replicates
        What the score might as well have been with other masks, 64 times; the score itself where every mask was tried, NaN
        where the masks are too few to tell.
    reliability
        By what factor the noise of the masks has lowered the correlation of the two, if each has noise of its own, in [0, 1].
    resolution
        What differences of prediction and explanation sensitivities rounding alone can make; they count as ties.
    n_masks
        How many masks the sensitivities come from.
    n_constant
        For how many masks the attribution was constant, so that its similarity counted as 0.
    undefined
        Why there is no score, or an empty string.
    """

    labels: Int[Tensor, "*spatial"] | None
    prediction: Float64[Tensor, " m"]
    explanation: Float64[Tensor, " m"]
    score: float
    replicates: Float64[Tensor, " r"]
    reliability: float
    resolution: Float64[Tensor, " 2"]
    n_masks: int
    n_constant: int
    undefined: str = ""

    @classmethod
    def of(cls, labels: Int[Tensor, "*spatial"] | None, estimate: Estimate, n_masks: int, n_constant: int) -> "Sensitivity":
        """From the sensitivities of one image; those of features that it does not have are left out."""
        if labels is not None:
            estimate = estimate.first(int(labels.max()) + 1)
        prediction, explanation = estimate.sensitivities
        score, replicates = consistency(prediction, explanation, estimate.resolution), score_replicates(estimate)
        undefined = SINGLE if len(prediction) < 2 else estimate.undefined
        if not undefined and score.isnan():
            undefined = "equal sensitivities of all features"
        if undefined:
            score, replicates = torch.full_like(score, torch.nan), torch.full_like(replicates, torch.nan)
        return cls(
            labels,
            prediction,
            explanation,
            score.item(),
            replicates,
            reliability(estimate),
            estimate.resolution,
            n_masks,
            n_constant,
            undefined,
        )

    @property
    def standard_error(self) -> float:
        """How far the score may be from the one that ever more masks lead to, as a standard error; NaN where that is unknown.

        The larger of two: how far other masks would move the score (`replicates`), and how far the score may be off because
        a part of what distinguishes the features is noise (1 - `reliability`), in which true ranks drown. It is too small for
        the paper's two sums, which share their noise: that puts weak features in the same order in both, whichever the masks.
        A method that gives something else each time adds scatter, which is in the error unless every mask was tried.
        """
        scatter = (self.replicates - self.score).square().nanmean().sqrt().item()
        true_at_most = min(1.0, (abs(self.score) + scatter) / max(self.reliability, 1e-12))
        return max(scatter, (1 - self.reliability) * true_at_most) if math.isfinite(scatter) else math.nan

    def top_k_agreement(self, k: int) -> float:
        """Share of the k most sensitive features in common (Tan, WACV 2025, Eq. 5); NaN where there is no score."""
        agreement = top_k_agreement(self.prediction, self.explanation, k, self.resolution)
        return math.nan if self.undefined else agreement
