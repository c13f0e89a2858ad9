"""The last run of a metric: the only memory between calls, read by metrics that are derived from the same run."""

import hashlib
import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from quantus_senc.core.hashing import hash_values
from quantus_senc.model.arrays import host_array

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_VALUES = (
    *("x_batch", "y_batch", "explain_func_kwargs", "channel_first", "model_predict_kwargs", "softmax", "device"),
    *("batch_size", "custom_batch", "image_ids"),
)
_DEEPEST = 100  # collection within collections that is looked at
_FEW_VALUES = 2**16  # of a tensor on a device, which are copied sooner than hashed there


class Evidence(dict[Any, Any]):
    """What callables have returned in a run, to be compared with what they return at a second look."""

    def add(self, key: Any, *values: Any) -> None:
        """Note what was returned, by a key of its own."""
        self[key] = _value(values, _Same)


class LastRun:
    """The records of a metric's last run, and what the run was made of.

    A run is the same if the model, the explanation method and callables among the parameters are the same objects, the
    weights, buffers, hooks and attributes of the model are unchanged, and all other arguments and parameters have equal values.
    Callables may do something else at each call. So a second look must give the same evidence, too. Copies and pickles are
    empty.

    Parameters
    ----------
    call
        The arguments of the metric's `__call__`, by name.
    parameters
        The parameters of the metric, by name.

    Attributes
    ----------
    records
        Of the run, once it has ended; None before.
    evidence
        What callables have returned in the run.
    """

    def __init__(self, call: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None) -> None:
        self.records: Any = None
        self.evidence = Evidence()
        self._arguments = _arguments(call) if call else {}
        self._parameters = _parameters(parameters or {})

    def is_of(self, call: Mapping[str, Any], parameters: Mapping[str, Any], *, but: Iterable[str] = ()) -> bool:
        """Say whether the run has ended and had these arguments and parameters.

        Parameters
        ----------
        but
            Names of parameters that may differ.
        """
        return self.records is not None and self.had(parameters, but=but) and _arguments(call) == self._arguments

    def had(self, parameters: Mapping[str, Any], *, but: Iterable[str] = ()) -> bool:
        """Say whether the run had these parameters."""
        now = _parameters({name: value for name, value in parameters.items() if name not in but})
        return all(self._parameters.get(name) == value for name, value in now.items())

    def __reduce__(self) -> tuple[type["LastRun"], tuple[()]]:
        return LastRun, ()


def _arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    model = call["model"]
    values = {name: _value(call[name], _Different) for name in _VALUES}
    return values | {"model": _Same(model), "explain_func": _Same(call["explain_func"]), "state": _state(model)}


def _parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _value(value, _Same if callable(value) else _Different) for name, value in parameters.items()}


def _state(model: nn.Module) -> Any:
    """The attributes of all modules, with weights, buffers and hooks by value; other objects are the same or not."""
    return _value([(name, type(module), vars(module), _scripted(module)) for name, module in model.named_modules()], _Same)


def _scripted(module: nn.Module) -> list[tuple[str, Tensor]]:
    """Weights and buffers that are not among the attributes of a module."""
    if not isinstance(module, torch.jit.ScriptModule):
        return []
    return [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]


def _value(value: Any, other: Callable[[Any], Any], within: tuple[int, ...] = ()) -> Any:
    """A stand-in that is equal for equal values; `other` makes those of values that cannot be compared.

    Parameters
    ----------
    within
        The collections that the value is in.
    """
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _digest(value) or other(value)
    if id(value) in within or len(within) > _DEEPEST:
        return other(value)
    if isinstance(value, pd.DataFrame | pd.Series):
        columns = [column.to_numpy() for _, column in pd.DataFrame(value).items()]
        return [type(value), _value([*map(list, value.axes), *columns], other, within)]
    within += (id(value),)
    if isinstance(value, dict):
        keys = [_value(key, other, within) for key in value]
        return [type(value), *zip(keys, (_value(item, other, within) for item in value.values()), strict=True)]
    if isinstance(value, list | tuple):
        return [type(value), *(_value(item, other, within) for item in value)]
    if isinstance(value, set | frozenset) and all(isinstance(item, _PLAIN) for item in value):
        return value.copy()
    return other(value)


def _digest(values: Tensor | np.ndarray | np.generic) -> tuple[str, tuple[int, ...], Any] | None:
    """Type, shape and a hash of the values; None for those that have no plain memory."""
    try:
        if isinstance(values, Tensor) and values.device.type != "cpu" and values.numel() > _FEW_VALUES:
            return str(values.dtype), tuple(values.shape), hash_values(values.detach().to_dense())
        array = np.ascontiguousarray(host_array(values))
        if array.dtype.hasobject:
            return None
        return array.dtype.str, array.shape, hashlib.sha256(array.tobytes()).hexdigest()
    except (
        KeyError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
    ):  # meta, quantised, nested and lazy tensors, for instance
        return None


class _Same:
    """Equal for the same object. It does not keep the object alive if that can be avoided."""

    def __init__(self, value: Any) -> None:
        try:
            self.reference: Callable[[], Any] = weakref.ref(value)
        except TypeError:
            self.reference = lambda: value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.reference() is not None and self.reference() is other.reference()

    __hash__ = None  # type: ignore[assignment]


class _Different:
    """Equal to nothing."""

    def __init__(self, value: Any) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]
