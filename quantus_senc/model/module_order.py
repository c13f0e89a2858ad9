"""The order in which a model calls its modules."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def order_of_use(model: nn.Module, predict: Callable[[], Any]) -> dict[str, int]:
    """Return the names of the modules that a forward pass calls, each with its place in the order of first calls.

    Parameters
    ----------
    predict
        Runs the model.
    """
    order: dict[str, int] = {}

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: Any) -> None:
            order.setdefault(name, len(order))

        return hook

    modules = [(name, m) for name, m in model.named_modules() if not isinstance(m, torch.jit.ScriptModule)]
    handles = [module.register_forward_pre_hook(note(name)) for name, module in modules]
    try:
        predict()
    finally:
        for handle in handles:
            handle.remove()
    return order
