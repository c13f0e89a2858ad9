"""The score: do the prediction and the explanation have the same sensitivities?"""

import math

import torch
from jaxtyping import Float64
from torch import Tensor

from quantus_senc.core.ranks import spearman
from quantus_senc.core.ties import with_ties


def consistency(
    prediction: Float64[Tensor, "*n m"], explanation: Float64[Tensor, "*n m"], tie_tolerance: Float64[Tensor, " 2"]
) -> Float64[Tensor, "*n"]:
    """Return Spearman's rho of prediction and explanation sensitivity; NaN where either is constant or holds a NaN.

    Parameters
    ----------
    prediction, explanation
        Sensitivity of each feature.
    tie_tolerance
        Features whose sensitivities differ by no more than this are tied: for prediction and for explanation.

    References
    ----------
    Tan, WACV 2025, Eq. 4 and 6.
    """
    return spearman(with_ties(prediction, tie_tolerance[0]), with_ties(explanation, tie_tolerance[1]))


def top_k_agreement(
    prediction: Float64[Tensor, " m"], explanation: Float64[Tensor, " m"], k: int, tie_tolerance: Float64[Tensor, " 2"]
) -> float:
    """Return the share of the k most sensitive features that prediction and explanation have in common, in [0, 1].

    Of equally sensitive features, the one with the lower label comes first. For `tie_tolerance` see `consistency`.

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
    >>> top_k_agreement(prediction, explanation, k=2, tie_tolerance=torch.zeros(2, dtype=torch.float64))
    0.5
    """
    m = len(prediction)
    if k not in range(1, m + 1):
        raise ValueError(f"k={k!r} is not in 1 … {m}, the number of features; choose a smaller k")
    if prediction.isnan().any() or explanation.isnan().any():
        return math.nan
    tied = with_ties(prediction, tie_tolerance[0]), with_ties(explanation, tie_tolerance[1])
    best = [values.sort(descending=True, stable=True).indices[: int(k)] for values in tied]
    return torch.isin(*best).sum().item() / k
