"""Grad-CAM of any layer whose output has positions: convolutions, and the tokens of vision transformers."""

import re
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from captum.attr import LayerGradCam
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc.core.checks import check_known
from quantus_senc.explainers.hooks import with_forward_hook, without_hooks
from quantus_senc.model.adapted import class_of
from quantus_senc.model.module_order import order_of_use
from quantus_senc.model.outputs import output_sum

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
_MAX_EXTRA_TOKENS = 16  # class, distillation and register tokens


def prepare_grad_cam(
    model: nn.Module, inputs: Tensor, *, layer: str | nn.Module | None = None, gc_layer: str | nn.Module | None = None
) -> tuple[nn.Module, str]:
    """The model, and the name of the layer to explain: by default the last convolution that the model calls.

    Quantus calls the layer `gc_layer`, and writes "model.conv[3]" for "conv.3".
    """
    if inputs.ndim < 3:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)} have no places for Grad-CAM; choose another method")
    layer = gc_layer if layer is None else layer
    names = {name: module for name, module in model.named_modules() if name}
    if layer is None:
        return model, _last_convolution(model, inputs[:1])
    if isinstance(layer, nn.Module):
        name = next((name for name, module in names.items() if module is layer), None)
        if name is None:
            raise ValueError(f"layer={type(layer).__name__}(…) is no module of this model; pass its name")
        return model, name
    name = layer if layer in names else re.sub(r"\[(\d+)\]", r".\1", layer.removeprefix("model")).removeprefix(".")
    check_known("layer", name, names)
    return model, name


@torch.no_grad()
def _last_convolution(model: nn.Module, inputs: Tensor) -> str:
    order = without_hooks(model, lambda: order_of_use(model, lambda: model(inputs.clone())))
    for name in reversed(order):
        if isinstance(model.get_submodule(name), _ConvNd):
            return name
    raise ValueError(f"layer=None, and {class_of(model)} calls no convolution; pass the name of a layer for Grad-CAM")


def grad_cam(
    model: nn.Module,
    layer: str,
    inputs: Tensor,
    targets: Tensor,
    *,
    grid: tuple[int, int] | None = None,
    relu_attributions: bool = False,
    interpolate: tuple[int, ...] | None = None,
    interpolate_mode: str | None = None,
) -> Tensor:
    """The channels of a layer weighted by their mean gradients, resized to the inputs or to `interpolate`.

    Channels are the second axis of the layer's output, (B, C, \\*spatial), but the last one for a `LayerNorm` and for the
    tokens (B, T, C) of an image. The last tokens make the `grid` (rows and columns; by default as many as the image has
    patches). Tokens before them, such as class tokens, are left out.
    """
    size = tuple(interpolate or inputs.shape[2:])
    probe = nn.Identity()
    cam = LayerGradCam(output_sum(model), probe, device_ids=getattr(model, "device_ids", None))
    attribute = partial(cam.attribute, inputs, additional_forward_args=targets, relu_attributions=relu_attributions)
    try:
        maps = with_forward_hook(model.get_submodule(layer), _through_probe(model, layer, inputs, grid, probe), attribute)
    except AssertionError as error:
        raise ValueError(f"layer={layer!r} is never called, so that Grad-CAM sees nothing of it; choose another") from error
    mode = interpolate_mode or _MODES[len(size)]
    corners = None if mode in ("nearest", "nearest-exact", "area") else False
    return nn.functional.interpolate(maps, size, mode=mode, align_corners=corners)


def _through_probe(
    model: nn.Module, name: str, inputs: Tensor, grid: tuple[int, int] | None, probe: nn.Module
) -> Callable[..., Tensor]:
    """A hook of the layer that passes its output through an identity module in the form (B, C, \\*spatial)."""
    layer = model.get_submodule(name)

    def pass_through_probe(module: nn.Module, args: Any, output: Any) -> Tensor:
        if isinstance(output, Tensor) and output.ndim == inputs.ndim and not isinstance(layer, nn.LayerNorm):
            return probe(output)
        if isinstance(output, Tensor) and output.ndim == inputs.ndim and output.ndim > 2:
            return probe(output.movedim(-1, 1)).movedim(1, -1)
        if isinstance(output, Tensor) and output.ndim == 3 and inputs.ndim == 4 and len(output) % len(inputs) == 0:
            shape = grid_shape(model, output.shape[1], inputs.shape[2:], grid)
            n_extra = output.shape[1] - shape[0] * shape[1]
            patches = probe(output[:, n_extra:].transpose(1, 2).unflatten(2, shape))
            return torch.cat([output[:, :n_extra], patches.flatten(2).transpose(1, 2)], 1)
        returned = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"layer={name!r} returns {returned} for inputs of shape {tuple(inputs.shape)}, which has no places for "
            "Grad-CAM; choose a layer that returns (B, C, *spatial), or tokens (B, T, C)"
        )

    return pass_through_probe


def grid_shape(model: nn.Module, n_tokens: int, size: torch.Size, grid: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns of the tokens of an image.

    Candidates are `grid`, or else the patches of the model's first convolution that does not overlap, or else square patches
    of every size. Of the candidates with at most 16 tokens too few, those that divide the image without a rest come first,
    then those with the fewest extra tokens.
    """
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    patches = [module.stride for module in convolutions if module.kernel_size == module.stride != (1, 1)][:1]
    patches = patches or [(side, side) for side in range(1, min(size) + 1)]
    has_rest = {(size[0] // a, size[1] // b): bool(size[0] % a or size[1] % b) for a, b in patches}
    if grid is not None:
        has_rest = {grid: False}
    n_extra = {shape: n_tokens - shape[0] * shape[1] for shape in has_rest}
    fitting = [shape for shape in has_rest if 0 <= n_extra[shape] <= _MAX_EXTRA_TOKENS]
    if not fitting:
        raise ValueError(
            f"{n_tokens} tokens hold no grid of an image of {tuple(size)}, as far as can be told; pass grid=(rows, columns)"
        )
    return min(fitting, key=lambda shape: (has_rest[shape], n_extra[shape]))
