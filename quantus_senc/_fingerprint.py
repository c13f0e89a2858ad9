"""Are two calls about the same things? Their fingerprints are equal if, and only if, they are."""

import hashlib
import weakref
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


def fingerprint(value: Any) -> Hashable:
    """A hashable stand-in for a value: contents of arrays, tensors and containers, identity of everything else.

    Models count as the same while they are the same object with the same weights. What has neither comparable
    contents nor an identity to hold on to is equal to nothing, not even to itself.

    Examples
    --------
    >>> fingerprint({"x": np.zeros(3)}) == fingerprint({"x": np.zeros(3)})
    True
    >>> fingerprint({"x": np.zeros(3)}) == fingerprint({"x": np.zeros(4)})
    False
    """
    if isinstance(value, dict):
        return frozenset((fingerprint(key), fingerprint(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return (type(value), *map(fingerprint, value))
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return (value.dtype.str, value.shape, hashlib.blake2b(value.tobytes()).digest())
    if isinstance(value, Tensor):
        return (value.dtype, fingerprint(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()), value.shape)
    if isinstance(value, nn.Module):
        tensors = (*value.parameters(), *value.buffers())
        return (weakref.ref(value), *map(fingerprint, tensors))
    return _identity(value)


def _identity(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return object()
    try:
        return weakref.ref(value)
    except TypeError:
        return (type(value), value)
