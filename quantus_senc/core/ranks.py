"""Rank correlation along the last axis: Spearman's rho with average ranks for ties."""

import torch
from jaxtyping import Bool, Float, Float32, Int64, Num, Shaped
from torch import Tensor

_MANY_THREADS = 6  # with which torch, which sorts rows in parallel, is faster than NumPy


def widest(device: torch.device) -> torch.dtype:
    """Double precision, or single on the devices that have nothing better."""
    return torch.float32 if device.type == "mps" else torch.float64


def _sort(values: Float[Tensor, "*n v"]) -> tuple[Num[Tensor, "*n v"], Int64[Tensor, "*n v"]]:
    """Numbers in ascending order, equal where the values are, and where each stood.

    NaN comes last; or, on a CPU, first or last.
    """
    if values.device.type != "cpu" or values.dtype is not torch.float32:
        return values.sort(-1)
    # Integers are sorted faster than floats: the bits of a float, with all but the sign turned over where it is negative,
    # are in the order of the floats.
    bits = (values + 0.0).view(torch.int32)  # + 0.0, because -0.0 has other bits
    bits.bitwise_xor_(bits >> 31 & 0x7FFFFFFF)
    if min(torch.get_num_threads(), values[..., 0].numel()) >= _MANY_THREADS:
        return bits.sort(-1)
    # One thread of NumPy sorts several times faster than one of torch, so value and position become one integer.
    keys = bits.long()
    keys.bitwise_left_shift_(32).bitwise_or_(torch.arange(values.shape[-1], device="cpu"))
    keys.numpy().sort(-1)
    order = keys & 0xFFFFFFFF
    return keys.bitwise_right_shift_(32), order


def _sorted_ranks(
    values: Float[Tensor, "*n v"],
) -> tuple[Float32[Tensor, "*_ v"], Int64[Tensor, "*n v"]]:
    """Centred ranks in ascending order, one row if they are the same for all, and where each value stood.

    See `centred_ranks`.
    """
    ordered, order = _sort(values)
    differs = ordered[..., 1:] != ordered[..., :-1]
    if values.device.type != "cpu":  # a look for ties would wait for the device
        return _with_ties(differs).masked_fill_(ordered[..., -1:].isnan(), torch.nan), order
    has_nan = values.gather(-1, order[..., [0, -1]]).isnan().any(-1)
    steps = torch.arange(1 - values.shape[-1], values.shape[-1], 2, dtype=torch.float32, device="cpu")
    tied = differs.sum(-1) < len(steps) - 1  # differs.all(-1) takes ten times as long
    if not (tied | has_nan).any():
        return steps, order
    if tied.all():
        ranks = _with_ties(differs)
    else:
        ranks = steps.repeat(*order.shape[:-1], 1)
        ranks[tied] = _with_ties(differs[tied])
    ranks[has_nan] = torch.nan
    return ranks, order


def _with_ties(differs: Bool[Tensor, "*n w"]) -> Float32[Tensor, "*n v"]:
    """Centred ranks in ascending order, from where the next value differs."""
    group = torch.zeros(*differs.shape[:-1], differs.shape[-1] + 1, dtype=torch.int64, device=differs.device)
    if differs.shape[-1] == 0:  # XLA has no cumulative sum of nothing
        return group.float()
    torch.cumsum(differs, -1, dtype=torch.int64, out=group[..., 1:])
    two = torch.full((), 2, dtype=torch.float32, device=group.device)
    sizes = torch.zeros_like(group, dtype=torch.float32).scatter_add_(-1, group, two.expand_as(group))  # twice the sizes
    # A group of equal values that ends at rank e has the mean rank e - (size - 1) / 2.
    return sizes.cumsum(-1).sub_(sizes, alpha=0.5).sub_(group.shape[-1]).gather(-1, group)


def centred_ranks(values: Float[Tensor, "*n v"]) -> Float32[Tensor, "*n v"]:
    """Twice the rank minus (v + 1): integers around 0, so that sums of products stay exact for some thousand values.

    Equal values share the mean of their ranks.

    Returns
    -------
    Tensor
        0 throughout where all values are equal, and so have no ranks; NaN throughout where there is a NaN.

    Examples
    --------
    >>> centred_ranks(torch.tensor([0.5, 0.1, 0.5, 0.9]))
    tensor([ 0., -3.,  0.,  3.])
    """
    ranks, order = _sorted_ranks(values)
    return torch.empty_like(order, dtype=torch.float32).scatter_(-1, order, ranks.expand_as(order))


def sum_of_squares(ranks: Float32[Tensor, "*n v"]) -> Float[Tensor, "*n"]:
    """Of what `centred_ranks` returns."""
    return ranks.square().sum(-1, dtype=widest(ranks.device))


def rank_correlation(
    ranks: Float[Tensor, "*#n v"],
    values: Float[Tensor, "*n v"],
    squares: Float[Tensor, "*#n"] | None = None,
) -> tuple[Float[Tensor, "*n"], Bool[Tensor, "*n"]]:
    """Spearman's rho of what `centred_ranks` has ranked with other values, and where those values are all equal.

    Parameters
    ----------
    squares
        The `sum_of_squares` of the ranks, if it is known.

    Returns
    -------
    Tensor
        Rho; 0 where either has no ranks, NaN where either holds a NaN.
    Tensor
        True where `values` has no ranks.

    References
    ----------
    Tan, WACV 2025, Eq. 3.
    """
    sorted_ranks, order = _sorted_ranks(values)
    covariance = ranks.expand_as(order).gather(-1, order).mul_(sorted_ranks).sum(-1, dtype=widest(values.device))
    squares_of_values = sum_of_squares(sorted_ranks)
    # Ranks are integers, so that it is 0 or at least 1.
    scale = (squares_of_values * (sum_of_squares(ranks) if squares is None else squares)).sqrt()
    return covariance / scale.clamp(min=1), (squares_of_values == 0).expand_as(covariance)


def spearman(a: Float[Tensor, "*n v"], b: Float[Tensor, "*n v"]) -> Float[Tensor, "*n"]:
    """Spearman's rho along the last axis; NaN where either has no ranks or holds a NaN.

    Examples
    --------
    >>> spearman(torch.tensor([[1.0, 2.0, 3.0], [1.0, 1.0, 1.0]]), torch.tensor([[2.0, 9.0, 4.0]]).expand(2, 3))
    tensor([0.5000,    nan], dtype=torch.float64)
    """
    ranks = centred_ranks(a)
    rho, constant = rank_correlation(ranks, b)
    return rho.masked_fill(constant | has_no_ranks(ranks), torch.nan)


def has_no_ranks(ranks: Float32[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Where `centred_ranks` was given equal values throughout."""
    return (ranks == 0).all(-1)


def select_rows(samples: Shaped[Tensor, "B *shape"], rows: Int64[Tensor, " p"]) -> Shaped[Tensor, "p *shape"]:
    """Return `samples[rows]`, for which torch takes several times as long."""
    return samples.index_select(0, rows)
