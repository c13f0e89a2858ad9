"""Hooks of a model: suspended while it is inspected, and shared with the canonical copy."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch import nn

from quantus_senc.model.put_back import run_and_put_back
from quantus_senc.model.state import attributes_as_now

T = TypeVar("T")

_FORWARD_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


def without_hooks(model: nn.Module, run: Callable[[], T]) -> T:
    """What `run` returns without the hooks of a model. Afterwards all modules have the attributes that they had before.

    Passes that only inspect the model have other inputs than those that hooks may expect, and must leave nothing behind
    where a model keeps what it has computed.
    """

    def bare() -> T:
        for module in model.modules():
            for name in _hook_attributes(module):
                vars(module)[name].clear()
        return run()

    return run_and_put_back(bare, attributes_as_now(model))


def with_forward_hook(module: nn.Module, hook: Callable[..., Any], run: Callable[[], T]) -> T:
    """What `run` returns while a module has a forward hook more."""
    hooks = module._forward_hooks
    before = set(hooks)

    def hooked() -> T:
        module.register_forward_hook(hook)
        return run()

    def put_back() -> None:
        for key in hooks.keys() - before:
            del hooks[key]

    return run_and_put_back(hooked, put_back)


def check_hooks(model: nn.Module, copied: list[nn.Module]) -> None:
    """Check that the canonical copy calls all hooks of the model.

    Parameters
    ----------
    copied
        The modules of the model that the canonical copy has copies of. It calls their hooks, those of modules inside them,
        and those of the model itself.

    Raises
    ------
    ValueError
        If another module of the model has hooks.
    """
    reached = {id(module) for original in copied for module in original.modules()}
    for name, module in model.named_modules():
        has_hooks = any(vars(module)[key] for key in _hook_attributes(module))
        if has_hooks and module is not model and id(module) not in reached:
            raise ValueError(
                f"module {name!r} ({type(module).__name__}) has hooks, which an explanation by modules would miss; remove "
                "them, or choose a method that takes any model, such as 'IntegratedGradients'"
            )


def copy_hooks(
    original: nn.Module, copy: nn.Module, wrap: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None
) -> None:
    """Give a copy the hooks of the original. Hooks that are added to the copy later do not reach the original.

    Parameters
    ----------
    wrap
        Applied to each forward hook and forward pre-hook.
    """
    for name in _hook_attributes(original):
        hooks = vars(original)[name].copy()
        if wrap is not None and name in _FORWARD_HOOKS:
            hooks.update({key: wrap(hook) for key, hook in hooks.items()})
        vars(copy)[name] = hooks
    vars(copy)["_is_full_backward_hook"] = vars(original).get("_is_full_backward_hook")


def refuse_changes(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook of the whole model that raises ValueError if it changes the input or output, which LRP could not explain."""

    def checked(*args: Any, **kwargs: Any) -> None:
        if hook(*args, **kwargs) is not None:
            raise ValueError(
                "method='LRP': a hook of the model changes its input or output; remove it, or choose another method"
            )

    return checked


def _hook_attributes(module: nn.Module) -> list[str]:
    """The attributes of a module that hold its forward and backward hooks, and the options of these hooks."""
    return [
        key
        for key in vars(module)
        if key.startswith(("_forward_", "_backward_")) and key.endswith(("hooks", "kwargs", "called"))
    ]
