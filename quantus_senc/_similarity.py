"""Rank correlation of rows: Spearman's rho with average ranks for ties.

Ranks are in double precision: with few values there are few different rhos, and sums of equal ones must stay equal.
"""

import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor


def average_ranks(values: Float[Tensor, "N n"]) -> Float64[Tensor, "N n"]:
    """Ranks 1 … n of each row's values; equal values share the mean of their ranks.

    Examples
    --------
    >>> average_ranks(torch.tensor([[0.5, 0.1, 0.5, 0.9]]))
    tensor([[2.5000, 1.0000, 2.5000, 4.0000]], dtype=torch.float64)
    """
    ordered, order = values.sort(-1)
    starts = torch.zeros_like(order)
    starts[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    group = starts.cumsum(-1)
    sizes = torch.zeros_like(group).scatter_add_(1, group, torch.ones_like(group))
    middles = sizes.cumsum(-1) - (sizes - 1).double() / 2
    return torch.empty_like(middles).scatter_(1, order, middles.gather(1, group))


def unit_ranks(values: Float[Tensor, "N n"]) -> Float64[Tensor, "N n"]:
    """Ranks of each row, centred and scaled to length 1, so that Spearman's rho is a dot product.

    Parameters
    ----------
    values
        Of any floating type.

    Returns
    -------
    Tensor
        0 throughout where a row is constant, and so has no ranks; NaN throughout where it holds a NaN.

    References
    ----------
    Tan, WACV 2025, Eq. 3.
    """
    n = values.shape[-1]
    centred = (average_ranks(values) - (n + 1) / 2) / n
    scaled = centred / torch.linalg.vector_norm(centred, dim=-1, keepdim=True).clamp_min(1e-12)
    return scaled.masked_fill(values.isnan().any(-1, keepdim=True), torch.nan)


def is_constant(ranks: Float64[Tensor, "*n _"]) -> Bool[Tensor, "*n"]:
    """Which rows of `unit_ranks` come from a constant row."""
    return (ranks == 0).all(-1)


def spearman(a: Float[Tensor, "N n"], b: Float[Tensor, "N n"]) -> Float64[Tensor, " N"]:
    """Spearman's rho of each row of `a` with the same row of `b`; NaN where either is constant or holds a NaN.

    Examples
    --------
    >>> spearman(torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), torch.tensor([[2.0, 9.0, 4.0]]).expand(2, 3))
    tensor([0.5000,    nan], dtype=torch.float64)
    """
    a, b = unit_ranks(a), unit_ranks(b)
    return (a * b).sum(-1).masked_fill(is_constant(a) | is_constant(b), torch.nan)
