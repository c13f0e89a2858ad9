"""A twin of a model in the form that Captum's hooks demand, which shares the model's weights and hooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from captum.attr._utils.lrp_rules import PropagationRule
from torch import Tensor, fx, nn

from quantus_senc._kept import kept
from quantus_senc._lrp import with_rules
from quantus_senc._traced import NONLINEAR, traced
from quantus_senc._warnings import warn


@dataclass(frozen=True)
class Twin:
    """A graph of a model, each module of which is a twin of the model's own.

    Twins have the parameters, buffers and hooks of the original, also those that it gets later, but attributes of their
    own: what Captum leaves behind never reaches the model.

    Attributes
    ----------
    whole
        The graph.
    originals
        For each module of it, the model's own; a module that the model calls twice has two twins.
    own_names
        What the model calls these modules.
    rules
        For LRP, the kinds of rule that Captum has no default for.
    warned
        What its users have been told.
    """

    whole: fx.GraphModule
    originals: dict[str, nn.Module]
    own_names: dict[str, str]
    rules: dict[str, type[PropagationRule]]
    warned: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, model: nn.Module, method: str, inputs: Tensor) -> "Twin":
        """The twin of a model in evaluation mode, made once for as long as the model's structure stays.

        Parameters
        ----------
        model
            Any that `torch.fx` can trace.
        method
            "LRP" also needs a rule for each part of the model.
        inputs
            On the first of these the twin must predict what the model does.

        Raises
        ------
        ValueError
            If the model cannot be prepared for the method; the message names the part that is the matter.
        """
        return kept(model, (cls, method == "LRP"), lambda: cls._new(model, method, inputs))

    @classmethod
    def _new(cls, model: nn.Module, method: str, inputs: Tensor) -> "Twin":
        try:
            whole, own_names = traced(model)
        except Exception as error:
            raise ValueError(
                f"method={method!r} needs every nonlinearity as a module, and torch.fx cannot trace {type(model).__name__} to "
                f"make them ({error}); choose a method that takes any model, such as 'IntegratedGradients'"
            ) from error
        rules = with_rules(whole, own_names) if method == "LRP" else {}
        originals = {name: module for name, module in whole.named_children() if name in own_names}
        for name in originals:
            setattr(whole, name, _empty_twin(originals[name]))
        twin = cls(whole, originals, own_names, rules)
        twin._check(model, method, inputs[:2])
        return twin

    def _check(self, model: nn.Module, method: str, inputs: Tensor) -> None:
        """Raise ValueError unless twin and model predict the same."""
        with torch.no_grad(), self.ready(model) as whole:
            expected, found = model(inputs.clone()), whole(inputs.clone())
        if not (isinstance(expected, Tensor) and torch.allclose(found, expected, rtol=1e-3, atol=1e-5, equal_nan=True)):
            raise ValueError(
                f"method={method!r} needs every nonlinearity as a module, but {type(model).__name__} rewritten so predicts "
                "otherwise: its path depends on something else than the input; choose a method that takes any model, such as "
                "'IntegratedGradients'"
            )

    def has(self, kind: type[nn.Module]) -> bool:
        """Whether there is such a module."""
        return any(isinstance(module, kind) for module in self.whole.modules())

    def without_multipliers(self) -> list[str]:
        """The nonlinear modules that Captum's DeepLift has no rule for, as the user knows them."""
        named = ((name, module) for name, module in self.whole.named_children() if isinstance(module, NONLINEAR))
        return [
            f"{self.own_names.get(name, 'a functional')!r} ({type(module).__name__})"
            for name, module in named
            if type(module) not in SUPPORTED_NON_LINEAR
        ]

    def warn(self, message: str) -> None:
        """Tell the user once."""
        if message not in self.warned:
            self.warned.add(message)
            warn(message)

    @contextmanager
    def ready(self, model: nn.Module) -> Iterator[fx.GraphModule]:
        """The twin as the model is now.

        Raises
        ------
        ValueError
            If a hook of the model would never be called in the twin.
        """
        known = {id(module) for original in self.originals.values() for module in original.modules()}
        for name, module in model.named_modules():
            if module is not model and id(module) not in known and has_hooks(module):
                raise ValueError(
                    f"module {name!r} ({type(module).__name__}) has hooks, which an explanation by modules would miss; remove "
                    "them, or choose a method that takes any model, such as 'IntegratedGradients'"
                )
        _copy_hooks(model, self.whole)
        for name, original in self.originals.items():
            twin = self.whole.get_submodule(name)
            vars(twin).clear()
            vars(twin).update(vars(original))
            _copy_hooks(original, twin)
            vars(twin).update({key: False for key in ("training", "inplace") if key in vars(twin)})
        for name, rule in self.rules.items():
            self.whole.get_submodule(name).rule = rule()
        try:
            yield self.whole
        finally:
            for module in (self.whole, *self.whole.children()):
                for key in _hook_names(module):
                    vars(module)[key].clear()
                for key in ("rule", "activations", "input", "output"):  # what Captum leaves when it raises
                    vars(module).pop(key, None)


def _empty_twin(module: nn.Module) -> nn.Module:
    twin: nn.Module = type(module).__new__(type(module))
    vars(twin).update(vars(module))
    return twin


def _copy_hooks(original: nn.Module, twin: nn.Module) -> None:
    vars(twin).update({key: vars(original)[key].copy() for key in _hook_names(original)})


def has_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks on its passes."""
    return any(vars(module)[key] for key in _hook_names(module))


def _hook_names(module: nn.Module) -> list[str]:
    return [
        key
        for key in vars(module)
        if key.startswith(("_forward_", "_backward_")) and key.endswith(("hooks", "kwargs", "called"))
    ]
