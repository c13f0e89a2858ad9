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
    first = torch.ones_like(ordered, dtype=torch.bool)  # of its group
    first[..., 1:] = ~(ordered.diff(dim=-1) <= tie_tolerance)
    if first.all():
        return values
    place = torch.arange(values.shape[-1], device=values.device)
    while True:
        lowest = ordered.gather(-1, (place * first).cummax(-1).values)
        beyond = ordered - lowest > tie_tolerance
        if not beyond.any():
            return torch.empty_like(ordered).scatter_(-1, order, lowest)
        first[..., 1:] |= beyond[..., 1:] & ~beyond[..., :-1]  # the first beyond of each group begins the next
