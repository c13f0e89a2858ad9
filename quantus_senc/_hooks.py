"""Hooks of a model, carried over to its twin."""

from collections.abc import Callable
from typing import Any

from torch import nn


def check_hooks(model: nn.Module, originals: list[nn.Module]) -> None:
    """Raise ValueError if a module has hooks that is neither one of those with a twin, nor within one, nor the model."""
    known = {id(module) for original in originals for module in original.modules()}
    for name, module in model.named_modules():
        if module is not model and id(module) not in known and _has_hooks(module):
            raise ValueError(
                f"module {name!r} ({type(module).__name__}) has hooks, which an explanation by modules would miss; remove "
                "them, or choose a method that takes any model, such as 'IntegratedGradients'"
            )


def guarded(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook of the whole model that may not change what passes: LRP would take the change for relevance."""

    def look(*args: Any, **kwargs: Any) -> None:
        if hook(*args, **kwargs) is not None:
            raise ValueError(
                "method='LRP': a hook of the model changes its input or output; remove it, or choose another method"
            )

    return look


def copy_hooks(
    original: nn.Module, twin: nn.Module, wrap: Callable[[Callable[..., Any]], Callable[..., Any]] = lambda hook: hook
) -> None:
    """Give a twin the hooks of the original, each wrapped, in registries of its own."""
    for name in hook_names(original):
        hooks = vars(original)[name]
        copy = hooks.copy()
        if name in ("_forward_hooks", "_forward_pre_hooks"):
            copy.update({key: wrap(hook) for key, hook in hooks.items()})
        vars(twin)[name] = copy
    vars(twin)["_is_full_backward_hook"] = vars(original).get("_is_full_backward_hook")


def _has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks on its passes."""
    return any(vars(module)[key] for key in hook_names(module))


def hook_names(module: nn.Module) -> list[str]:
    """The attributes in which a module keeps its hooks on passes, and what it knows of them."""
    return [
        key
        for key in vars(module)
        if key.startswith(("_forward_", "_backward_")) and key.endswith(("hooks", "kwargs", "called"))
    ]
