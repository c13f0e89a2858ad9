"""A twin of a model in the form that Captum's hooks demand, which shares the model's weights and hooks."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from captum.attr._utils.lrp_rules import PropagationRule
from torch import Tensor, fx, nn

from quantus_senc._hooks import check_hooks, copy_hooks, guarded, hook_names
from quantus_senc._kept import kept
from quantus_senc._lrp import with_rules
from quantus_senc._parts import described, is_linear_function, is_linear_module, live_nodes
from quantus_senc._traced import give_inputs_of_their_own, traced
from quantus_senc._warnings import warn

_HIDING = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.RNNBase, nn.RNNCellBase)


class _Around(nn.Module):
    """What Captum hooks as the model, so that the model's own hooks are called inside."""

    def __init__(self, whole: fx.GraphModule) -> None:
        super().__init__()
        self.whole = whole

    def forward(self, *inputs: Tensor) -> Tensor:
        """What the graph returns."""
        return self.whole(*inputs)


@dataclass(frozen=True)
class Twin:
    """A graph of a model, each module of which is a twin of the model's own.

    Twins have the parameters, buffers and hooks of the original, also those that it gets later, but attributes of their
    own: what Captum leaves behind never reaches the model. Between calls they have nothing, and refer to nothing.

    Attributes
    ----------
    around
        The graph, as Captum is given it.
    own_names
        What the model calls the modules of the graph; one that it calls twice has two twins.
    rules
        For LRP, the kinds of rule that Captum has no default for.
    without_multipliers
        The nonlinear parts that Captum's DeepLift has no rule for, as the user knows them.
    warned
        What its users have been told.
    """

    around: _Around
    own_names: dict[str, str]
    rules: dict[str, type[PropagationRule]]
    without_multipliers: list[str]
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
        for name, module in whole.named_modules():
            if isinstance(module, _HIDING):
                own = own_names.get(name, name.removeprefix("model."))
                raise ValueError(
                    f"method={method!r} needs every nonlinearity as a module, and {own!r} "
                    f"({type(module).__name__}) hides its own; choose a method that takes any model, such as "
                    "'IntegratedGradients'"
                )
        without_multipliers = _without_multipliers(whole, own_names)
        rules = with_rules(whole, own_names) if method == "LRP" else {}
        give_inputs_of_their_own(whole, to_all=method == "LRP")
        own_names = {name: own for name, own in own_names.items() if name in whole._modules}
        for name in own_names:
            setattr(whole, name, _empty_twin(whole.get_submodule(name)))
        twin = cls(_Around(whole).eval(), own_names, rules, without_multipliers)
        twin._check(model, method, inputs[:2])
        return twin

    def _check(self, model: nn.Module, method: str, inputs: Tensor) -> None:
        """Raise ValueError unless twin and model predict the same."""
        with torch.no_grad():
            expected = model(inputs.clone())
            if not isinstance(expected, Tensor):
                raise ValueError(f"{type(model).__name__} returned a {type(expected).__name__}; it must return (B, classes)")
            with self.ready(model) as whole:
                found = whole(inputs.clone())
        if found.shape != expected.shape or not torch.allclose(found, expected, rtol=1e-3, atol=1e-5, equal_nan=True):
            raise ValueError(
                f"method={method!r} needs every nonlinearity as a module, but {type(model).__name__} rewritten so predicts "
                "otherwise: its path depends on something else than the input; choose a method that takes any model, such as "
                "'IntegratedGradients'"
            )

    def has(self, kind: type[nn.Module]) -> bool:
        """Whether there is such a module."""
        return any(isinstance(module, kind) for module in self.around.modules())

    def warn(self, message: str) -> None:
        """Tell the user once."""
        if message not in self.warned:
            self.warned.add(message)
            warn(message)

    @contextmanager
    def ready(self, model: nn.Module) -> Iterator[nn.Module]:
        """The twin as the model is now.

        Raises
        ------
        ValueError
            If a hook of the model would never be called in the twin, or may mislead LRP.
        """
        whole = self.around.whole
        originals = {name: model.get_submodule(own) for name, own in self.own_names.items()}
        check_hooks(model, [*originals.values()])
        if not any(original is model for original in originals.values()):
            copy_hooks(model, whole, guarded if self.rules else lambda hook: hook)
        for name, original in originals.items():
            twin = whole.get_submodule(name)
            vars(twin).update(vars(original))
            copy_hooks(original, twin)
            vars(twin).update({key: False for key in ("training", "inplace") if key in vars(twin)})
        for name, rule in self.rules.items():
            whole.get_submodule(name).rule = rule()
        try:
            yield self.around
        finally:
            for key in hook_names(whole):
                vars(whole)[key].clear()
            for name, module in whole.named_children():
                if name in self.own_names:
                    _empty(module)
                for key in ("rule", "activations", "input", "output"):  # what Captum leaves when it raises
                    vars(module).pop(key, None)


def _without_multipliers(whole: fx.GraphModule, own_names: dict[str, str]) -> list[str]:
    found = []
    for node, given in live_nodes(whole.graph):
        if node.op == "call_module":
            module = whole.get_submodule(str(node.target))
            known = type(module) in SUPPORTED_NON_LINEAR or is_linear_module(module)
        else:
            known = is_linear_function(node, given)
        if not known:
            found.append(described(whole, node, own_names))
    return found


def _empty_twin(module: nn.Module) -> nn.Module:
    twin: nn.Module = type(module).__new__(type(module))
    _empty(twin)
    return twin


def _empty(twin: nn.Module) -> None:
    vars(twin).clear()
    nn.Module.__init__(twin)
