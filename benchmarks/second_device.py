"""A second device on a machine that has none: what is read from it or moved, and what is launched there.

Tensors there are kept on the CPU, which also computes their results. To torch they are on the device "meta". As on CUDA, an
operation refuses tensors of two devices. Unlike CUDA, the device never runs while the host does something else, and it takes a
single value of the host wherever CUDA takes it in some operations alone.
"""

import copy
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import quantus_senc

DEVICE = torch.device("meta")
_PACKAGE = f"{Path(quantus_senc.__file__).parent}/"
_READS = {  # the host needs what these return, or how much that is
    *("_local_scalar_dense", "equal", "nonzero", "masked_select", "bincount", "unique_dim", "_unique", "_unique2"),
    *("unique_consecutive", "unique_dim_consecutive"),
}
_INDEXING = {"index", "_unsafe_index", "index_put", "index_put_", "_index_put_impl_"}
_COPIES = {"_to_copy", "copy_"}
_WITHOUT_KERNEL = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "_unsafe_view", *_READS}


class DeviceTensor(Tensor):
    """A tensor on the second device; its `values` are on the CPU. It may stand for a number of Python's."""

    values: Tensor
    is_number: bool
    is_meta = False  # it has values
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls: type["DeviceTensor"], values: Tensor, is_number: bool = False) -> "DeviceTensor":
        """Wrap values."""
        layout = {"strides": values.stride(), "storage_offset": values.storage_offset(), "dtype": values.dtype}
        made = Tensor._make_wrapper_subclass(cls, values.shape, device=DEVICE, **layout)
        made.values, made.is_number = values, is_number
        return made

    def data_ptr(self) -> int:
        """Where the values lie."""
        return self.values.data_ptr()

    def tolist(self) -> Any:
        """The values, which torch does not read from subclasses."""
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{function} of a tensor on the second device, outside of its context")


class SecondDevice(TorchDispatchMode):
    """There is a second device within this context.

    Attributes
    ----------
    crossings
        How often values went from one device to the other: by what happened, in which stage of the package, and in which
        line. "read" is a value that the host waits for; "fetched" are tensors on the way to the host, "sent" those to the
        device, "sent at once" those that the host does not wait for.
    launches
        How many operations were started on the device, by the stages around them, the innermost last. Those that only look
        at the same values in another way are not counted.
    on_host
        How many operations had tensors of the host alone, by stage and line.
    entered
        How often each stage was entered.
    """

    def __init__(self) -> None:
        super().__init__()
        self.crossings: Counter[tuple[str, str, str]] = Counter()
        self.launches: Counter[tuple[str, ...]] = Counter()
        self.on_host: Counter[tuple[str, str]] = Counter()
        self.entered: Counter[str] = Counter()
        self._stages: list[str] = []
        self._constructors = _Constructors()

    def __enter__(self) -> "SecondDevice":
        self._constructors.__enter__()
        return super().__enter__()

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._constructors.__exit__(*raised)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = function._schema.name.partition("::")[2]
        tensors = [one for one in _leaves((*args, *kwargs.values())) if isinstance(one, Tensor)]
        there = {id(one.values): one for one in tensors if isinstance(one, DeviceTensor)}
        asked = None if kwargs.get("device") is None else torch.device(kwargs["device"])
        if not there and asked != DEVICE:
            self._note_on_host(name, args)
            return function(*args, **kwargs)
        self._note(function, name, args, kwargs)
        if len(there) < len(tensors) and name not in _COPIES | _INDEXING:
            _check_devices(name, tensors)
        keywords = {key: "cpu" if key == "device" and asked else _mapped(_on_cpu, value) for key, value in kwargs.items()}
        result = function(*_mapped(_on_cpu, args), **keywords)
        if asked not in (None, DEVICE) or (name == "copy_" and not _is_there(args[0])):
            return result

        def wrapped(one: Any) -> Any:
            if not isinstance(one, Tensor):
                return one
            return there[id(one)] if id(one) in there else DeviceTensor(one, name == "scalar_tensor")

        return _mapped(wrapped, result)

    @property
    def stage(self) -> str:
        """The innermost stage that is being run."""
        return self._stages[-1] if self._stages else ""

    def _note_on_host(self, name: str, args: Any) -> None:
        if name == "_record_function_enter_new":
            self._stages.append(args[0].removeprefix("senc."))
            self.entered[self.stage] += 1
        elif name == "_record_function_exit":
            self._stages.pop()
        else:
            self.on_host[self.stage, _line()] += 1

    def _note(self, function: Any, name: str, args: Any, kwargs: Any) -> None:
        what = _crossing(name, args, kwargs)
        if what:
            self.crossings[what, self.stage, _line()] += 1
        is_view = any(one.alias_info and not one.alias_info.is_write for one in function._schema.returns)
        if not ((what and name in _COPIES) or is_view or name in _WITHOUT_KERNEL):
            self.launches[tuple(self._stages)] += 1


class _Constructors(TorchFunctionMode):
    """Functions that make no tensor of values on "meta" make it on the host, from where it is sent."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        asked = kwargs.get("device")
        if function in (torch.tensor, torch.as_tensor) and asked is not None and torch.device(asked) == DEVICE:
            return function(*args, **kwargs | {"device": None}).to(DEVICE)
        return function(*args, **kwargs)


def to_second_device(model: nn.Module) -> nn.Module:
    """A copy of a model that is on the second device."""
    model = copy.deepcopy(model)
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                module._parameters[name] = nn.Parameter(DeviceTensor(weight.detach()), weight.requires_grad)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = DeviceTensor(buffer)
    return model


def _leaves(values: Any) -> Iterator[Any]:
    for one in values:
        if isinstance(one, list | tuple):
            yield from _leaves(one)
        else:
            yield one


def _mapped(function: Callable[[Any], Any], values: Any) -> Any:
    if isinstance(values, list | tuple):
        return type(values)([_mapped(function, one) for one in values])
    return function(values)


def _on_cpu(value: Any) -> Any:
    return value.values if isinstance(value, DeviceTensor) else value


def _is_there(value: Any) -> bool:
    return isinstance(value, DeviceTensor)


def _check_devices(name: str, tensors: list[Tensor]) -> None:
    if any(one.ndim and not _is_there(one) for one in tensors):
        raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got some of the CPU and of {DEVICE}")


def _crossing(name: str, args: Any, kwargs: Any) -> str:
    """How an operation takes values from one device to the other, or an empty string."""
    if name in _COPIES:
        to, source = (kwargs.get("device"), args[0]) if name == "_to_copy" else (args[0].device, args[1])
        goes, comes = to is not None and torch.device(to) == DEVICE, _is_there(source)
        if comes:
            return "fetched" if to is not None and not goes else ""
        at_once = kwargs.get("non_blocking") or (name == "copy_" and len(args) > 2 and args[2])
        return "sent at once" if at_once else "sent"
    if name in _INDEXING:
        indices = [one for one in args[1] if one is not None]
        if any(one.dtype in (torch.bool, torch.uint8) for one in indices):
            fills = len(args) > 2 and getattr(args[2], "is_number", not args[2].ndim)  # for which CUDA needs no places
            return "" if fills else "read"
        return "" if all(map(_is_there, [args[0], *indices])) else "sent"
    counts = name == "repeat_interleave" and kwargs.get("output_size") is None
    return "read" if name in _READS or counts else ""


def _line() -> str:
    """The innermost line of the package that is being run."""
    frame = sys._getframe(1)
    while frame is not None and not frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename.removeprefix(_PACKAGE)}:{frame.f_lineno}" if frame else "elsewhere"
