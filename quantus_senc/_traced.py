"""A model's computation as a graph in which every nonlinearity is a module of its own, not in place."""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _NormBase
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
NONLINEAR = (
    *(*_NONLINEAR, nn.PReLU, nn.CELU, nn.SELU, nn.Mish, nn.Hardtanh, nn.GLU, nn.Softsign, nn.LogSigmoid, nn.LayerNorm),
    *(nn.GroupNorm, nn.MultiheadAttention, nn.RNNBase),
)
_WITHOUT_MEANING = ("inplace", "_stacklevel")  # for the values; a dtype of None likewise
_UNCHANGED = (nn.Identity, nn.modules.dropout._DropoutNd)  # what is nothing in evaluation mode

_DROPOUTS = (F.dropout, F.dropout1d, F.dropout2d, F.dropout3d, F.alpha_dropout, F.feature_alpha_dropout)


class _Tracer(fx.Tracer):
    """Follows the model down to torch's own modules, and to layers derived from them."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return super().is_leaf_module(m, module_qualified_name) or isinstance(m, nn.Linear | _ConvNd | _NormBase)


def traced(model: nn.Module) -> tuple[fx.GraphModule, dict[str, str]]:
    """The graph of a model in evaluation mode, and for each of its modules the name of the model's own.

    Every call of a module has an entry of its own, so that a module that the model uses twice stands there twice (as the
    same object). Functional nonlinearities are modules there, which have no such name. Dropout and identities are gone.

    Raises
    ------
    Exception
        Whatever `torch.fx` raises where the model's path depends on values or sizes.
    """
    graph = _Tracer().trace(model)
    whole = fx.GraphModule(model, graph)
    own_names: dict[str, str] = {}
    for index, node in enumerate(list(graph.nodes)):
        name = f"call_{index}"
        if node.op == "call_module":
            module = model.get_submodule(str(node.target))
            if isinstance(module, _UNCHANGED):
                _leave_out(node)
                continue
            own_names[name] = str(node.target)
            whole.add_module(name, module)
            node.target = name
        elif (nonlinearity := _as_module(node)) is not None:
            replace_call(whole, node, name, nonlinearity, node.args[:1])
        elif node.op == "call_function" and node.target in _DROPOUTS and node.kwargs.get("training") is False:
            _leave_out(node)
        elif node.op == "call_method" and _is_in_place(str(node.target)):
            node.target = str(node.target)[:-1]
    whole.delete_all_unused_submodules()
    whole.recompile()
    return whole, own_names


def _leave_out(node: fx.Node) -> None:
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    node.graph.erase_node(node)


def replace_call(whole: fx.GraphModule, node: fx.Node, name: str, module: nn.Module, args: tuple[Any, ...]) -> fx.Node:
    """Let a module do what a node does."""
    whole.add_module(name, module)
    with whole.graph.inserting_before(node):
        new = whole.graph.call_module(name, args)
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
