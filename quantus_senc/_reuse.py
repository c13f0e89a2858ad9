"""Layers before a masked one compute the same for all its masks: once is enough.

Many masked models are run in one pass, on copies of a few inputs. A convolution or fully connected layer that comes before
the masked layer is given each input once, and what it returns is copied. Gradients differ from mask to mask, so that they
pass back through every copy.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from quantus_senc._copies import copies
from quantus_senc._input_gradient import input_gradient
from quantus_senc._layers import order_of_use

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


class Reuse:
    """How the layers before a masked one are spared.

    Parameters
    ----------
    model
        In evaluation mode; the prediction for a sample must not depend on the others.
    module
        The masked layer.
    predict
        Runs the model.
    """

    def __init__(self, model: nn.Module, module: nn.Module, predict: Callable[[], Any]) -> None:
        self.model, self.module = model, module
        names = list(order_of_use(model, predict))
        called = [model.get_submodule(name) for name in names]
        before = called[: called.index(module)] if module in called else []
        self.layers = [layer for layer in before if _is_plain(layer)]
        self.differed: list[Tensor] = []

    @property
    def active(self) -> bool:
        """Whether there is a layer to spare."""
        return bool(self.layers)

    def stop(self) -> None:
        """Spare nothing any more."""
        self.layers, self.differed = [], []

    def failed(self) -> bool:
        """Whether the model was given other samples than copies, since it was last asked; then stop."""
        failed = bool(self.differed) and bool(torch.stack(self.differed).any())
        self.differed = []
        if failed:
            self.stop()
        return failed

    @contextmanager
    def of(self, which: Int64[Tensor, " N"], first: Int64[Tensor, " u"], layout: str) -> Iterator[None]:
        """Spare layers in passes of copies.

        Parameters
        ----------
        which, first
            Which input each sample is a copy of, and where each input's first copy is.
        layout
            See `masked_units`.
        """
        copies = _Copies(which, first, layout, self.differed)
        with ExitStack() as handles:
            handles.enter_context(self.model.register_forward_pre_hook(copies.begin))
            handles.enter_context(self.module.register_forward_pre_hook(copies.end, prepend=True))
            for layer in self.layers:
                handles.enter_context(layer.register_forward_pre_hook(copies.give_each_once))
                handles.enter_context(layer.register_forward_hook(copies.copy))
            yield


class _Copies:
    """A pass through a model, up to the masked layer."""

    def __init__(self, which: Int64[Tensor, " N"], first: Int64[Tensor, " u"], layout: str, differed: list[Tensor]) -> None:
        self.which, self.first, self.layout, self.differed = which, first, layout, differed
        self.before = False
        self.places: tuple[Tensor, Tensor] | None = None  # of the first copies among the samples, and whose copy each is
        self.given: list[Tensor] = []

    def begin(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """The model is called."""
        self.before, self.places = True, None

    def end(self, module: nn.Module, args: tuple[Any, ...]) -> None:
        """The masked layer is reached."""
        self.before = False

    def give_each_once(self, module: nn.Module, args: tuple[Any, ...]) -> Tensor | None:
        """Before a layer: the first copies instead of all."""
        backward = module._backward_hooks or module._backward_pre_hooks
        alone = len(module._forward_hooks) == len(module._forward_pre_hooks) == 1 and not backward
        fits = len(args) == 1 and isinstance(args[0], Tensor) and args[0].ndim > 1
        if not (self.before and alone and fits):
            return None
        samples = args[0].detach()
        if self.places is None and len(samples) and len(samples) % len(self.which) == 0:  # the first of these layers
            self.places = first, which = self._places(len(samples) // len(self.which))
            self.differed.append((copies(copies(samples, first), which) != samples).any())
        if self.places is None or len(samples) != len(self.places[1]):
            return None
        self.given.append(args[0])
        return copies(samples, self.places[0])

    def copy(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """After it: copies of what it returned."""
        if not self.given or self.places is None:
            return None
        copied: Tensor = _CopiedOutput.apply(self.given.pop(), output.detach(), self.places[1], module)
        return copied

    def _places(self, n_repeats: int) -> tuple[Int64[Tensor, " r"], Int64[Tensor, " s"]]:
        repeat = torch.arange(n_repeats, device=self.which.device)
        if self.layout == "tiled":
            repeat = repeat[:, None]
            return (repeat * len(self.which) + self.first).flatten(), (repeat * len(self.first) + self.which).flatten()
        return (self.first[:, None] * n_repeats + repeat).flatten(), (self.which[:, None] * n_repeats + repeat).flatten()


class _CopiedOutput(torch.autograd.Function):
    """Copies of a layer's outputs, with the gradient of the layer."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Float[Tensor, "S *_"], outputs: Float[Tensor, "r *_"], which: Int64[Tensor, " S"], module: nn.Module
    ) -> Float[Tensor, "S *_"]:
        ctx.module = module
        if not isinstance(module, nn.Linear):
            ctx.save_for_backward(inputs)
        return copies(outputs, which)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        if isinstance(ctx.module, nn.Linear):
            return gradient @ ctx.module.weight, None, None, None
        (inputs,) = ctx.saved_tensors
        return input_gradient(ctx.module, inputs, gradient), None, None, None


def _is_plain(layer: nn.Module) -> bool:
    kind = next((kind for kind in _LAYERS if isinstance(layer, kind)), None)
    if kind is None or type(layer).forward is not kind.forward:
        return False
    return isinstance(layer, nn.Linear) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))
