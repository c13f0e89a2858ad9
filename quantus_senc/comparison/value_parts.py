"""What a value is made of: a word for what it is, and the values that it holds, each with its name where it has one."""

import copyreg
import dis
import functools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
from quantus.metrics.base import Metric
from torch import Tensor

from quantus_senc.metrics.base import SensitivityConsistency

PLAIN = frozenset({type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented)})
Parts = tuple[str, list[tuple[str, Any]]]
# What calls of metrics of Quantus and of ours set, and what changes no score.
_COMPUTED = {
    *("evaluation_scores", "all_evaluation_scores", "a_axes", "explain_func", "explain_func_kwargs", "batch_size", "device"),
    *("channel_first", "explanation_scores_by_layer", "model_scores_by_layer", "scores_extra", "a_size", "nr_channels"),
    *("default_plot_func", "_disable_warnings", "_display_progressbar"),
}

_COMPUTED_BY_OURS = {"sensitivities", "standard_errors", "_last_run", "strategies"}
_CONTENT = (list, tuple, dict, set, frozenset, np.ndarray, Tensor, FunctionType)


def parts_of(value: Any, text: Callable[[Any], str]) -> Parts:
    """What a value is made of, but for plain values, tensors and arrays of numbers.

    Parameters
    ----------
    text
        A text that is the same for equal values, by which what has no order is sorted.

    Raises
    ------
    Exception
        Anything, if pickle could not keep the value.
    """
    if isinstance(value, np.ndarray) and value.dtype.hasobject:
        return f"array {value.shape}", _unnamed(value.ravel().tolist())
    if type(value) in (list, tuple):
        return type(value).__name__, _unnamed(value)
    if type(value) in (dict, MappingProxyType):
        return "dict", _items(value, text)
    if type(value) in (set, frozenset):
        return type(value).__name__, _unnamed(sorted(text(item) for item in value))
    if isinstance(value, type):
        return _of_class(value)
    if isinstance(value, Metric):
        computed = _COMPUTED | (_COMPUTED_BY_OURS if isinstance(value, SensitivityConsistency) else set())
        attributes = {name: item for name, item in vars(value).items() if name not in computed}
        return "metric", [("", type(value)), ("", attributes)]
    return _of_code(value) or _reduced(value)


def _unnamed(values: Iterable[Any]) -> list[tuple[str, Any]]:
    return [("", value) for value in values]


def _items(mapping: Mapping[Any, Any], text: Callable[[Any], str]) -> list[tuple[str, Any]]:
    """The keys in an order that is that of no insertion, and the items by their keys."""
    keys = {text(key): key for key in mapping}
    named = [(str(keys[each]) if isinstance(keys[each], str) else "", mapping[keys[each]]) for each in sorted(keys)]
    return [*_unnamed(sorted(keys)), *named]


def _of_class(kind: type) -> Parts:
    """A class of an installed package by its name, any other by what its body says, and by its bases."""
    is_named = kind.__module__ != "builtins" or "__module__" not in vars(kind)  # `exec` names builtins for its classes
    if _is_installed(kind.__module__) and is_named:
        return f"class {kind.__module__}.{kind.__qualname__}", []
    functions = (FunctionType, staticmethod, classmethod, property)
    members = {
        name: member
        for name, member in vars(kind).items()
        if isinstance(member, functions) or not name.startswith(("__", "_abc_"))
    }
    return f"class {kind.__qualname__}", [("", kind.__bases__), ("", members)]


def _of_code(value: Any) -> Parts | None:
    """A function, or what else runs code of Python; None for other values."""
    match value:
        case FunctionType():
            return _of_function(value)
        case CodeType():
            sizes = (value.co_argcount, value.co_posonlyargcount, value.co_kwonlyargcount, value.co_flags)
            inputs = value.co_varnames[: value.co_argcount + value.co_kwonlyargcount]
            return "code", _unnamed((value.co_code, value.co_exceptiontable, sizes, inputs, value.co_names, value.co_consts))
        case MethodType():
            return "method", _unnamed((value.__func__, value.__self__))
        case BuiltinFunctionType():
            return f"function {value.__module__}.{value.__qualname__}", [("", value.__self__)]
        case ModuleType():
            return f"module {value.__name__}", []
        case staticmethod() | classmethod():
            return type(value).__name__, [("", value.__func__)]
        case property():
            return "property", _unnamed((value.fget, value.fset, value.fdel))
        case functools.cached_property():
            return "property", [("", value.func)]
    return None


def _of_function(function: FunctionType) -> Parts:
    """A function of an installed package by its name, any other by its code, and both with the values that they hold."""
    held = [("", function.__defaults__), ("", function.__kwdefaults__), ("", list(_contents(function))), ("", vars(function))]
    if _is_installed(function.__module__):
        return f"function {function.__module__}.{function.__qualname__}", held
    return "function", [("", function.__code__), *held, ("", _helpers(function))]


def _helpers(function: FunctionType) -> dict[str, Any]:
    """The functions and contents of global variables that a function reads, but for those that it sets, such as a counter."""
    names = _names(function.__code__, "LOAD_GLOBAL") - _names(function.__code__, "STORE_GLOBAL") - {"__name__", "__file__"}
    values = {name: function.__globals__[name] for name in names & function.__globals__.keys()}
    return {name: value for name, value in values.items() if type(value) in PLAIN or isinstance(value, _CONTENT)}


def _contents(function: FunctionType) -> Iterator[Any]:
    """The variables of functions around a function that it reads."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it has no value yet
            yield "no value"


def _names(code: CodeType, operation: str) -> set[str]:
    """The names of the global variables that code, and the code within it, loads or stores."""
    names = {each.argval for each in dis.get_instructions(code) if each.opname == operation}
    return names.union(*(_names(each, operation) for each in code.co_consts if isinstance(each, CodeType)))


def _reduced(value: Any) -> Parts:
    """What pickle keeps of an object: a global name, or what is called to make it, its state and its items."""
    reduce = copyreg.dispatch_table.get(type(value))
    reduced = reduce(value) if reduce else value.__reduce_ex__(4)
    if isinstance(reduced, str):
        return f"{getattr(value, '__module__', '')}.{reduced}", [("", getattr(value, "__wrapped__", None))]
    function, arguments, state, items, pairs = (*reduced, None, None, None)[:5]
    return "object", _unnamed((function, arguments, state, list(items or ()), dict(pairs or ())))


def _is_installed(module: str | None) -> bool:
    """Whether a module belongs to Python, to this package or to an installed one: its name says what it does."""
    root = (module or "").partition(".")[0]
    file = getattr(sys.modules.get(root), "__file__", None) or ""
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return root in sys.stdlib_module_names or root == __name__.partition(".")[0] or in_packages
