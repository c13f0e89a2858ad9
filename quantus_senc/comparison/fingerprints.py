"""What models, images, methods and metrics are, in text that another process can compare."""

import functools
import hashlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.core.checks import parameter_names
from quantus_senc.metrics.derived import DerivedMetric
from quantus_senc.model.adapted import adapter_of
from quantus_senc.model.adapter import AS_IT_IS
from quantus_senc.model.arrays import host_array

_DIGITS = 16  # of a hash, in hexadecimal


def of_model(model: nn.Module) -> str:
    """A hash of the structure, the weights, the buffers and what the model is adapted by.

    Other attributes, and the code of `forward`, do not count.
    """
    sha = hashlib.sha256(repr(model).encode(errors="backslashreplace"))
    if adapter_of(model) is not AS_IT_IS:
        sha.update(of_value(vars(adapter_of(model))).encode(errors="backslashreplace"))
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        sha.update(f"{name}{tensor.dtype}{tuple(tensor.shape)}".encode(errors="backslashreplace"))
        sha.update(host_array(tensor).tobytes())
    return sha.hexdigest()[:_DIGITS]


def of_arrays(*arrays: np.ndarray) -> str:
    """A hash of the types, shapes and values of arrays."""
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.dtype.str}{array.shape}".encode())
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()[:_DIGITS]


def of_metric(metric: Any) -> str:
    """The class of a metric with its parameters; what it has computed does not count."""
    if isinstance(metric, DerivedMetric):
        return f"{metric.name} of {of_metric(metric.metric)}"
    if isinstance(metric, PerImage):
        return f"{of_metric(metric.metric)} by {of_value(metric.to_score)}"
    if not inspect.isroutine(metric) and "__init__" in vars(type(metric)):
        names = parameter_names(type(metric), "__init__")
        return f"{_name(type(metric))}({of_value({name: getattr(metric, name) for name in names if hasattr(metric, name)})})"
    return of_value(metric)


def of_value(value: Any, known: dict[int, Any] | None = None) -> str:
    """Plain values as they are, arrays by their hash, callables by their name, code and what they hold.

    Parameters
    ----------
    known
        What has been described before, by identity: it is not described again.
    """
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return repr(value)
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return f"array {of_arrays(np.asarray(host_array(value)))}"
    if isinstance(value, nn.Module):
        return f"{_name(type(value))} {of_model(value)}"
    known = {} if known is None else known
    if id(value) in known:
        return "…"
    known[id(value)] = value  # which keeps it alive, so that nothing else has its identity
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{of_value(key, known)}: {of_value(item, known)}' for key, item in value.items())}}}"
    if isinstance(value, set | frozenset):
        return f"{{{', '.join(sorted(of_value(item, known) for item in value))}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(of_value(item, known) for item in value)}]"
    return _of_callable(value, known)


def _of_callable(value: Any, known: dict[int, Any]) -> str:
    """A function, a class, or an object of any other class."""
    if isinstance(value, functools.partial):
        return f"partial({of_value([value.func, value.args, value.keywords], known)})"
    if inspect.ismethod(value):
        return f"{value.__func__.__qualname__} of {of_value(value.__self__, known)}"
    if isinstance(value, type):
        return _name(value)
    if inspect.isroutine(value):
        held = [cell.cell_contents for cell in getattr(value, "__closure__", None) or ()]
        return _name(value) + (f" with {of_value(held, known)}" if held else "")
    return f"{_name(type(value))}({of_value(getattr(value, '__dict__', {}), known)})"


def _name(thing: Callable[..., Any]) -> str:
    """The full name of a class or function, with a hash of its code where that can be read."""
    name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', type(thing).__qualname__)}"
    try:
        code = inspect.getsource(thing)
    except (OSError, TypeError):
        return name
    return f"{name} {hashlib.sha256(code.encode(errors='backslashreplace')).hexdigest()[:_DIGITS]}"
