"""How far a score may be from the one that ever more masks lead to."""

import math

import torch
from jaxtyping import Float64
from scipy.linalg import hadamard
from torch import Tensor

from quantus_senc.core.consistency import consistency
from quantus_senc.core.estimators import N_BLOCKS

# The limit is the score of ever more masks, known for MNIST images whose masks were all run. Two standard errors cover it in
# 89 to 99 % of the cases with a factor of 1, and in 92 to 100 % with this one.
_CAUTION = 1.25
_HADAMARD = torch.tensor(hadamard(N_BLOCKS).tolist(), dtype=torch.float64)
_SIGNS = torch.cat([_HADAMARD, -_HADAMARD])  # of each block, for each replicate


def score_replicates(
    sensitivities: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"], tie_tolerance: Float64[Tensor, " 2"]
) -> Float64[Tensor, " r"]:
    """Return 64 scores that other masks might have given: scores after the blocks' deviations are added with balanced signs.

    Deviations of blocks that are left out have, up to a factor, the covariance of the sensitivities themselves (the delete-a-
    block jackknife). Ranks are no smooth function of the sensitivities, so a score without one block says little about a
    score with other masks. All blocks at once, with signs from a Hadamard matrix, move the sensitivities as far as other
    masks would. The mean square of what that does to the score measures its variance, and a part of its bias.

    Replicates lie around the estimate, which has already put nearly tied features in an order, and not around the limit.
    Other masks would turn that order more often. `_CAUTION` makes up for it.
    """
    scale = _CAUTION * math.sqrt(1 - 1 / N_BLOCKS)
    moved = sensitivities + scale * torch.tensordot(_SIGNS, deviations, 1)
    return consistency(moved[:, 0], moved[:, 1], tie_tolerance)


def reliability(sensitivities: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"]) -> float:
    """Return by what factor the noise of the masks lowers the correlation of the two sensitivities, in [0, 1].

    It is the geometric mean of the shares of the sensitivities' variance over features that are not noise.

    References
    ----------
    Spearman, "The proof and measurement of association between two things", 1904.
    """
    noise = (1 - 1 / N_BLOCKS) * deviations.square().sum(0).mean(-1)
    tiny = torch.finfo(torch.float64).tiny
    spread = sensitivities.var(-1, correction=min(1, sensitivities.shape[-1] - 1)).clamp(min=tiny)
    return (1 - noise / spread).clamp(min=0).prod().sqrt().item()


def standard_error(score: float, replicates: Float64[Tensor, " r"], reliability: float) -> float:
    """Return the standard error of a score; NaN where it is unknown. Replicates without a score are left out.

    It is the larger of two: how far other masks would move the score (`score_replicates`), and how far the score may be off
    because a part of what distinguishes the features is noise (`reliability`), in which true ranks drown.
    """
    scatter = (replicates - score).square().nanmean().sqrt().item()
    true_at_most = min(1.0, (abs(score) + scatter) / max(reliability, 1e-12))
    return max(scatter, (1 - reliability) * true_at_most) if math.isfinite(scatter) else math.nan
