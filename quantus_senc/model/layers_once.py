"""Layers before the masked layer, run once for an image and not once for a mask.

Many masked models are run in one pass, on copies of a few inputs. A convolution or fully connected layer that comes before
the masked layer is given each input once, and its output is copied. Gradients differ from mask to mask, so they pass back
through every copy.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
import torch.nn.grad
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from quantus_senc.core.ranks import select_rows
from quantus_senc.model.module_order import order_of_use

_INPUT_GRADIENTS: dict[Any, Callable[..., Tensor]] = {
    nn.Conv1d: torch.nn.grad.conv1d_input,
    nn.Conv2d: torch.nn.grad.conv2d_input,
    nn.Conv3d: torch.nn.grad.conv3d_input,
}
_LAYERS = (*_INPUT_GRADIENTS, nn.Linear)


class LayersOnce:
    """Which layers before the masked layer are run once for an image.

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
        """Whether there is such a layer."""
        return bool(self.layers)

    def stop(self) -> None:
        """Run all layers for every sample from now on."""
        self.layers, self.differed = [], []

    def failed(self) -> bool:
        """Whether the model was given samples that are no copies since the last call of this method; then stop."""
        failed = bool(self.differed) and bool(torch.stack(self.differed).any())
        self.differed = []
        if failed:
            self.stop()
        return failed

    @contextmanager
    def for_copies(self, source: Int64[Tensor, " p"], first: Int64[Tensor, " u"], layout: str) -> Iterator[None]:
        """Run the layers once for each input in passes of copies.

        Parameters
        ----------
        source
            The input that each sample is a copy of.
        first
            The position of each input's first copy.
        layout
            See `masked_units`.
        """
        copies = _CopiesPass(source, first, layout, self.differed)
        with ExitStack() as handles:
            handles.enter_context(self.model.register_forward_pre_hook(copies.begin))
            handles.enter_context(self.module.register_forward_pre_hook(copies.end, prepend=True))
            for layer in self.layers:
                handles.enter_context(layer.register_forward_pre_hook(copies.give_each_once))
                handles.enter_context(layer.register_forward_hook(copies.copy))
            yield


class _CopiesPass:
    """A pass through a model, up to the masked layer."""

    def __init__(self, source: Int64[Tensor, " p"], first: Int64[Tensor, " u"], layout: str, differed: list[Tensor]) -> None:
        self.source, self.first, self.layout, self.differed = source, first, layout, differed
        self.before = False
        self.places: tuple[Tensor, Tensor] | None = None  # of the first copies among the samples; and the source of each sample
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
        if self.places is None and len(samples) and len(samples) % len(self.source) == 0:  # the first of these layers
            self.places = first, source = self._places(len(samples) // len(self.source))
            given = select_rows(samples, first)
            self.differed.append((select_rows(given, source) != samples).any())
        elif self.places is None or len(samples) != len(self.places[1]):
            return None
        else:
            given = select_rows(samples, self.places[0])
        self.given.append(args[0])
        return given

    def copy(self, module: nn.Module, args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        """After it: copies of what it returned."""
        if not self.given or self.places is None:
            return None
        copied: Tensor = _CopiedOutput.apply(self.given.pop(), output.detach(), self.places[1], module)
        return copied

    def _places(self, n_repeats: int) -> tuple[Int64[Tensor, " r"], Int64[Tensor, " s"]]:
        if n_repeats == 1:
            return self.first, self.source
        repeat = torch.arange(n_repeats, device=self.source.device)
        if self.layout == "tiled":
            repeat = repeat[:, None]
            return (repeat * len(self.source) + self.first).flatten(), (repeat * len(self.first) + self.source).flatten()
        return (self.first[:, None] * n_repeats + repeat).flatten(), (self.source[:, None] * n_repeats + repeat).flatten()


class _CopiedOutput(torch.autograd.Function):
    """Copies of a layer's outputs, with the gradient of the layer."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Float[Tensor, "S *_"], outputs: Float[Tensor, "r *_"], source: Int64[Tensor, " S"], module: nn.Module
    ) -> Float[Tensor, "S *_"]:
        ctx.module, ctx.shape = module, inputs.shape
        return select_rows(outputs, source)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        layer = ctx.module
        if isinstance(layer, nn.Linear):
            return gradient @ layer.weight, None, None, None
        of_inputs = next(function for kind, function in _INPUT_GRADIENTS.items() if isinstance(layer, kind))
        geometry = layer.stride, layer.padding, layer.dilation, layer.groups
        return of_inputs(ctx.shape, layer.weight, gradient, *geometry), None, None, None


def _is_plain(layer: nn.Module) -> bool:
    kind = next((kind for kind in _LAYERS if isinstance(layer, kind)), None)
    if kind is None or type(layer).forward is not kind.forward:
        return False
    return isinstance(layer, nn.Linear) or (layer.padding_mode == "zeros" and not isinstance(layer.padding, str))
