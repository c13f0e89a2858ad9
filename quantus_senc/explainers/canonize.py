"""The canonical copy of a model: every nonlinearity is a module that is called once, as Captum and zennit need it.

The copy is compared with the model here. It is traced by `tracer` and rewritten by `graph`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from captum.attr._utils.lrp_rules import PropagationRule
from torch import Tensor, nn

from quantus_senc.core.same_result import coarsely_same_values, same_predictions
from quantus_senc.explainers.graph import TracedModel, clone_module_inputs, tensor_of, trace
from quantus_senc.explainers.hooks import check_hooks, copy_hooks, refuse_changes, without_hooks
from quantus_senc.model.adapted import class_of
from quantus_senc.model.returned import check_outputs

Rules = dict[str, type[PropagationRule]]

_OPAQUE = (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer, nn.RNNBase, nn.RNNCellBase)
_OTHER_METHOD = "choose a method that takes any model, such as 'IntegratedGradients'"


def canonize(
    model: nn.Module, inputs: Tensor, method: str, assign_rules: Callable[[TracedModel], Rules] | None = None
) -> "CanonicalCopy":
    """The canonical copy of a model in evaluation mode.

    Parameters
    ----------
    model
        Any model that `torch.fx` can trace.
    inputs
        The copy must predict the same as the model for the first two of them, (B, \\*shape).
    method
        The name of the explanation method, for messages.
    assign_rules
        For Captum's LRP: edits the graph, and returns the rules of its modules.

    Raises
    ------
    UnfitOutputs
        If the model does not return (B, classes).
    ValueError
        If the model has no such copy. The message names the module or function that prevents it.
    """
    expected = without_hooks(model, lambda: _outputs(model, inputs[:2]))
    try:
        traced = trace(model)
    except Exception as error:
        raise ValueError(
            f"method={method!r} needs every nonlinearity as a module, and torch.fx cannot trace {class_of(model)} to "
            f"make them ({error}); {_OTHER_METHOD}"
        ) from error
    _check_modules(traced, method)
    rules = None if assign_rules is None else assign_rules(traced)
    clone_module_inputs(traced.network, clone_all=rules is not None)
    copy = CanonicalCopy(model, traced, rules)
    _check_predictions(copy, inputs[:2], expected, method)
    return copy


class CanonicalCopy:
    """A traced model that shares parameters, buffers and hooks with the model.

    Changes of these, and of attributes of the model's modules, reach the copy also after tracing. The order of calls stays
    as it was traced. What explanation methods leave in the copy never reaches the model.

    Parameters
    ----------
    model
        The model.
    traced
        Its graph. The modules in it are replaced by copies.
    rules
        For Captum's LRP, the rules of modules by their names in the graph.
    """

    def __init__(self, model: nn.Module, traced: TracedModel, rules: Rules | None = None) -> None:
        self.model, self.rules = model, rules
        modules = {name: traced.network.get_submodule(name) for name in traced.network._modules}
        names = {name: path for name, path in traced.names.items() if name in modules}
        self.traced = TracedModel(traced.network, names, traced.tensors, traced.constants)
        self._functions = {name: module for name, module in modules.items() if name not in traced.names}
        for name, module in modules.items():
            setattr(traced.network, name, type(module).__new__(type(module)))
        self._update(self._originals())

    @contextmanager
    def synchronized(self) -> Iterator[nn.Module]:
        """The copy as a module, with the present state of the model.

        Raises
        ------
        ValueError
            If the model has hooks that the copy would not call.
        """
        originals = self._originals()
        check_hooks(self.model, [originals[name] for name in self.traced.names])
        self._update(originals)
        try:
            yield _Wrapper(self.traced.network)
        finally:
            self._update(originals)  # removes hooks and tensors that remain where a method was interrupted

    def _originals(self) -> dict[str, nn.Module]:
        return {name: self.model.get_submodule(path) for name, path in self.traced.names.items()} | self._functions

    def _update(self, originals: dict[str, nn.Module]) -> None:
        """Give all copies the attributes and hooks of their originals, and nothing else."""
        network = self.traced.network
        network.training = False
        if all(original is not self.model for original in originals.values()):
            copy_hooks(self.model, network, None if self.rules is None else refuse_changes)
        self.traced.constants.update({name: tensor_of(self.model, path) for name, path in self.traced.tensors.items()})
        network._buffers.update(self.traced.constants)
        for name, original in originals.items():
            copy, attributes = network.get_submodule(name), vars(original)
            vars(copy).clear()
            vars(copy).update(attributes, **{key: False for key in ("training", "inplace") if key in attributes})
            vars(copy).update({key: attributes[key].copy() for key in ("_parameters", "_buffers")})
            copy_hooks(original, copy)
        for name, rule in (self.rules or {}).items():
            vars(network.get_submodule(name))["rule"] = rule()


class _Wrapper(nn.Module):
    """Receives the hooks of Captum on the whole model, so that the model's hooks are called inside of them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> Tensor:
        """The output of the network."""
        return self.network(*inputs)


def _check_modules(traced: TracedModel, method: str) -> None:
    """Raise ValueError if a module computes nonlinear functions that tracing cannot see."""
    for name, module in traced.network.named_modules():
        if isinstance(module, _OPAQUE):
            raise ValueError(
                f"method={method!r} needs every nonlinearity as a module, and "
                f"{traced.names.get(name, name.removeprefix('model.'))!r} ({type(module).__name__}) hides its own; "
                f"{_OTHER_METHOD}"
            )


def _check_predictions(copy: CanonicalCopy, inputs: Tensor, expected: Tensor, method: str) -> None:
    """Raise ValueError unless the copy predicts what is expected of the model."""
    name = class_of(copy.model)
    predicted = without_hooks(copy.model, lambda: _predictions(copy, inputs))
    same = predicted.shape == expected.shape and bool(same_predictions(expected, predicted).all())
    if same and copy.rules is None:  # custom autograd functions and torch.no_grad() leave no trace in a graph
        gradients = without_hooks(copy.model, lambda: _gradients(copy, inputs))
        same = gradients is None or bool(coarsely_same_values(*gradients).all())
    if not same:
        raise ValueError(
            f"method={method!r} needs every nonlinearity as a module, but {name} rewritten so predicts otherwise: its path "
            f"depends on something else than the input; {_OTHER_METHOD}"
        )


def _gradients(copy: CanonicalCopy, inputs: Tensor) -> tuple[Tensor, Tensor] | None:
    """The gradients of the model, and of its copy."""

    def of(network: nn.Module) -> Tensor:
        given = inputs.detach().clone().requires_grad_()
        outputs = network(given.clone())
        weights = torch.arange(1, outputs.shape[1] + 1).to(outputs)
        (gradient,) = torch.autograd.grad((outputs * weights).sum(), given, allow_unused=True)
        return torch.zeros_like(given).flatten(1) if gradient is None else gradient.flatten(1)

    with copy.synchronized() as network, torch.enable_grad():
        try:
            return of(copy.model), of(network)
        except RuntimeError:  # a model that works in place where it must not has no gradients
            return None


@torch.no_grad()
def _outputs(model: nn.Module, inputs: Tensor) -> Tensor:
    """What the model returns for some inputs."""
    return check_outputs(model(inputs.clone()), len(inputs))


@torch.no_grad()
def _predictions(copy: CanonicalCopy, inputs: Tensor) -> Tensor:
    """What the copy returns."""
    with copy.synchronized() as network:
        return network(inputs.clone())
