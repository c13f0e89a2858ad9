"""A model that comes out of a block as it went in."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain

import torch
from torch import Tensor, nn


@contextmanager
def preserved(model: nn.Module) -> Iterator[None]:
    """Put the model in evaluation mode for a block; afterwards everything is as before, also when the block raises.

    Weights and buffers (bit for bit), their `requires_grad` flags and `grad` fields, hooks and training flags are put
    back, and attributes that the block gave to modules (some attribution methods leave theirs behind) are removed.
    """
    modules = [_ModuleState(module) for module in model.modules()]
    tensors = [_TensorState(tensor) for tensor in chain(model.parameters(), model.buffers())]
    model.eval()
    try:
        yield
    finally:
        for module in modules:
            module.restore()
        for tensor in tensors:
            tensor.restore()


class _ModuleState:
    """The flags, hooks, attribute names and registered tensors of one module."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.training = module.training
        self.names = set(vars(module))
        self.registries = [
            (registry, dict(registry))
            for name, registry in vars(module).items()
            if isinstance(registry, dict) and (name.endswith("_hooks") or name in ("_parameters", "_buffers", "_modules"))
        ]

    def restore(self) -> None:
        for name in set(vars(self.module)) - self.names:
            del vars(self.module)[name]
        for registry, content in self.registries:
            registry.clear()
            registry.update(content)
        self.module.training = self.training


class _TensorState:
    """The value, gradient and flag of one parameter or buffer."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.value = tensor.detach().clone()
        self.requires_grad = tensor.requires_grad
        self.grad = tensor.grad
        self.grad_value = None if tensor.grad is None else tensor.grad.detach().clone()

    @torch.no_grad()
    def restore(self) -> None:
        if not _same_bits(self.tensor, self.value):
            self.tensor.copy_(self.value)
        self.tensor.requires_grad_(self.requires_grad)
        self.tensor.grad = self.grad
        if self.grad is not None and self.grad_value is not None and not _same_bits(self.grad, self.grad_value):
            self.grad.copy_(self.grad_value)


def _same_bits(a: Tensor, b: Tensor) -> bool:
    # Equal values would not do: 0.0 equals -0.0, and NaN equals nothing.
    return torch.equal(a.detach().reshape(-1).view(torch.uint8), b.reshape(-1).view(torch.uint8))
