"""What models, images, keywords and metrics are, in short texts that another process can compare."""

import hashlib
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.value_parts import PLAIN, parts_of

_DIGITS = 16  # of a hash, in hexadecimal
_MOST_LEVELS = 100  # of values within values


class NotComparableError(ValueError):
    """A value that has no fingerprint."""


def of_model(model: nn.Module) -> str:
    """A hash of the class's name and of the parameters and buffers: names, types, shapes and values.

    What else a model is made of shows in its outputs; see `Probe`.
    """
    sha = hashlib.sha256(type(model).__name__.encode(errors="backslashreplace"))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        sha.update(name.encode(errors="backslashreplace") + _of_tensor(tensor).encode())
    return sha.hexdigest()[:_DIGITS]


def of_arrays(*arrays: np.ndarray) -> str:
    """A hash of the types, shapes and values of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:_DIGITS]


def of_value(value: Any) -> str:
    """A text that is the same for equal values, in any process.

    Plain values are equal by value, arrays by their values, functions and classes of users by their compiled code and what
    they hold, those of installed packages by name, and all other objects by what pickle would keep of them.

    Raises
    ------
    NotComparableError
        If pickle could not keep an object, or values are nested too deep. The message says where.

    Examples
    --------
    >>> of_value({"a": 1, "b": slice(2)}) == of_value({"b": slice(np.int64(2)), "a": 1}), of_value([1]) == of_value([True])
    (True, False)
    """
    return _Walk().text(value)


class _Walk:
    """A walk through a value and what it holds.

    Parameters
    ----------
    level
        How deep within other values it begins.
    """

    def __init__(self, level: int = 0) -> None:
        self.level = level
        self._known: dict[int, tuple[Any, str]] = {}  # with the value, so that nothing else gets its identity
        self._places: dict[int, int] = {}  # of the values within which the walk is, by their identity
        self._labels: list[str] = []

    def text(self, value: Any, label: str = "") -> str:
        """A plain value as it is, any other as the hash of its parts. A cycle ends with how many levels it leads back."""
        value = value.item() if isinstance(value, np.generic) else value
        if type(value) in PLAIN:
            return hex(value) if type(value) is int else repr(value)  # integers in decimals have a limit
        if id(value) in self._known:
            return self._known[id(value)][1]
        if id(value) in self._places:
            return f"#{len(self._places) - self._places[id(value)]} levels up"
        self._places[id(value)] = len(self._places)
        self._labels.append(label)
        try:
            head, parts = self._parts(value)
            texts = [head, *(self.text(part, name) for name, part in parts)]
        finally:
            del self._places[id(value)]
            self._labels.pop()
        text = f"#{hashlib.sha256(repr(texts).encode(errors='backslashreplace')).hexdigest()[:_DIGITS]}"
        self._known[id(value)] = value, text
        return text

    def _parts(self, value: Any) -> tuple[str, list[tuple[str, Any]]]:
        where = ".".join(filter(None, self._labels)) or "it"
        if self.level + len(self._places) > _MOST_LEVELS:
            raise NotComparableError(
                f"{where[:_MOST_LEVELS]} holds values that are nested more than {_MOST_LEVELS} levels deep"
            )
        try:
            if isinstance(value, Tensor):
                return _of_tensor(value), []
            if type(value) in (np.ndarray, np.memmap) and not value.dtype.hasobject:
                return of_arrays(value), []
            return parts_of(value, _Walk(self.level + len(self._places)).text)
        except NotComparableError:
            raise
        except Exception as error:  # objects may raise anything when they are asked what they hold
            raise NotComparableError(
                f"{where} is a {type(value).__qualname__}, whose content cannot be read ({error_line(error)})"
            ) from error


def _of_tensor(tensor: Tensor) -> str:
    """The type and the shape of a tensor with a hash of its bits, wherever it is."""
    dense = tensor.detach().to_dense().cpu().resolve_conj().resolve_neg().contiguous()
    bits = dense.reshape(-1).view(torch.uint8).numpy().tobytes()
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.sha256(bits).hexdigest()[:_DIGITS]}"
