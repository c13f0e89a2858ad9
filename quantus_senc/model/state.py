"""A model that comes out of a call as it went in, whatever happens in between.

Whether two calls had the same model is a question for `metrics.last_run`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from quantus_senc.model.put_back import run_and_put_back

T = TypeVar("T")
_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


def preserving(model: nn.Module, run: Callable[[Callable[[], None]], T]) -> T:
    """Return what `run` returns. It runs with the model in evaluation mode; afterwards the model is as before.

    That also holds if it raises, or is interrupted at any instant. It holds for weights and buffers (bit for bit), their
    `requires_grad` flags and `grad` fields, for hooks and training flags, and for all other attributes of the model's modules,
    with what lists, dicts, sets, arrays and tensors among them hold: attribution methods leave some behind. Torch's
    gradient mode and its flag for reproducible convolutions are as before, too.

    Parameters
    ----------
    model
        The model.
    run
        Called with a function that puts the model back at once, but for evaluation mode.
    """
    snapshot = _Snapshot(model, with_tensors=True)

    def evaluated() -> T:
        switch_to_evaluation(model)
        return run(snapshot.restore)

    return run_and_put_back(evaluated, snapshot.restore)


def attributes_as_now(model: nn.Module) -> Callable[[], None]:
    """A function that gives all modules of a model the attributes that they have now, with what collections among them hold.

    Values of tensors and arrays are not noted, which takes no time for a large model.
    """
    return _Snapshot(model, with_tensors=False).restore


class _Snapshot:
    """What a call may change of a model and of torch's modes."""

    def __init__(self, model: nn.Module, *, with_tensors: bool) -> None:
        self.grad_enabled = torch.is_grad_enabled()
        self.cudnn_deterministic = torch.backends.cudnn.deterministic
        self.modules = [(module, type(module), dict(vars(module))) for module in model.modules()]
        self.training = [(module, module.training) for module in model.modules() if hasattr(module, "training")]
        values = [value for _, _, attributes in self.modules for value in attributes.values()]
        if with_tensors:  # scripted modules have theirs not among their attributes
            values += [*model.parameters(), *model.buffers()]
        self.contents = list(_contents(values, with_tensors=with_tensors))

    def restore(self) -> None:
        torch.set_grad_enabled(self.grad_enabled)
        if torch.backends.cudnn.deterministic != self.cudnn_deterministic:
            torch.backends.cudnn.deterministic = self.cudnn_deterministic
        for module, kind, attributes in self.modules:
            if type(module) is not kind:
                module.__class__ = kind
            current = vars(module)
            for name in set(current) - set(attributes):
                del current[name]
            current.update(attributes)
        for module, training in self.training:
            module.training = training
        for content in self.contents:
            content.restore()


def _contents(values: Iterable[Any], *, with_tensors: bool) -> "Iterator[_Collection | _TensorState | _ArrayState]":
    """The collections, and the tensors and arrays, among values and within their collections, each once."""
    waiting, known = list(values), set()
    while waiting:
        value = waiting.pop()
        if id(value) in known:
            continue
        known.add(id(value))
        if isinstance(value, Tensor):
            if with_tensors and _has_plain_memory(value):
                yield _TensorState(value)
        elif isinstance(value, np.ndarray):
            if with_tensors:
                yield _ArrayState(value)
        elif isinstance(value, dict | list | set | tuple):
            waiting += value.values() if isinstance(value, dict) else value
            if not isinstance(value, tuple):
                yield _Collection(value)


def _has_plain_memory(tensor: Tensor) -> bool:
    unusual = (
        is_lazy(tensor) or tensor.is_meta or tensor.is_quantized or tensor.is_nested or tensor.is_conj() or tensor.is_neg()
    )
    return tensor.layout is torch.strided and not unusual


class _Collection:
    """The items of a dict, a list or a set."""

    def __init__(self, value: Any) -> None:
        self.value, self.items = value, next(kind for kind in (dict, list, set) if isinstance(value, kind))(value)

    def restore(self) -> None:
        if _same_items(self.value, self.items):
            return
        self.value.clear()
        if isinstance(self.value, list):
            self.value.extend(self.items)
        else:
            self.value.update(self.items)


def _same_items(a: Any, b: Any) -> bool:
    """Whether two collections hold the same objects, in the same order."""
    if len(a) != len(b):
        return False
    if isinstance(a, set):
        return {id(item) for item in a} == {id(item) for item in b}
    values = zip(a.values(), b.values(), strict=True) if isinstance(a, dict) else zip(a, b, strict=True)
    return (not isinstance(a, dict) or list(a) == list(b)) and all(one is other for one, other in values)


class _ArrayState:
    """The values of an array."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.values = array, array.copy()

    def restore(self) -> None:
        if self.array.tobytes() != self.values.tobytes():  # of objects, where they are in memory
            self.array[...] = self.values


class _TensorState:
    """The value, gradient and flag of one tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.value = tensor.detach().clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None
        is_dense = self.grad is not None and self.grad.layout is torch.strided
        self.grad_value = self.grad.detach().clone() if self.grad is not None and is_dense else None

    @torch.no_grad()
    def restore(self) -> None:
        properties = [(one.dtype, one.device, one.shape) for one in (self.tensor, self.value)]
        if properties[0] != properties[1]:
            self.tensor.data = self.value.clone()
        _put_back(self.tensor, self.value)
        if self.tensor.requires_grad != self.requires_grad:
            self.tensor.requires_grad_(self.requires_grad)
        if self.tensor.is_leaf and self.tensor.grad is not self.grad:
            self.tensor.grad = self.grad
        if self.grad is not None and self.grad_value is not None:
            _put_back(self.grad, self.grad_value)


def _put_back(tensor: Tensor, value: Tensor) -> None:
    # Equal values would not do: 0.0 equals -0.0, and NaN equals nothing.
    a, b = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (tensor, value))
    if not torch.equal(a, b):
        tensor.copy_(value)


def n_hooks(model: nn.Module) -> int:
    """How many hooks the modules of a model have."""
    return sum(len(vars(module).get(name, ())) for module in model.modules() for name in _HOOKS)


@contextmanager
def hooks_removed_after(model: nn.Module) -> Iterator[None]:
    """Remove at the end the hooks that were added to the model during a block: a method may forget one at each call."""
    registries = [vars(module)[name] for module in model.modules() for name in _HOOKS if name in vars(module)]
    before = [dict(registry) for registry in registries]
    try:
        yield
    finally:
        for registry, hooks in zip(registries, before, strict=True):
            if len(registry) != len(hooks):
                registry.clear()
                registry.update(hooks)


def in_evaluation_mode(model: nn.Module, run: Callable[[], T]) -> T:
    """Return what `run` returns. It runs with the model in evaluation mode and with gradients, whatever modes the caller has.

    Afterwards the model's training flags and torch's gradient mode are as before. Nothing else is put back.
    """
    grad_enabled = torch.is_grad_enabled()
    training = [module for module in model.modules() if getattr(module, "training", False)]

    def evaluated() -> T:
        switch_to_evaluation(model)
        with torch.inference_mode(False), torch.enable_grad():
            return run()

    def put_back() -> None:
        torch.set_grad_enabled(grad_enabled)
        for module in training:
            module.training = True

    return run_and_put_back(evaluated, put_back)


def switch_to_evaluation(model: nn.Module) -> None:
    """Put the model in evaluation mode without calling its `eval`, which may do more."""
    for module in model.modules():
        if getattr(module, "training", False):
            module.training = False


def make_reproducible(device: torch.device) -> None:
    """Let convolutions on CUDA give the same bits each time, unless torch's flags are frozen; see `preserving`.

    By default some of their gradients are summed in an order that changes from run to run.
    """
    if device.type == "cuda" and not torch.backends.flags_frozen():
        torch.backends.cudnn.deterministic = True


def seeded(seed: int, run: Callable[[], T]) -> T:
    """Return what `run` returns, with NumPy's and torch's global generators seeded; afterwards they go on as before."""
    numpy_state, torch_state = np.random.get_state(), torch.random.get_rng_state()  # noqa: NPY002  Quantus draws from it
    cuda_states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []

    def restore() -> None:
        np.random.set_state(numpy_state)  # noqa: NPY002
        torch.random.set_rng_state(torch_state)
        if cuda_states:
            torch.cuda.set_rng_state_all(cuda_states)

    def with_seed() -> T:
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        return run()

    return run_and_put_back(with_seed, restore)
