"""What is made of a model once, and kept as long as the model lives with the same structure."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

T = TypeVar("T")

_KEPT: "WeakKeyDictionary[nn.Module, dict[Hashable, tuple[list[Any], Any]]]" = WeakKeyDictionary()
_TORCH_S_OWN = {*vars(nn.Module())}
_PLAIN = (bool, int, float, complex, str, bytes, type(None))


def kept(model: nn.Module, what: Hashable, make: Callable[[], T]) -> T:
    """What `make` returned for this model; made again if a module, an attribute of one, or a tensor was replaced meanwhile.

    What is made must not refer to the model itself, which would then live for ever.
    """
    now, found = structure(model), _KEPT.setdefault(model, {})
    if what not in found or found[what][0] != now:
        found[what] = now, make()
    return found[what][1]


def structure(model: nn.Module) -> list[Any]:
    """Modules, their attributes, and which tensors they have; not the values of the tensors."""
    found: list[Any] = [(id(tensor), tensor.dtype, tensor.device) for tensor in (*model.parameters(), *model.buffers())]
    for name, module in model.named_modules():
        found.append((name, id(module), type(module)))
        found += [(key, contents(value)) for key, value in vars(module).items() if key not in _TORCH_S_OWN]
    return found


def contents(value: Any) -> Any:
    """What can be compared: plain values, also within lists, tuples, sets and dicts; which object it is of all else."""
    if isinstance(value, _PLAIN):
        return type(value), value
    if isinstance(value, dict):
        return [(contents(key), contents(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return [type(value), *map(contents, value)]
    return value if isinstance(value, set | frozenset) and all(isinstance(one, _PLAIN) for one in value) else id(value)
