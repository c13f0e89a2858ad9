"""What the channels of a layer do: how large they are, and how much they contribute to the explained logit."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Channels:
    """What each channel of a layer's output does, by image (N, C).

    Attributes
    ----------
    activation
        Mean over the positions of its magnitude.
    gradient
        Mean over the positions of the magnitude of the gradient of the explained logit.
    contribution
        Magnitude of the sum over the positions of activation times gradient.
    removal
        Magnitude of the change of the explained logit if the channel is set to 0.
    """

    activation: np.ndarray
    gradient: np.ndarray
    contribution: np.ndarray
    removal: np.ndarray

    @property
    def audible(self) -> np.ndarray:
        """Which channels are not 0 at all positions."""
        return self.activation > 0


def channels(model: nn.Module, layer: str, x: Tensor, y: Tensor) -> Channels:
    """What each channel of a layer's output does. Everything above the layer must read this output alone."""
    with _replacing(model, layer, lambda out: out.detach().requires_grad_()) as outputs:
        logits = model(x).gather(1, y[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(logits.sum(), outputs[0])
    activation, gradient = (part.detach().reshape(*part.shape[:2], -1) for part in (outputs[0], gradient))
    return Channels(
        activation=activation.abs().mean(-1).numpy(),
        gradient=gradient.abs().mean(-1).numpy(),
        contribution=(activation * gradient).sum(-1).abs().numpy(),
        removal=(_without_each(model, layer, activation.shape[1], x, y) - logits.detach()).abs().T.numpy(),
    )


@torch.no_grad()
def activations(model: nn.Module, layer: str, x: Tensor) -> np.ndarray:
    """Mean over the positions of the magnitude of a layer's output, by image and channel (N, C)."""
    with _replacing(model, layer, lambda out: out) as outputs:
        model(x)
    return outputs[0].reshape(*outputs[0].shape[:2], -1).abs().mean(-1).numpy()


@torch.no_grad()
def _without_each(model: nn.Module, layer: str, n_channels: int, x: Tensor, y: Tensor) -> Tensor:
    """The explained logits (C, N) with one channel of the layer set to 0. The layers below run once for all channels."""
    keep = (1 - torch.eye(n_channels, dtype=x.dtype)).repeat_interleave(len(x), 0)

    def each(out: Tensor) -> Tensor:
        return out.repeat(n_channels, *[1] * (out.ndim - 1)) * keep.view(*keep.shape, *[1] * (out.ndim - 2))

    with _replacing(model, layer, each):
        return model(x).gather(1, y.repeat(n_channels)[:, None]).view(n_channels, -1)


@contextmanager
def _replacing(model: nn.Module, layer: str, change: Callable[[Tensor], Tensor]) -> Iterator[list[Tensor]]:
    """The output of a layer is changed inside; yields a list that gets what replaced it."""
    outputs: list[Tensor] = []

    def hook(module: nn.Module, args: Any, out: Tensor) -> Tensor:
        outputs.append(change(out))
        return outputs[-1]

    handle = model.get_submodule(layer).register_forward_hook(hook)
    try:
        yield outputs
    finally:
        handle.remove()
