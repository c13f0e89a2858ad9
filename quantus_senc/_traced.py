"""A model's computation as a graph in which every nonlinearity is a module of its own, not in place."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.conv import _ConvNd

_POOL = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
_NONLINEAR: dict[type[nn.Module], tuple[tuple[str, ...], list[Any]]] = {  # arguments; functions and methods of tensors
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
_FUNCTIONS = {function: module for module, (_, functions) in _NONLINEAR.items() for function in functions}
_WITHOUT_MEANING = ("inplace", "_stacklevel")  # for the values; a dtype of None likewise
_UNCHANGED = (nn.Identity, nn.modules.dropout._DropoutNd)  # what is nothing in evaluation mode
_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)


class _OfOneInput(nn.Module):
    """The model as a part, called with an input and nothing else."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Any:
        """What the model returns."""
        return self.model(x)


class _Tracer(fx.Tracer):
    """Follows the model down to torch's own modules, and to layers derived from them that compute as they do."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        kind = next((base for base in type(m).__mro__ if base.__module__.startswith("torch.nn.modules")), None)
        derived = isinstance(m, nn.Linear | _ConvNd) and kind is not None and type(m).forward is vars(kind)["forward"]
        return super().is_leaf_module(m, module_qualified_name) or derived


def traced(model: nn.Module) -> tuple[fx.GraphModule, dict[str, str]]:
    """The graph of a model in evaluation mode, and for each of its modules the name of the model's own.

    Every call of a module has an entry of its own, so that a module that the model uses twice stands there twice (as the
    same object). Functional nonlinearities are modules there, which have no such name. Dropout and identities are gone,
    and so are the effects of hooks.

    Raises
    ------
    Exception
        Whatever `torch.fx` raises where the model's path depends on values or sizes.
    """
    root = _OfOneInput(model)
    with _without_hooks(model):
        graph = _Tracer().trace(root)
    whole = fx.GraphModule(root, graph)
    own_names: dict[str, str] = {}
    for index, node in enumerate(list(graph.nodes)):
        name = f"call_{index}"
        if node.op == "call_module":
            module = root.get_submodule(str(node.target))
            if isinstance(module, _UNCHANGED):
                _leave_out(node)
                continue
            own_names[name] = str(node.target).removeprefix("model").removeprefix(".")
            whole.add_module(name, module)
            node.target = name
        elif node.op == "get_attr":
            tensor = constant(root, node)
            if isinstance(tensor, nn.Parameter):
                whole.register_parameter(name, tensor)
            else:
                whole.register_buffer(name, tensor)
            node.target = name
        elif (nonlinearity := _as_module(node)) is not None:
            replace_call(whole, node, name, nonlinearity, node.args[:1])
        elif node.op == "call_function" and node.target in _DROPOUTS and node.kwargs.get("training") is False:
            _leave_out(node)
        elif node.op == "call_method" and _is_in_place(str(node.target)):
            node.target = str(node.target)[:-1]
    return whole, own_names


@contextmanager
def _without_hooks(model: nn.Module) -> Iterator[None]:
    """Otherwise tracing would call those of modules that it follows into."""
    hooks = [vars(module)[name] for module in model.modules() for name in ("_forward_hooks", "_forward_pre_hooks")]
    contents = [dict(one) for one in hooks]
    try:
        for one in hooks:
            one.clear()
        yield
    finally:
        for one, content in zip(hooks, contents, strict=True):
            one.update(content)


def give_inputs_of_their_own(whole: fx.GraphModule, *, to_all: bool) -> None:
    """Copy what modules are given, and drop what is not used.

    Captum's hooks on the input of a module change all of its gradient, also what comes from other parts of the model. Inputs
    that nothing else uses are copied only for `to_all`.
    """
    for node in list(whole.graph.nodes):
        inputs = node.all_input_nodes if node.op == "call_module" else []
        for given in [one for one in inputs if to_all or len(one.users) > 1]:
            with whole.graph.inserting_before(node):
                node.replace_input_with(given, whole.graph.call_method("clone", (given,)))
    whole.graph.eliminate_dead_code()
    used = {node.target for node in whole.graph.nodes}
    for name in [*whole._modules]:  # all names: torch's own clean-up leaves the second one of a module
        if name not in used:
            delattr(whole, name)
    whole.recompile()


def constant(root: nn.Module, node: fx.Node) -> Tensor:
    """The parameter or buffer that a node reads."""
    owner, _, name = str(node.target).rpartition(".")
    return getattr(root.get_submodule(owner), name)


def _leave_out(node: fx.Node) -> None:
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)


def replace_call(whole: fx.GraphModule, node: fx.Node, name: str, module: nn.Module, args: tuple[Any, ...]) -> fx.Node:
    """Let a module do what a node does."""
    whole.add_module(name, module)
    with whole.graph.inserting_before(node):
        new = whole.graph.call_module(name, args)
    new.meta = node.meta
    node.replace_all_uses_with(new)
    whole.graph.erase_node(node)
    return new


def _as_module(node: fx.Node) -> nn.Module | None:
    """The module that does what a function does with these arguments, if there is one."""
    kind = _FUNCTIONS.get(node.target) if node.op in ("call_function", "call_method") else None
    if kind is None:
        return None
    names, _ = _NONLINEAR[kind]
    kwargs = dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)
    kwargs = {key: value for key, value in kwargs.items() if key not in _WITHOUT_MEANING and (key, value) != ("dtype", None)}
    taken = inspect.signature(kind).parameters
    fits = len(node.args) - 1 <= len(names) and isinstance(node.args[0], fx.Node)
    if not fits or kwargs.get("return_indices") or any(key not in taken or isinstance(v, fx.Node) for key, v in kwargs.items()):
        return None
    return kind(**kwargs)


def _is_in_place(method: str) -> bool:
    return method.endswith("_") and not method.endswith("__") and inspect.ismethoddescriptor(getattr(Tensor, method[:-1], None))
