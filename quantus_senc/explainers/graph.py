"""Trace a model to a graph in which every nonlinearity is a module, and no operation works in place."""

import inspect
import operator
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from quantus_senc.explainers.tracer import SingleInput, Tracer

_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
# For each module: its positional arguments after the input, and the functions and methods of tensors that it replaces.
_NONLINEARITIES: dict[type[nn.Module], tuple[tuple[str, ...], list[Any]]] = {
    nn.ReLU: ((), [F.relu, torch.relu, torch.relu_, "relu", "relu_"]),
    nn.ReLU6: ((), [F.relu6]),
    nn.LeakyReLU: (("negative_slope",), [F.leaky_relu]),
    nn.ELU: (("alpha",), [F.elu]),
    nn.GELU: (("approximate",), [F.gelu]),
    nn.SiLU: ((), [F.silu]),
    nn.Hardswish: ((), [F.hardswish]),
    nn.Hardsigmoid: ((), [F.hardsigmoid]),
    nn.Softplus: (("beta", "threshold"), [F.softplus]),
    nn.Sigmoid: ((), [F.sigmoid, torch.sigmoid, "sigmoid"]),
    nn.Tanh: ((), [F.tanh, torch.tanh, "tanh"]),
    nn.Softmax: (("dim",), [F.softmax, torch.softmax, "softmax"]),
    nn.MaxPool1d: (_POOL, [F.max_pool1d, torch.max_pool1d]),
    nn.MaxPool2d: (_POOL, [F.max_pool2d, torch.max_pool2d]),
    nn.MaxPool3d: (_POOL, [F.max_pool3d, torch.max_pool3d]),
}
_MODULE_FOR = {function: module for module, (_, functions) in _NONLINEARITIES.items() for function in functions}
_IRRELEVANT_KEYWORDS = ("inplace", "_stacklevel")  # they do not change the values; neither does dtype=None
_IDENTITIES = (nn.Identity, nn.modules.dropout._DropoutNd)  # in evaluation mode
_OUT_OF_PLACE = {operator.iadd: operator.add, operator.isub: operator.sub, operator.imul: operator.mul}
_OUT_OF_PLACE[operator.itruediv] = operator.truediv
_DROPOUT_FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)


@dataclass(frozen=True)
class TracedModel:
    """The graph of a model.

    Attributes
    ----------
    network
        The graph as a module. Each call of a module has a name of its own there, "node_7" for instance, so that a module
        that the model calls twice has two names.
    names
        The names in the model of the modules of `network`. Modules that replace functions have none.
    tensors
        The names in the model of the parameters, buffers and other tensors that the graph reads.
    constants
        The values of all tensors that the graph reads, by their names in `network`.
    """

    network: fx.GraphModule
    names: dict[str, str] = field(default_factory=dict)
    tensors: dict[str, str] = field(default_factory=dict)
    constants: dict[str, Tensor] = field(default_factory=dict)


def trace(model: nn.Module) -> TracedModel:
    """The graph of a model in evaluation mode, without dropout, identities and hooks.

    Raises
    ------
    Exception
        Any that `torch.fx` raises, for instance where the control flow depends on values.
    """
    root = SingleInput(model)
    traced = TracedModel(fx.GraphModule(root, Tracer(root).record()))
    _check_statements(traced.network)
    traced.network.graph.eliminate_dead_code()
    for index, node in enumerate(list(traced.network.graph.nodes)):
        _rewrite(traced, node, f"node_{index}")
    return traced


def _rewrite(traced: TracedModel, node: fx.Node, name: str) -> None:
    """Give the module or tensor of a node the name, and replace a nonlinear function by a module of that name."""
    network = traced.network
    if not node.args and "input" in node.kwargs:
        node.args, node.kwargs = (node.kwargs["input"],), {k: v for k, v in node.kwargs.items() if k != "input"}
    if node.op == "call_module":
        module = network.get_submodule(str(node.target))
        if isinstance(module, _IDENTITIES):
            _bypass(node)
            return
        traced.names[name] = _name_in_model(node)
        network.add_module(name, module)
        node.target = name
    elif node.op == "get_attr":
        if str(node.target).startswith("model."):
            traced.tensors[name] = _name_in_model(node)
        traced.constants[name] = tensor_of(network, str(node.target))
        network.register_buffer(name, traced.constants[name])
        node.target = name
    elif (nonlinearity := _as_module(node)) is not None:
        replace_call(network, node, name, nonlinearity, node.args[:1])
    elif node.op == "call_function" and node.target in _DROPOUT_FUNCTIONS and node.kwargs.get("training") is False:
        _bypass(node)
    elif node.op == "call_method" and _is_in_place(str(node.target)):
        node.target = str(node.target)[:-1]
    elif node.op == "call_function" and node.target in _OUT_OF_PLACE:
        node.target = _OUT_OF_PLACE[node.target]


def _check_statements(network: fx.GraphModule) -> None:
    """Raise ValueError for an operation in place whose result is not used: the graph would lose what it does to its input."""
    for node in network.graph.nodes:
        inplace = node.kwargs.get("inplace") is True or node.target in _OUT_OF_PLACE
        inplace |= node.op == "call_method" and _is_in_place(str(node.target))
        inplace |= node.op == "call_module" and getattr(network.get_submodule(str(node.target)), "inplace", False)
        if inplace and not node.users:
            raise ValueError(f"{node.target} works in place, and its result is not used: write x = f(x) instead of f(x)")


def _name_in_model(node: fx.Node) -> str:
    return str(node.target).removeprefix("model").removeprefix(".")


def _bypass(node: fx.Node) -> None:
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)


def _as_module(node: fx.Node) -> nn.Module | None:
    """The module that computes what the function of a node does with its arguments; None if there is none."""
    kind = _MODULE_FOR.get(node.target) if node.op in ("call_function", "call_method") else None
    if kind is None:
        return None
    positional, _ = _NONLINEARITIES[kind]
    kwargs = dict(zip(positional, node.args[1:], strict=False)) | dict(node.kwargs)
    kwargs = {k: v for k, v in kwargs.items() if k not in _IRRELEVANT_KEYWORDS and (k, v) != ("dtype", None)}
    accepted = inspect.signature(kind).parameters
    fits = len(node.args) - 1 <= len(positional) and isinstance(node.args[0], fx.Node) and not kwargs.get("return_indices")
    if not fits or any(key not in accepted or isinstance(value, fx.Node) for key, value in kwargs.items()):
        return None
    return kind(**kwargs)


def _is_in_place(method: str) -> bool:
    return method.endswith("_") and not method.endswith("__") and inspect.ismethoddescriptor(getattr(Tensor, method[:-1], None))


def tensor_of(model: nn.Module, path: str) -> Tensor:
    """The parameter, buffer or other tensor of a model that has a name."""
    owner, _, name = path.rpartition(".")
    return getattr(model.get_submodule(owner), name)


def replace_call(network: fx.GraphModule, node: fx.Node, name: str, module: nn.Module, args: tuple[Any, ...]) -> None:
    """Replace a node by a call of a new module."""
    network.add_module(name, module)
    with network.graph.inserting_before(node):
        call = network.graph.call_module(name, args)
    call.meta = node.meta
    node.replace_all_uses_with(call)
    network.graph.erase_node(node)


def clone_module_inputs(network: fx.GraphModule, *, clone_all: bool) -> None:
    """Clone the inputs of modules, and remove what the graph does not use.

    A hook of Captum on a module's input changes the whole gradient of that tensor, also the part from other uses of the
    tensor. Inputs that only the module uses are cloned with `clone_all` alone.
    """
    graph = network.graph
    for node in list(graph.nodes):
        inputs = node.all_input_nodes if node.op == "call_module" else []
        for given in [one for one in inputs if clone_all or len(one.users) > 1]:
            with graph.inserting_before(node):
                node.replace_input_with(given, graph.call_method("clone", (given,)))
    graph.eliminate_dead_code()
    used = {node.target for node in graph.nodes}
    for name in set(network._modules) - used:  # delete_all_unused_submodules leaves the second name of a module
        delattr(network, name)
    network.recompile()
