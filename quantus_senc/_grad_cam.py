"""Grad-CAM of any layer whose output has places: convolutions, and the tokens of vision transformers."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc._arguments import check_known
from quantus_senc._kept import kept
from quantus_senc._layers import order_of_use
from quantus_senc._outputs import output_sum

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
_MOST_EXTRA = 16  # class, distillation and register tokens


def grad_cam(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    layer: str | nn.Module | None = None,
    gc_layer: str | nn.Module | None = None,
    grid: tuple[int, int] | None = None,
    relu_attributions: bool = False,
    interpolate: tuple[int, ...] | None = None,
    interpolate_mode: str | None = None,
) -> Tensor:
    """A layer's channels weighted by their mean gradients, upsampled to the input's size or to `interpolate`.

    Channels come first in the layer's output, (B, C, \\*spatial), or last, in that of a `LayerNorm` and in the tokens
    (B, T, C) of an image. Tokens that are no part of the `grid` (rows and columns; by default as many as patches make of the
    image) come first, as class tokens do. Quantus calls the layer gc_layer, and "model.conv[3]" what the model itself calls
    "conv.3".
    """
    name = _layer_name(model, inputs, gc_layer if layer is None else layer)
    size = tuple(interpolate or inputs.shape[2:])
    with _places(model, name, inputs, grid) as probe:
        try:
            cam = LayerGradCam(output_sum(model), probe, device_ids=getattr(model, "device_ids", None))
            maps = cam.attribute(inputs, additional_forward_args=targets, relu_attributions=relu_attributions)
        except AssertionError as error:
            raise ValueError(f"layer={name!r} is never called, so that Grad-CAM sees nothing of it; choose another") from error
    mode = interpolate_mode or _MODES[len(size)]
    corners = None if mode in ("nearest", "nearest-exact", "area") else False
    return nn.functional.interpolate(maps, size, mode=mode, align_corners=corners)


def _layer_name(model: nn.Module, inputs: Tensor, layer: str | nn.Module | None) -> str:
    """The name of a layer, or of the last convolution that the model calls."""
    if inputs.ndim < 3:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)} have no places for Grad-CAM; choose another method")
    names = {name: module for name, module in model.named_modules() if name}
    if isinstance(layer, nn.Module):
        found = next((name for name, module in names.items() if module is layer), None)
        if found is None:
            raise ValueError(f"layer={type(layer).__name__}(…) is no module of this model; pass its name")
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
def _places(model: nn.Module, name: str, inputs: Tensor, grid: tuple[int, int] | None) -> Iterator[nn.Module]:
    """A module that sees a layer's output with channels first and places in a grid."""
    probe, layer = nn.Identity(), model.get_submodule(name)

    def show(module: nn.Module, args: Any, output: Any) -> Tensor:
        if isinstance(output, Tensor) and output.ndim == inputs.ndim and not isinstance(layer, nn.LayerNorm):
            return probe(output)
        if isinstance(output, Tensor) and output.ndim == inputs.ndim and output.ndim > 2:
            return probe(output.movedim(-1, 1)).movedim(1, -1)
        if isinstance(output, Tensor) and output.ndim == 3 and inputs.ndim == 4 and len(output) % len(inputs) == 0:
            shape = _grid(model, output.shape[1], inputs.shape[2:], grid)
            n_extra = output.shape[1] - shape[0] * shape[1]
            places = probe(output[:, n_extra:].transpose(1, 2).unflatten(2, shape))
            return torch.cat([output[:, :n_extra], places.flatten(2).transpose(1, 2)], 1)
        found = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer={name!r} returns {found} for inputs of shape {tuple(inputs.shape)}, which has no places for "
            "Grad-CAM; choose a layer that returns (B, C, *spatial), or tokens (B, T, C)"
        )

    with layer.register_forward_hook(show):
        yield probe


def _grid(model: nn.Module, n_tokens: int, size: torch.Size, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of tokens: as asked for, as the model's patches have them, or as patches of some size would."""
    own = [module.stride for module in model.modules() if isinstance(module, nn.Conv2d) and module.kernel_size == module.stride]
    patches = [stride for stride in own if stride != (1, 1)][:1] or [(side, side) for side in range(1, min(size) + 1)]
    cut = {(size[0] // a, size[1] // b): bool(size[0] % a or size[1] % b) for a, b in patches}
    candidates = cut if grid is None else {grid: False}
    extra = {shape: n_tokens - shape[0] * shape[1] for shape in candidates}
    fitting = [shape for shape, n_extra in extra.items() if 0 <= n_extra <= _MOST_EXTRA]
    if not fitting:
        raise ValueError(
            f"{n_tokens} tokens hold no grid of an image of {tuple(size)}, as far as can be told; pass grid=(rows, columns)"
        )
    return min(fitting, key=lambda shape: (candidates[shape], extra[shape]))
