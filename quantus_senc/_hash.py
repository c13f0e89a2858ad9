"""Numbers that stand for the bits of tensors."""

import torch
from jaxtyping import Int64
from torch import Tensor, nn

_BLOCK = 1024
_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}


def hash_rows(rows: Tensor) -> Int64[Tensor, " N"]:
    """A number for the bits of each row: blocks by multiply-and-add modulo 2^64, mixed with their position."""
    bits = rows.contiguous().view(_INTEGERS[rows.dtype.itemsize]).long()
    blocks = nn.functional.pad(bits, (0, -bits.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
    sums = (blocks * (mix(torch.arange(_BLOCK, device=rows.device)) | 1)).sum(-1)
    return mix(sums + mix(torch.arange(sums.shape[1], device=rows.device))).sum(-1)


def mix(words: Int64[Tensor, "*n"]) -> Int64[Tensor, "*n"]:
    """The finaliser of SplitMix64 (Steele et al. 2014), modulo 2^64."""
    words = (words + 1) * -0x61C8864680B583EB
    words = (words ^ (words >> 30 & 2**34 - 1)) * -0x40A7B892E31B1A47
    words = (words ^ (words >> 27 & 2**37 - 1)) * -0x6B2FB644ECCEEE15
    return words ^ (words >> 31 & 2**33 - 1)
