"""Copies of samples, many of each."""

import torch
from jaxtyping import Int64, Shaped
from torch import Tensor


def copies(samples: Shaped[Tensor, "B *shape"], which: Int64[Tensor, " N"]) -> Shaped[Tensor, "N *shape"]:
    """`samples[which]`, which torch takes several times as long for, in the same order in memory for images.

    Examples
    --------
    >>> copies(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 1, 1]))
    tensor([[1, 2],
            [3, 4],
            [3, 4]])
    """
    if samples.ndim == 4 and not samples.is_contiguous() and samples.is_contiguous(memory_format=torch.channels_last):
        return samples.permute(0, 2, 3, 1).index_select(0, which).permute(0, 3, 1, 2)
    return samples.index_select(0, which)
