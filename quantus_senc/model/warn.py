"""Warnings that users see at every call, or once for a model."""

import warnings
from weakref import WeakValueDictionary

from torch import nn

_TOLD: WeakValueDictionary[tuple[int, str], nn.Module] = WeakValueDictionary()  # by identity of the model, and message


def warn(message: str) -> None:
    """Warn the user, also if the same line has given the same warning before."""
    warnings.warn_explicit(message, UserWarning, filename="quantus_senc", lineno=1, registry={})


def warn_once(model: nn.Module, message: str) -> None:
    """Warn the user, unless this function has given the same warning for the same model."""
    if _TOLD.get((id(model), message)) is not model:
        _TOLD[id(model), message] = model
        warn(message)
