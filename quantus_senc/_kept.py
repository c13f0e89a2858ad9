"""What is made of a model once, and kept as long as the model lives with the same structure."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from torch import nn

T = TypeVar("T")

_KEPT: "WeakKeyDictionary[nn.Module, dict[Hashable, tuple[list[Any], Any]]]" = WeakKeyDictionary()
_PLAIN = (bool, int, float, str, tuple, type(None))


def kept(model: nn.Module, what: Hashable, make: Callable[[], T]) -> T:
    """What `make` returned for this model; made again if a module, an attribute of one, or a tensor was replaced meanwhile.

    What is made must not refer to the model itself, which would then live for ever.
    """
    structure, found = _structure(model), _KEPT.setdefault(model, {})
    if what not in found or found[what][0] != structure:
        found[what] = structure, make()
    return found[what][1]


def _structure(model: nn.Module) -> list[Any]:
    """Modules, their attributes, and which tensors they have; not the values of the tensors."""
    found: list[Any] = [id(tensor) for tensor in (*model.parameters(), *model.buffers())]
    for name, module in model.named_modules():
        found.append((name, id(module), type(module)))
        for key, value in vars(module).items():
            if not key.startswith("_") and key != "training":
                found.append((key, value if isinstance(value, _PLAIN) else id(value)))
    return found
