"""Are two calls about the same things? Their fingerprints are equal if, and only if, they are."""

import hashlib
import weakref
from collections.abc import Hashable
from types import FunctionType
from typing import Any

import numpy as np
from torch import Tensor, nn

from quantus_senc._host import host_array
from quantus_senc._kept import contents, structure


def fingerprint(value: Any) -> Hashable:
    """A hashable stand-in for a value: contents of arrays, tensors and containers, identity of everything else.

    Models count as the same while they are the same object, of the same modules with the same settings, hooks and
    weights. What has neither comparable contents nor an identity to hold on to is equal to nothing, not even to itself.

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
    if isinstance(value, Tensor):
        value = host_array(value)
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return (value.dtype.str, value.shape, hashlib.blake2b(value.tobytes()).digest())
    if isinstance(value, nn.Module):
        parts = [(weakref.ref(module), *map(_identity, _hooks(module))) for module in value.modules()]
        return (repr(value), repr(structure(value)), *parts, *map(fingerprint, (*value.parameters(), *value.buffers())))
    return _identity(value)


def with_state(function: Any) -> Any:
    """A function, or an object that can be called together with its attributes, which may decide what it returns."""
    is_object = callable(function) and not isinstance(function, FunctionType | type) and hasattr(function, "__dict__")
    return [function, repr(contents(vars(function)))] if is_object else function


def _hooks(module: nn.Module) -> list[Any]:
    return [*module._forward_hooks.values(), *module._forward_pre_hooks.values()]


def _identity(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        return object()
    try:
        return weakref.ref(value)
    except TypeError:
        return (type(value), value)
