"""The operations in a model's graph: which of them reshape, add or multiply values, and which are linear."""

import operator
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd

from quantus_senc.explainers.graph import TracedModel

RESHAPING_MODULES = (nn.Flatten, nn.Unflatten)
LINEAR_MODULES = (nn.Linear, _ConvNd, _BatchNorm, _AvgPoolNd, _AdaptiveAvgPoolNd, nn.Upsample, *RESHAPING_MODULES)
# Functions, and names of methods of tensors. The first set only moves values.
RESHAPING = {
    *(torch.flatten, torch.cat, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.chunk),
    *(torch.split, torch.stack, operator.getitem, torch.clone, "flatten", "reshape", "view", "permute", "transpose"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "chunk", "split", "unflatten", "float"),
}
LINEAR_IN_ONE_ARGUMENT = {
    *(operator.add, operator.iadd, operator.sub, operator.isub, operator.mul, operator.imul, operator.truediv),
    *(operator.itruediv, operator.neg, torch.add, torch.sub, torch.mul, torch.div, "add", "sub", "mul", "div"),
    *(torch.mean, "mean", torch.sum, "sum", F.interpolate, F.pad, F.avg_pool1d, F.avg_pool2d, F.avg_pool3d),
    *(F.linear, F.conv1d, F.conv2d, F.conv3d, torch.conv1d, torch.conv2d, torch.conv3d),
    *(torch.adaptive_avg_pool1d, F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d),
}
SUMS = {operator.add, operator.iadd, torch.add, "add"}
DIFFERENCES = {operator.sub, operator.isub, torch.sub, "sub"}
PRODUCTS = {operator.mul, operator.imul, torch.mul, "mul"}
QUOTIENTS = {operator.truediv, operator.itruediv, torch.div, "div"}
_NO_VALUES = ("size", "dim", "numel", "shape", "ndim", "device")  # of a tensor


def dependent_nodes(graph: fx.Graph) -> Iterator[tuple[fx.Node, list[fx.Node]]]:
    """Nodes whose values depend on the values of the graph's input, in the order of execution.

    A node may be replaced during the iteration if the new node takes over its `meta`.

    Yields
    ------
    fx.Node
        The node.
    list of fx.Node
        Its arguments that depend on the graph's input.
    """
    for node in list(graph.nodes):
        arguments = [argument for argument in node.all_input_nodes if argument.meta.get("depends_on_input")]
        computes = node.op != "output" and not _has_no_values(node)
        node.meta["depends_on_input"] = node.op == "placeholder" or (bool(arguments) and computes)
        if arguments and computes:
            yield node, arguments


def _has_no_values(node: fx.Node) -> bool:
    return node.target in _NO_VALUES or (node.target is getattr and node.args[1] in _NO_VALUES)


def is_linear_module(module: nn.Module) -> bool:
    """Whether a module in evaluation mode is an affine function of its input."""
    uses_batch_statistics = isinstance(module, _BatchNorm) and module.running_mean is None
    return isinstance(module, LINEAR_MODULES) and not uses_batch_statistics


def is_linear_function(node: fx.Node, arguments: list[fx.Node]) -> bool:
    """Whether a node calls a function that is affine in its arguments from `dependent_nodes`."""
    if node.op == "call_module":
        return False
    if node.target in RESHAPING or (len(arguments) > 1 and node.target in SUMS | DIFFERENCES):
        return True
    if len(arguments) > 1 or node.target not in LINEAR_IN_ONE_ARGUMENT or node.kwargs.get("rounding_mode"):
        return False
    return node.args.count(arguments[0]) == 1 and (node.target not in QUOTIENTS or node.args[0] is arguments[0])


def describe(traced: TracedModel, node: fx.Node) -> str:
    """A node in the words of a message: the module's name in the model and its type, or the function's name."""
    if node.op == "call_module":
        kind = type(traced.network.get_submodule(str(node.target))).__name__
        name = traced.names.get(str(node.target))
        return f"a functional {kind}" if name is None else f"{name!r} ({kind})"
    before = next((traced.names[str(one.target)] for one in node.all_input_nodes if str(one.target) in traced.names), None)
    function = f"the function {getattr(node.target, '__name__', node.target)!r}"
    return function if before is None else f"{function} after {before!r}"
