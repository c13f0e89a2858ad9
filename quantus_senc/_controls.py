"""Explanations that explain nothing."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from quantus_senc._philox import random_uniform

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def explain_random(
    model: nn.Module, inputs: np.ndarray | Tensor, targets: np.ndarray | Tensor, *, seed: int = 0, **kwargs: Any
) -> np.ndarray | Tensor:
    """Random maps, uniform in [0, 1): the baseline of the paper, as an `explain_func`.

    A map is a function of the seed, the model's weights, the input and the target, to the last bit of each: the same
    whenever and in whatever batch it is asked for, and unrelated to the map of an input or a model that differs at all.

    Parameters
    ----------
    model
        Only its weights count.
    inputs
        (B, C, \\*spatial), or (B, F) for tables.
    targets
        (B,).
    seed
        In [0, 2^64).
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), or (B, F) for tables; what the inputs are, and on their device.

    References
    ----------
    Tan, WACV 2025, Section 3.3.

    Examples
    --------
    >>> model, inputs = nn.Linear(4, 2), torch.eye(4)
    >>> maps = explain_random(model, inputs, torch.zeros(4))
    >>> maps.shape, torch.equal(maps[2:], explain_random(model, inputs[2:], torch.zeros(2)))
    (torch.Size([4, 4]), True)
    """
    if not isinstance(inputs, Tensor):
        return explain_random(model, torch.as_tensor(inputs), targets, seed=seed).numpy()  # type: ignore[union-attr]
    streams = _hash(inputs.flatten(1)) + _mix(torch.as_tensor(targets, device=inputs.device).long())
    for tensor in model.parameters():
        streams = _mix(streams + _hash(tensor.detach().reshape(1, -1)).to(inputs.device))
    shape = inputs.shape if inputs.ndim == 2 else (len(inputs), 1, *inputs.shape[2:])
    return random_uniform(seed, streams, torch.Size(shape[1:]).numel()).view(shape)


def _hash(rows: Tensor) -> Int64[Tensor, " N"]:
    """A number for the bits of each row, by multiply-and-add modulo 2^64."""
    bits = rows.contiguous().view(_INTEGERS[rows.dtype.itemsize]).long()
    return (bits * (_mix(torch.arange(bits.shape[1], device=rows.device)) | 1)).sum(-1)


def _mix(words: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    words = (words + 1) * -0x61C8864680B583EB
    words = (words ^ (words >> 30 & 2**34 - 1)) * -0x40A7B892E31B1A47
    words = (words ^ (words >> 27 & 2**37 - 1)) * -0x6B2FB644ECCEEE15
    return words ^ (words >> 31 & 2**33 - 1)
