"""Counter-based random words: Philox-4x32-10 in tensor integer operations."""

import torch
from jaxtyping import Int64
from torch import Tensor

from quantus_senc.core.hashing import logical_right_shift

_WORD = 0xFFFFFFFF
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10


def philox(
    c0: Int64[Tensor, "*#n"], c1: Int64[Tensor, "*#n"], c2: Int64[Tensor, "*#n"], c3: Int64[Tensor, "*#n"], key: int
) -> Int64[Tensor, "*n 4"]:
    """Four random 32-bit words for each counter, the same on every device.

    Parameters
    ----------
    c0, c1, c2, c3
        The counter's words, each in [0, 2^32), of shapes that broadcast.
    key
        In [0, 2^64).

    Returns
    -------
    Tensor
        Words in [0, 2^32), of the broadcast shape and a last axis of 4.

    References
    ----------
    Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.

    Examples
    --------
    >>> zero = torch.zeros((), dtype=torch.int64)
    >>> [hex(word) for word in philox(zero, zero, zero, zero, key=0).tolist()]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    low, high = key & _WORD, key >> 32
    for _ in range(_ROUNDS):
        (even_high, even_low), (odd_high, odd_low) = _product(c0, _MULTIPLIERS[0]), _product(c2, _MULTIPLIERS[1])
        c0, c1 = odd_high ^ c1 ^ low, odd_low
        c2, c3 = even_high ^ c3 ^ high, even_low
        low, high = (low + _KEY_STEPS[0]) & _WORD, (high + _KEY_STEPS[1]) & _WORD
    return torch.stack(torch.broadcast_tensors(c0, c1, c2, c3), -1)


def _product(words: Tensor, multiplier: int) -> tuple[Tensor, Tensor]:
    """The high and the low 32 bits of 32-bit words times a 32-bit number.

    The whole product may not fit in a signed 64-bit integer, and devices disagree on how to shift a negative one.
    """
    upper, lower = words * (multiplier >> 16), words * (multiplier & 0xFFFF)
    return (upper + (lower >> 16)) >> 16, (words * multiplier) & _WORD


def random_words(
    seed: int, streams: Int64[Tensor, "*#n"], indices: Int64[Tensor, "*#n"], n_words: int
) -> Int64[Tensor, "*n n_words"]:
    """Return random 32-bit words that are a function of (seed, stream, index, position) alone.

    Parameters
    ----------
    seed
        In [0, 2^64).
    streams
        What the words are for, any 64-bit integers: an image's number in the whole data set, the hash of a layer's name.
    indices
        The number of the draw in its stream, each in [0, 2^32).
    n_words
        How many words of each draw; a longer draw begins with the words of a shorter one.
    """
    blocks = torch.arange(-(-n_words // 4), device=streams.device)
    streams, indices = streams[..., None], indices[..., None]
    words = philox(blocks, indices, streams & _WORD, logical_right_shift(streams, 32), seed)
    return words.flatten(-2)[..., :n_words]


def random_uniform(seed: int, streams: Int64[Tensor, "*n"], n_values: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return noise uniform in [0, 1), of shape (\\*n, n_values): a function of (seed, stream, position) alone."""
    last = torch.full((), _WORD, dtype=torch.int64, device=streams.device)  # no mask has this index
    words = random_words(seed, streams, last, n_values)
    return ((words >> 8).float() * 2.0**-24).to(dtype)
