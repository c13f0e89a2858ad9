"""Within what interval the score that ever more masks lead to lies."""

import math

import torch
from jaxtyping import Float64
from scipy.linalg import hadamard
from torch import Tensor

from quantus_senc.core.consistency import consistency
from quantus_senc.core.estimators import N_BLOCKS

# How much larger the added noise is than the noise that there is. Replicates lie around an estimate that has already put nearly
# tied features in an order, and other masks would turn that order more often. `benchmarks/README.md` shows its calibration.
_CAUTION = 1.25
_HADAMARD = torch.tensor(hadamard(N_BLOCKS).tolist(), dtype=torch.float64)
_SIGNS = torch.cat([_HADAMARD, -_HADAMARD])  # of each block, for each replicate


def limit_interval(
    sensitivities: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"], tie_tolerance: Float64[Tensor, " 2"]
) -> Float64[Tensor, " 2"]:
    """Return the lowest and the highest score that ever more masks may lead to; NaN where that is unknown.

    Noise of the masks is added to the sensitivities a second time. What this does to their ranks and to the score tells what
    the noise has done the first time, and the score is corrected by it. The corrected score ± 2 times the scatter of the
    scores with more noise, cut off at -1 and 1, is the interval.

    Parameters
    ----------
    sensitivities
        Of prediction and explanation; see `Estimate.steady`.
    deviations
        What each block of masks changes in them.
    tie_tolerance
        See `consistency`.

    Notes
    -----
    Noise with a share h of a sensitivity's variance lowers a correlation by the root of 1 - h (Spearman 1904). Adding it again,
    c times as large, makes the correlation with the sensitivity itself the root of 1 / (1 + c² h). This is measured by ranks,
    and gives h. Noise that both sensitivities share adds to their correlation, which its change on adding noise shows. To
    extrapolate from more noise to none is due to Cook and Stefanski, "Simulation-extrapolation estimation in parametric
    measurement error models", 1994.
    """
    score = consistency(sensitivities[0], sensitivities[1], tie_tolerance)
    if not deviations.any():
        return score.repeat(2)
    moved = _with_more_noise(sensitivities, deviations)
    replicates = consistency(moved[:, 0], moved[:, 1], tie_tolerance)
    scatter = (replicates - score).square().nanmean().sqrt()
    kept = torch.stack(
        [
            consistency(moved[:, kind], sensitivities[kind].expand_as(moved[:, kind]), tie_tolerance[[kind, kind]]).nanmean()
            for kind in range(2)
        ]
    ).clamp(min=1e-3)
    reliability = (1 - (kept**-2 - 1) / _CAUTION**2).clamp(min=0).prod().sqrt()
    shared = (replicates.nanmean() / kept.prod() - score) / _CAUTION**2
    whole = torch.tensor([-1.0, 1.0], dtype=torch.float64)
    if reliability == 0:
        return whole + 0 * scatter
    return ((score - shared + 2 * whole * scatter) / reliability).clamp(-1, 1)


def standard_error(score: float, interval: Float64[Tensor, " 2"]) -> float:
    """Return half the distance from a score to the farther end of its interval; NaN where either is unknown.

    Two standard errors reach all of the interval.
    """
    farthest = (interval - score).abs().max().item()
    return farthest / 2 if math.isfinite(farthest) else math.nan


def _with_more_noise(sensitivities: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"]) -> Float64[Tensor, "r 2 m"]:
    """64 sensitivities that are as far from these as `_CAUTION` times their noise.

    Deviations of blocks that are left out have, up to a factor, the covariance of the sensitivities themselves (the delete-a-
    block jackknife). Ranks are no smooth function of the sensitivities, so a score without one block says little about a
    score with other masks. All blocks at once, with signs from a Hadamard matrix, move the sensitivities as far as other
    masks would.
    """
    scale = _CAUTION * math.sqrt(1 - 1 / N_BLOCKS)
    return sensitivities + scale * torch.tensordot(_SIGNS, deviations, 1)
