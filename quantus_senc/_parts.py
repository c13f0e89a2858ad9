"""What the parts of a model's graph are: moves of values, scales, sums, products, and modules by kind."""

import operator
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.pooling import _AdaptiveAvgPoolNd, _AvgPoolNd

LINEAR = (nn.Linear, _ConvNd, _BatchNorm, _AvgPoolNd, _AdaptiveAvgPoolNd, nn.Upsample)
RESHAPING = (nn.Flatten, nn.Unflatten)
MOVES = {
    *(torch.flatten, torch.cat, torch.reshape, torch.permute, torch.transpose, torch.squeeze, torch.unsqueeze, torch.chunk),
    *(torch.split, torch.stack, operator.getitem, torch.clone, "flatten", "reshape", "view", "permute", "transpose"),
    *("squeeze", "unsqueeze", "contiguous", "clone", "chunk", "split", "unflatten", "float"),
}
SCALES = {
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
_SIZES = ("size", "dim", "numel", "shape", "ndim")


def live_nodes(graph: fx.Graph) -> Iterator[tuple[fx.Node, list[fx.Node]]]:
    """The nodes whose values depend on the input's, and on which of the nodes before; in order.

    Nodes may be replaced meanwhile, by ones with the same `meta`.
    """
    for node in list(graph.nodes):
        given = [one for one in node.all_input_nodes if one.meta.get("live")]
        node.meta["live"] = node.op == "placeholder" or (bool(given) and node.op != "output" and not _is_size(node))
        if given and node.meta["live"]:
            yield node, given


def _is_size(node: fx.Node) -> bool:
    return node.target in _SIZES or (node.target is getattr and node.args[1] in _SIZES)


def is_linear_function(node: fx.Node, given: list[fx.Node]) -> bool:
    """Whether a function is affine in what it is given."""
    if node.op == "call_module":
        return False
    if node.target in MOVES or (len(given) > 1 and node.target in SUMS | DIFFERENCES):
        return True
    if len(given) > 1 or node.target not in SCALES or node.kwargs.get("rounding_mode"):
        return False
    return node.args.count(given[0]) == 1 and (node.target not in QUOTIENTS or node.args[0] is given[0])


def is_linear_module(module: nn.Module) -> bool:
    """Whether a module is affine in its input."""
    by_batch = isinstance(module, _BatchNorm) and module.running_mean is None
    return isinstance(module, LINEAR + RESHAPING) and not by_batch


def described(whole: fx.GraphModule, node: fx.Node, own_names: dict[str, str]) -> str:
    """A part of the model in the user's words."""
    if node.op == "call_module":
        kind = type(whole.get_submodule(str(node.target))).__name__
        own = own_names.get(str(node.target))
        return f"a functional {kind}" if own is None else f"{own!r} ({kind})"
    near = next((own_names[str(one.target)] for one in node.all_input_nodes if str(one.target) in own_names), None)
    return f"the function {getattr(node.target, '__name__', node.target)!r}" + ("" if near is None else f" after {near!r}")
