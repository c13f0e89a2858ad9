"""A model that comes out of a block as it went in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


@contextmanager
def preserved(model: nn.Module) -> Iterator[Callable[[], None]]:
    """Put the model in evaluation mode for a block; afterwards it is as before, also when the block raises.

    That holds for weights and buffers (bit for bit), their `requires_grad` flags and `grad` fields, for hooks and
    training flags, and for all other attributes of its modules: attribution methods leave some behind.

    Yields
    ------
    callable
        Puts the model back at once, but for evaluation mode.
    """
    modules = [_ModuleState(module) for module in model.modules()]
    tensors = [_TensorState(tensor) for tensor in chain(model.parameters(), model.buffers()) if _is_plain(tensor)]

    def restore() -> None:
        for module in modules:
            module.restore()
        for tensor in tensors:
            tensor.restore()

    try:
        switch_to_evaluation(model)
        yield restore
    finally:
        restore()


class _ModuleState:
    """The attributes of one module, and the contents of those that are dicts or sets: hooks, registries, caches."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.training = module.training
        self.attributes = dict(vars(module))
        self.contents = [(value, value.copy()) for value in self.attributes.values() if isinstance(value, dict | set)]

    def restore(self) -> None:
        current = vars(self.module)
        for name in set(current) - set(self.attributes):
            del current[name]
        current.update(self.attributes)
        for value, content in self.contents:
            value.clear()
            value.update(content)
        self.module.training = self.training


class _TensorState:
    """The value, gradient and flag of one parameter or buffer."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.value = tensor.detach().clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad if tensor.is_leaf else None
        self.grad_value = None if self.grad is None else self.grad.detach().clone()

    @torch.no_grad()
    def restore(self) -> None:
        if self.tensor.dtype != self.value.dtype or self.tensor.device != self.value.device:
            self.tensor.data = self.value.clone()
        _put_back(self.tensor, self.value)
        if self.tensor.requires_grad != self.requires_grad:
            self.tensor.requires_grad_(self.requires_grad)
        if self.tensor.is_leaf and self.tensor.grad is not self.grad:
            self.tensor.grad = self.grad
        if self.grad is not None and self.grad_value is not None:
            _put_back(self.grad, self.grad_value)


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout is torch.strided and not is_lazy(tensor)


def _put_back(tensor: Tensor, value: Tensor) -> None:
    # Equal values would not do: 0.0 equals -0.0, and NaN equals nothing.
    a, b = (t.detach().contiguous().reshape(-1).view(torch.uint8) for t in (tensor, value))
    if not torch.equal(a, b):
        tensor.copy_(value)


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode for a block."""
    training = [module for module in model.modules() if module.training]
    try:
        switch_to_evaluation(model)
        yield
    finally:
        for module in training:
            module.training = True


def switch_to_evaluation(model: nn.Module) -> None:
    """Put the model in evaluation mode without calling its `eval`, which may do more."""
    for module in model.modules():
        if module.training:
            module.training = False


@contextmanager
def reproducible(device: torch.device) -> Iterator[None]:
    """Let convolutions on CUDA give the same bits each time for a block, unless torch's flags are frozen.

    By default some of their gradients are summed in an order that changes from run to run.
    """
    before = torch.backends.cudnn.deterministic
    if device.type != "cuda" or before or torch.backends.flags_frozen():
        yield
        return
    torch.backends.cudnn.deterministic = True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Let draws from NumPy's and torch's global generators be a function of the seed; afterwards they go on as before."""
    state = np.random.get_state()  # noqa: NPY002  Quantus draws from it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
