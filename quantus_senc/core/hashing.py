"""Integers that stand for the bits of tensors, the same on every device."""

from functools import cache

import torch
from torch import Tensor, nn

_BLOCK = 1024
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def hash_rows(rows: Tensor) -> Tensor:
    """Return an integer (N,) for the bits of each row: blocks by multiply-and-add modulo 2^64, mixed with their position."""
    bits = rows.contiguous().view(_INTEGERS[rows.dtype.itemsize]).long()
    blocks = nn.functional.pad(bits, (0, -bits.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
    sums = (blocks * _multipliers(rows.device)).sum(-1)
    return mix(sums + mix(torch.arange(sums.shape[1], device=rows.device))).sum(-1)


@cache
def _multipliers(device: torch.device) -> Tensor:
    """An odd number for each place in a block."""
    return mix(torch.arange(_BLOCK, device=device)) | 1


def mix(words: Tensor) -> Tensor:
    """Return the finaliser of SplitMix64 of each word, modulo 2^64.

    References
    ----------
    Steele, Lea and Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    words = (words + 1) * -0x61C8864680B583EB
    words = (words ^ logical_right_shift(words, 30)) * -0x40A7B892E31B1A47
    words = (words ^ logical_right_shift(words, 27)) * -0x6B2FB644ECCEEE15
    return words ^ logical_right_shift(words, 31)


def logical_right_shift(words: Tensor, bits: int) -> Tensor:
    """Shift 64-bit words to the right and fill up with zeros.

    Devices shift negative integers in different ways, so only non-negative ones are shifted here.

    Examples
    --------
    >>> logical_right_shift(torch.tensor([-1, 8]), 62)
    tensor([3, 0])
    """
    return ((words & 2**63 - 1) >> bits) + ((words < 0).long() << (63 - bits))
