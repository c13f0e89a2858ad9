"""Units of a layer: which weights are masked as one, by zeroing them or without touching them."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Bool
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd


class LayoutError(Exception):
    """A layer was called with a number of samples that masks cannot be assigned to."""


def is_maskable(module: nn.Module) -> bool:
    """Whether a module is a convolution of any kind or a fully connected layer."""
    return isinstance(module, _ConvNd | nn.Linear)


def n_units(module: nn.Module) -> int:
    """How many output channels a convolution, or input features a fully connected layer, has."""
    return int(module.in_features if isinstance(module, nn.Linear) else module.out_channels)  # type: ignore[arg-type]


def layer_stream(name: str) -> int:
    """Return what a layer's masks are drawn for: a hash of its name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little", signed=True)


def weight_mask(module: nn.Module, mask: Bool[Tensor, " m"]) -> Bool[Tensor, "*#shape"]:
    """A mask of a layer's units in a shape that broadcasts with its weight.

    Examples
    --------
    >>> weight_mask(nn.Conv2d(1, 2, 3), torch.tensor([True, False])).shape
    torch.Size([2, 1, 1, 1])
    >>> weight_mask(nn.Linear(2, 5), torch.tensor([True, False])).shape
    torch.Size([1, 2])
    """
    if isinstance(module, nn.Linear):
        return mask[None]
    kernel = [1] * len(module.kernel_size)  # type: ignore[arg-type]
    if isinstance(module, _ConvTransposeNd):  # its weight is (in, out / groups, *kernel)
        groups = module.groups
        channels = mask.view(groups, 1, -1).expand(-1, module.in_channels // groups, -1)
        return channels.reshape(module.in_channels, -1, *kernel)
    return mask.view(-1, 1, *kernel)


@contextmanager
def zeroed_weights(module: nn.Module) -> Iterator[Callable[[Bool[Tensor, " m"]], None]]:
    """Zero the weights of a layer's eliminated units in place; afterwards they are as before, bit for bit.

    Yields
    ------
    callable
        Takes a mask of the units; True keeps.
    """
    weight: Tensor = module.weight  # type: ignore[assignment]
    original = weight.detach().clone()

    def keep(mask: Bool[Tensor, " m"]) -> None:
        weight.data.copy_(torch.where(weight_mask(module, mask), original, 0))

    try:
        yield keep
    finally:
        weight.data.copy_(original)


@dataclass
class MaskedCalls:
    """What a layer saw while its units were masked by a hook.

    Attributes
    ----------
    repeats
        How often each sample was repeated, in each call.
    misfit
        What was given to the layer that masks could not be assigned to, or an empty string.
    """

    repeats: list[int] = field(default_factory=list)
    misfit: str = ""


@contextmanager
def masked_units(module: nn.Module, masks: Bool[Tensor, "N m"], layout: str) -> Iterator[MaskedCalls]:
    """Mask a layer's units for each sample of a batch by a hook, as if each had a model with zeroed weights of its own.

    An eliminated output channel is its bias; an eliminated input feature is 0.

    Parameters
    ----------
    masks
        One mask a sample; True keeps.
    layout
        How an explanation method that repeats the samples orders them: "tiled" (copy j of sample i at j N + i) or
        "interleaved" (at i n + j, with n copies).

    Raises
    ------
    LayoutError
        In the layer, if it is given something that the masks do not fit.
    """
    calls = MaskedCalls()
    n, m = masks.shape

    def masks_for(values: Any, axis: int) -> Tensor:
        """A mask for each sample, in a shape that broadcasts with values whose units lie along an axis."""
        fits = isinstance(values, Tensor) and values.ndim >= 2 and values.shape[axis] == m
        if not fits or len(values) % n or not len(values):
            what = f"{len(values)} samples" if fits else "something else than a batch"
            calls.misfit = f"the layer is given {what} where {n} inputs are explained"
            raise LayoutError(calls.misfit)
        repeats = len(values) // n
        calls.repeats.append(repeats)
        keep = masks.repeat(repeats, 1) if layout == "tiled" else masks.repeat_interleave(repeats, 0)
        shape = [len(values)] + [1] * (values.ndim - 1)
        shape[axis] = m
        return keep.view(shape)

    def mask_features(module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        values = args[0] if args else None
        return (torch.where(masks_for(values, -1), values, 0), *args[1:])  # type: ignore[arg-type]

    def mask_channels(module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor:
        keep = masks_for(output, 1)
        bias = 0 if module.bias is None else module.bias.view(1, -1, *[1] * (output.ndim - 2))  # type: ignore[operator]
        return torch.where(keep, output, bias)

    # As close to the layer's own computation as hooks get: before others on its output, after others on its input.
    if isinstance(module, nn.Linear):
        handle = module.register_forward_pre_hook(mask_features)
    else:
        handle = module.register_forward_hook(mask_channels, prepend=True)
    with handle:
        yield calls
