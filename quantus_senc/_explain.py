"""Predict and explain: the model and the user's explanation method as functions of tensors."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from quantus.helpers.utils import infer_attribution_axes
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_hook

from quantus_senc._chunks import BatchLimit
from quantus_senc._host import as_tensor, copied, model_device, model_precision, takes_arrays
from quantus_senc._outputs import check_outputs


@dataclass(frozen=True)
class Subject:
    """A model and an explanation method as functions of tensors on the model's device.

    Attributes
    ----------
    model, model_kwargs
        Called as model(inputs, \\*\\*model_kwargs).
    softmax
        Whether the prediction is the softmax probability, or the model's output before any softmax at its end.
    explain_func, explain_func_kwargs
        Called as explain_func(model=, inputs=, targets=, \\*\\*explain_func_kwargs), with tensors.
    normalise_func
        What attributions go through first, as NumPy arrays; None for nothing.
    absolute
        Whether the attributions' absolute values count.
    channels_last
        Whether the channels of a pixel are neighbours in the memory of inputs, of which masked copies are laid out likewise.
    """

    model: nn.Module
    model_kwargs: dict[str, Any]
    softmax: bool
    explain_func: Callable[..., Any]
    explain_func_kwargs: dict[str, Any]
    normalise_func: Callable[[np.ndarray], np.ndarray] | None
    absolute: bool
    channels_last: bool = False

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return model_device(self.model)

    @property
    def precision(self) -> torch.dtype:
        """What most of the model's tensors have."""
        return model_precision(self.model)

    @property
    def rounding(self) -> float:
        """How wrong a prediction may be, relative to itself: four units in the last place, in the model's precision."""
        return 4 * torch.finfo(self.precision).eps

    def inputs(self, x_batch: np.ndarray) -> Float[Tensor, "B *shape"]:
        """A copy of the inputs in the model's own precision."""
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        return torch.tensor(x_batch, dtype=self.precision, device=self.device).contiguous(memory_format=layout)

    def targets(self, y_batch: np.ndarray) -> Int64[Tensor, " B"]:
        """A copy of the labels on the model's device."""
        return torch.tensor(y_batch, dtype=torch.int64, device=self.device)

    def confidence(self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Prediction for the explained class, P."""
        return self.outputs(inputs).gather(1, targets[:, None])[:, 0]

    @torch.no_grad()
    def outputs(self, inputs: Float[Tensor, "N *shape"]) -> Float[Tensor, "N classes"]:
        """Predictions for all classes.

        Raises
        ------
        ValueError
            If the model does not return (N, classes).
        """
        self.model.eval()  # an explanation method may have left it in training mode
        with _input_of(self.last_softmax) as logits:
            outputs = self.model(inputs.clone(), **self.model_kwargs)  # a model may normalise its input in place
        return self.predictions(outputs, len(inputs), logits[-1] if logits else None)

    def predictions(self, outputs: Any, n: int, logits: Tensor | None = None) -> Float[Tensor, "N classes"]:
        """Predictions from what the model returned for n inputs, and from what its own last softmax was given."""
        # Softmax in half precision would round the confidence changes away.
        outputs = _wide(check_outputs(outputs if logits is None or self.softmax else logits, n))
        return outputs.softmax(-1) if self.softmax and logits is None else outputs

    @property
    def last_softmax(self) -> nn.Softmax | None:
        """The model's own softmax, if it is the last of its modules (Quantus's rule)."""
        last = list(self.model.modules())[-1]
        return last if isinstance(last, nn.Softmax) else None

    def attribution(self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"]) -> Float[Tensor, "N n"]:
        """Attribution values of each input, ready to be ranked. The inputs are the method's to alter."""
        return self.ready(self.explain(inputs, targets))

    def explain(self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"]) -> Float[Tensor, "N *_"]:
        """What the explanation method returns, on the device of the inputs. They are the method's to alter.

        Raises
        ------
        ValueError
            If it does not fit the inputs as Quantus demands.
        """
        shape = inputs.shape
        self.model.eval()  # the method may have left it in training mode
        returned = self.explain_func(model=self.model, inputs=inputs, targets=targets, **copied(self.explain_func_kwargs))
        found = type(returned).__name__
        try:
            maps = as_tensor(returned)
            found = f"attributions of shape {tuple(maps.shape)}"
            if maps.shape != shape:
                infer_attribution_axes(maps, torch.empty(shape, device="meta"))
        except (ValueError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"explain_func returned {found} for inputs of shape {tuple(shape)}; return one attribution an input, "
                "of the input's shape or without some of its outer axes (Grad-CAM must be interpolated to the input's size)"
            ) from error
        return _wide(maps.to(inputs.device))

    def ready(self, maps: Float[Tensor, "N *_"]) -> Float[Tensor, "N n"]:
        """Attributions normalised and absolute, where that was asked for, and flattened."""
        if self.normalise_func is not None:
            maps = _wide(as_tensor(self.normalise_func(maps.cpu().numpy().copy())).to(maps.device))
        maps = maps.reshape(len(maps), -1)
        return maps.abs() if self.absolute else maps

    def originals(
        self, x_batch: np.ndarray, y_batch: np.ndarray, limit: BatchLimit
    ) -> tuple[Float[Tensor, " B"], Float[Tensor, "B *_"]]:
        """Unperturbed prediction P° and explanation e° of some images."""

        def step(images: slice) -> tuple[Tensor, Tensor]:
            inputs, targets = self.inputs(x_batch[images]), self.targets(y_batch[images])
            return self.confidence(inputs, targets), self.explain(inputs, targets)

        confidences, maps = zip(*limit.run(step, len(x_batch)), strict=True)
        return torch.cat(confidences), torch.cat(maps)

    def check_targets(self, x_batch: np.ndarray, y_batch: np.ndarray) -> None:
        """Raise ValueError if the model does not return (N, classes), or a target is not one of its classes."""
        n_classes = self.outputs(self.inputs(x_batch[:1])).shape[1]
        if y_batch.min() < 0 or y_batch.max() >= n_classes:
            raise ValueError(
                f"y_batch holds classes from {y_batch.min()} to {y_batch.max()}, but the model has classes 0 … "
                f"{n_classes - 1}; pass the index of the class to explain"
            )

    def tried(self, x_batch: np.ndarray, y_batch: np.ndarray) -> "tuple[Subject, int, int]":
        """The same after a first explanation, of one input, and what that brings into a pass.

        An explanation method that takes no tensors is given arrays from here on.

        Returns
        -------
        Subject
            The same.
        int
            How many samples the model saw at once.
        int
            Bytes of the largest tensor that a layer returned.

        Raises
        ------
        ValueError
            If the attribution does not fit the input.
        """
        try:
            return self, *self._load(x_batch[:1], y_batch[:1])
        except (TypeError, AttributeError) as error:
            with_arrays = replace(self, explain_func=takes_arrays(self.explain_func))
            try:
                return with_arrays, *with_arrays._load(x_batch[:1], y_batch[:1])
            except Exception:
                raise error from None

    def _load(self, x_batch: np.ndarray, y_batch: np.ndarray) -> tuple[int, int]:
        n_samples, largest = [1], [1]

        def look(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            if isinstance(output, Tensor):
                largest.append(output.numel() * output.element_size())  # which sparse tensors have, too

        def count(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> None:
            n_samples.extend(len(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim)

        scripted = isinstance(self.model, torch.jit.ScriptModule)  # takes no such hook
        # After the call, because hooks of the method may have added samples before it.
        counted = nullcontext() if scripted else self.model.register_forward_hook(count, with_kwargs=True)
        with counted, register_module_forward_hook(look):  # of any module: a method may run another than the model
            self.explain(self.inputs(x_batch), self.targets(y_batch))
        return max(n_samples), max(largest)


def _wide(values: Shaped[Tensor, "*_"]) -> Float[Tensor, "*_"]:
    """In single precision at least: NumPy has no bfloat16, and integers no NaN."""
    return values.float() if values.dtype.itemsize < 4 or not values.is_floating_point() else values


@contextmanager
def _input_of(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """A list to which a module's inputs are added as it is called."""
    seen: list[Tensor] = []
    with module.register_forward_pre_hook(lambda module, args: seen.append(args[0])) if module else nullcontext():
        yield seen
