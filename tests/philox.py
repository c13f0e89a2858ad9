"""The masks of a run, on Python integers: Philox-4x32-10 (Salmon et al. 2011), one word at a time."""

import functools
import hashlib
import itertools

import numpy as np


def philox_4x32(counter, key):
    """Four words of counter and two of key to four random words."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        product_0, product_1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        high_0, low_0 = divmod(product_0, 2**32)
        high_1, low_1 = divmod(product_1, 2**32)
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


def keep_mask(seed, stream, number, n_features, mask_rate):
    """Which features mask `number` of a stream keeps, (m,)."""
    words = []
    for block in range(-(-n_features // 4)):
        words += philox_4x32([block, number, stream % 2**32, stream >> 32], [seed % 2**32, seed >> 32])
    return np.array([word >= round(mask_rate * 2**32) for word in words[:n_features]])


def keep_masks(seed, stream, n_masks, n_features, mask_rate=0.8):
    """The first masks of a stream, (K, m)."""
    return np.array([keep_mask(seed, stream, number, n_features, mask_rate) for number in range(n_masks)])


def n_distinct(seed, stream, n_masks, n_features, mask_rate=0.8):
    """How many of so many masks differ."""
    return len(np.unique(keep_masks(seed, stream, n_masks, n_features, mask_rate), axis=0))


def layer_stream(name):
    """What a layer's masks are drawn for."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


@functools.cache
def every_mask(n_features):
    """All masks of so many features, (2^m, m)."""
    return np.array(list(itertools.product([False, True], repeat=n_features)))
