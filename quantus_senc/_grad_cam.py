"""Grad-CAM of any layer whose output has places: convolutions, and the tokens of vision transformers."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc._arguments import check_known
from quantus_senc._kept import kept
from quantus_senc._layers import order_of_use

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    layer: str | nn.Module | None = None,
    gc_layer: str | nn.Module | None = None,
    relu_attributions: bool = False,
    interpolate: tuple[int, ...] | None = None,
    interpolate_mode: str | None = None,
) -> Tensor:
    """A layer's channels weighted by their mean gradients, upsampled to the input's size or to `interpolate`.

    Channels come first in the layer's output, (B, C, \\*spatial), or last, in the tokens (B, T, C) of an image; tokens beyond a
    grid of the image's shape come first, as class tokens do. Quantus calls the layer gc_layer, and "model.conv[3]" what the
    model itself calls "conv.3".
    """
    name = _layer_name(model, inputs, gc_layer if layer is None else layer)
    size = tuple(interpolate or inputs.shape[2:])
    with _places(model.get_submodule(name), name, inputs) as (probe, grid):
        maps = LayerGradCam(model, probe).attribute(inputs, targets, relu_attributions=relu_attributions)
    mode = interpolate_mode or _MODES[len(size)]
    corners = None if mode in ("nearest", "nearest-exact", "area") else False
    return nn.functional.interpolate(grid(maps), size, mode=mode, align_corners=corners)


def _layer_name(model: nn.Module, inputs: Tensor, layer: str | nn.Module | None) -> str:
    """The name of a layer, or of the last convolution that the model calls."""
    if inputs.ndim < 3:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)} have no places for Grad-CAM; choose another method")
    names = {name: module for name, module in model.named_modules() if name}
    if isinstance(layer, nn.Module):
        found = next((name for name, module in names.items() if module is layer), None)
        if found is None:
            raise ValueError(
                f"layer={type(layer).__name__}(…) is no module of this model; pass its name, such as {next(iter(names), '')!r}"
            )
        return found
    if layer is not None:
        name = re.sub(r"\[(\d+)\]", r".\1", layer.removeprefix("model")).removeprefix(".") if layer not in names else layer
        check_known("layer", name, names)
        return name
    last = kept(model, grad_cam, lambda: _last_convolution(model, inputs[:1]))
    if last is None:
        raise ValueError(f"layer=None, and {type(model).__name__} calls no convolution; pass the name of a layer for Grad-CAM")
    return last


@torch.no_grad()
def _last_convolution(model: nn.Module, inputs: Tensor) -> str | None:
    order = order_of_use(model, lambda: model(inputs.clone()))
    return next((name for name in reversed(order) if isinstance(model.get_submodule(name), _ConvNd)), None)


@contextmanager
def _places(layer: nn.Module, name: str, inputs: Tensor) -> Iterator[tuple[nn.Module, Callable[[Tensor], Tensor]]]:
    """A module that sees the layer's output with channels first, and what makes a grid of the map of that."""
    probe, n_extra = nn.Identity(), [0]

    def show(module: nn.Module, args: Any, output: Any) -> Tensor:
        n_axes = inputs.ndim - 1
        if isinstance(output, Tensor) and output.ndim == inputs.ndim:
            # A copy goes on: what follows may work in place.
            return probe(output).clone()
        if isinstance(output, Tensor) and output.ndim == 3 and n_axes == 3 and len(output) % len(inputs) == 0:
            n_extra[0] = _n_extra_tokens(output.shape[1], inputs.shape[2:])
            return probe(output.transpose(1, 2)).transpose(1, 2).clone()
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer={name!r} returns {shape} for inputs of shape {tuple(inputs.shape)}, which has no places for "
            "Grad-CAM; choose a layer that returns (B, C, *spatial), or tokens (B, T, C)"
        )

    def grid(maps: Tensor) -> Tensor:
        if maps.ndim == inputs.ndim:
            return maps
        tokens = maps[..., n_extra[0] :]
        return tokens.unflatten(-1, _grid_shape(tokens.shape[-1], inputs.shape[2:]))

    with layer.register_forward_hook(show):
        yield probe, grid


def _n_extra_tokens(n_tokens: int, spatial: torch.Size) -> int:
    """How many tokens come before those of a grid of the image's shape, at the least."""
    for n_extra in range(n_tokens - 1):
        rows, columns = _grid_shape(n_tokens - n_extra, spatial)
        if rows * columns == n_tokens - n_extra:
            return n_extra
    raise ValueError(f"{n_tokens} tokens hold no grid of an image's shape, {tuple(spatial)}; choose another layer for Grad-CAM")


def _grid_shape(n_places: int, spatial: torch.Size) -> tuple[int, int]:
    """Rows and columns in the proportion of an image's."""
    rows = max(1, round(math.sqrt(n_places * spatial[0] / spatial[1])))
    return rows, max(1, round(rows * spatial[1] / spatial[0]))
