"""Explanations that explain nothing."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor, nn

from quantus_senc._arguments import check_integer
from quantus_senc._host import as_tensor, host_array
from quantus_senc._philox import random_uniform

_BLOCK = 1024
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def explain_random(
    model: nn.Module, inputs: np.ndarray | Tensor, targets: np.ndarray | Tensor, *, seed: int = 0, **kwargs: Any
) -> np.ndarray | Tensor:
    """Random maps, uniform in [0, 1): the baseline of the paper, as an `explain_func`.

    A map is a function of the seed, the model's weights and buffers, the input (in single precision) and the target, to
    the last bit of each: the same whenever and in whatever batch it is asked for, and unrelated to the map of an input
    or of weights that differ at all.

    Parameters
    ----------
    model
        Only its weights and buffers count.
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
    check_integer("seed", seed, 0, 2**64 - 1)
    if not isinstance(inputs, Tensor):
        tensors = as_tensor(np.asarray(inputs)), as_tensor(np.asarray(targets))
        return host_array(explain_random(model, *tensors, seed=seed))
    streams = _hash(inputs.float().flatten(1)) + _mix(torch.as_tensor(targets, device=inputs.device).long())
    for tensor in (*model.parameters(), *model.buffers()):
        streams = _mix(streams + _hash(tensor.detach().reshape(1, -1)).to(inputs.device))
    shape = inputs.shape if inputs.ndim == 2 else (len(inputs), 1, *inputs.shape[2:])
    return random_uniform(int(seed), streams, torch.Size(shape[1:]).numel()).view(shape)


def _hash(rows: Tensor) -> Int64[Tensor, " N"]:
    """A number for the bits of each row: blocks by multiply-and-add modulo 2^64, mixed with their position."""
    bits = rows.contiguous().view(_INTEGERS[rows.dtype.itemsize]).long()
    blocks = nn.functional.pad(bits, (0, -bits.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
    sums = (blocks * (_mix(torch.arange(_BLOCK, device=rows.device)) | 1)).sum(-1)
    return _mix(sums + _mix(torch.arange(sums.shape[1], device=rows.device))).sum(-1)


def _mix(words: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    words = (words + 1) * -0x61C8864680B583EB
    words = (words ^ (words >> 30 & 2**34 - 1)) * -0x40A7B892E31B1A47
    words = (words ^ (words >> 27 & 2**37 - 1)) * -0x6B2FB644ECCEEE15
    return words ^ (words >> 31 & 2**33 - 1)
