"""Masks that leave the same perturbed sample, so that it needs to be run only once."""

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from quantus_senc.core.hashing import mix


def mask_keys(masks: Bool[Tensor, "*n m"]) -> Int64[Tensor, "*n"]:
    """Return an integer for each mask: equal for equal masks, and different for all others but one in 2^64 pairs.

    Examples
    --------
    >>> keys = mask_keys(torch.tensor([[True, False], [True, True], [True, False]]))
    >>> bool(keys[0] == keys[2]), bool(keys[0] == keys[1])
    (True, False)
    """
    features = mix(torch.arange(masks.shape[-1], device=masks.device))
    return mix(torch.where(masks, features, 0).sum(-1))


def first_occurrences(keys: Int64[Tensor, " k"]) -> Int64[Tensor, " k"]:
    """Return for each key the position at which the same key occurs first; on the host.

    Examples
    --------
    >>> first_occurrences(torch.tensor([7, 3, 7, 5, 3]))
    tensor([0, 1, 0, 3, 1])
    """
    _, first, inverse = np.unique(keys.cpu().numpy(), return_index=True, return_inverse=True)
    return torch.from_numpy(first[inverse])
