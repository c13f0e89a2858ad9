"""The tie rule: features whose sensitivities differ by no more than rounding are equally sensitive."""

import torch
from jaxtyping import Float64
from torch import Tensor


def with_ties(values: Float64[Tensor, "*n m"], tie_tolerance: Float64[Tensor, ""]) -> Float64[Tensor, "*n m"]:
    """Return the values in groups: those at most `tie_tolerance` above the lowest value of a group become equal to it.

    Groups are formed from the lowest value up.

    Examples
    --------
    >>> with_ties(torch.tensor([0.3, 0.1, 0.1 + 1e-9, 0.2], dtype=torch.float64), torch.tensor(1e-6, dtype=torch.float64))
    tensor([0.3000, 0.1000, 0.1000, 0.2000], dtype=torch.float64)
    """
    ordered, order = values.sort(-1)
    if not (ordered.diff(dim=-1) <= tie_tolerance).any():
        return values
    lowest = [ordered[..., 0]]
    for value in ordered.unbind(-1)[1:]:
        lowest.append(torch.where(value - lowest[-1] <= tie_tolerance, lowest[-1], value))
    return torch.empty_like(ordered).scatter_(-1, order, torch.stack(lowest, -1))
