"""The last run of a metric: the only memory between calls, read by metrics that are derived from the same run."""

import hashlib
import weakref
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from quantus_senc.model.arrays import host_array

_PLAIN = (bool, int, float, complex, str, bytes, type(None))
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")
_OBJECTS = ("model", "explain_func")
_VALUES = (
    *("x_batch", "y_batch", "explain_func_kwargs", "channel_first", "model_predict_kwargs", "softmax", "device"),
    "custom_batch",
)


class LastRun:
    """The records of a metric's last run, and what the run was made of.

    A run is the same if the model and the explanation method are the same objects, the weights, buffers, hooks and plain
    attributes of the model are unchanged, and all other arguments and parameters are the same objects or have equal values.
    What cannot be compared by value counts as changed. Copies and pickles are empty.

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
    """

    def __init__(self, call: Mapping[str, Any] | None = None, parameters: Mapping[str, Any] | None = None) -> None:
        self.records: Any = None
        self._objects = tuple(_reference(call[name]) for name in _OBJECTS) if call else ()
        self._values = _values(call) if call else {}
        self._parameters = dict(parameters or {})

    def recall(self, call: Mapping[str, Any], parameters: Mapping[str, Any], *, but: Iterable[str] = ()) -> Any:
        """Return the records if the run had these arguments and parameters; else None.

        Parameters
        ----------
        but
            Names of parameters that may differ.
        """
        if self.records is None or any(old() is not call[name] for old, name in zip(self._objects, _OBJECTS, strict=True)):
            return None
        same = all(_same_parameter(self._parameters.get(name), parameters[name]) for name in set(parameters) - {*but})
        return self.records if same and _values(call) == self._values else None

    def __reduce__(self) -> tuple[type["LastRun"], tuple[()]]:
        return LastRun, ()


def _reference(value: Any) -> Any:
    try:
        return weakref.ref(value)
    except TypeError:
        return lambda: value


def _same_parameter(before: Any, now: Any) -> bool:
    """Whether a parameter is the same object, or an equal value."""
    return before is now or _value(before) == _value(now)


def _values(call: Mapping[str, Any]) -> dict[str, Hashable]:
    return {name: _value(call[name]) for name in _VALUES} | {"state": _model_state(call["model"])}


def _model_state(model: nn.Module) -> Hashable:
    tensors = tuple(_value(tensor) for tensor in (*model.parameters(), *model.buffers()))
    modules = [(name, type(module), vars(module)) for name, module in model.named_modules()]
    plain = tuple(
        (name, kind, key, _value(value))
        for name, kind, held in modules
        for key, value in held.items()
        if isinstance(value, _PLAIN)
    )
    hooks = tuple(_identity(hook) for _, _, held in modules for key in _HOOKS for hook in held[key].values())
    return tensors, plain, hooks


def _identity(hook: Any) -> Hashable:
    try:
        return weakref.ref(hook)
    except TypeError:
        return object()


def _value(value: Any) -> Hashable:
    """A hashable stand-in that is equal for equal values; for values that cannot be compared, equal to nothing."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, dict):
        return frozenset((_value(key), _value(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return (type(value), *map(_value, value))
    if isinstance(value, Tensor):
        value = host_array(value)
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        array = np.ascontiguousarray(value)
        return array.dtype.str, array.shape, hashlib.sha256(array.data).hexdigest()
    return object()
