"""Predict and explain: a model and the user's explanation method as functions of tensors on the model's device."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from quantus.helpers.utils import infer_attribution_axes
from torch import Tensor, nn

from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.similarity import Originals
from quantus_senc.model.arrays import as_tensor, copied, model_device, model_precision, takes_arrays
from quantus_senc.model.outputs import check_outputs
from quantus_senc.model.pass_size import BatchLimit, PassLoad
from quantus_senc.model.state import preserved, switch_to_evaluation

Outputs = tuple[Float[Tensor, " p"], Float[Tensor, "p *_"]]  # predictions for the explained classes, and maps


@dataclass(frozen=True, eq=False)
class ExplainedModel:
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
    """

    model: nn.Module
    model_kwargs: dict[str, Any]
    softmax: bool
    explain_func: Callable[..., Any]
    explain_func_kwargs: dict[str, Any]
    normalise_func: Callable[[np.ndarray], np.ndarray] | None
    absolute: bool

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return model_device(self.model)

    @property
    def rounding(self) -> float:
        """How far a prediction may be wrong, relative to itself: four units in the last place, in the model's precision."""
        return 4 * torch.finfo(model_precision(self.model)).eps

    @property
    def rounds_coarsely(self) -> bool:
        """Whether products may be rounded to less than single precision: in half precision, and in TF32.

        Of devices other than a CPU and CUDA it is not known.
        """
        if model_precision(self.model).itemsize < 4 or self.device.type not in ("cpu", "cuda"):
            return True
        return self.device.type == "cuda" and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)

    def inputs(self, x_batch: np.ndarray) -> Float[Tensor, "B *shape"]:
        """A copy of the inputs in the model's precision."""
        return torch.tensor(x_batch, dtype=model_precision(self.model), device=self.device)

    def targets(self, y_batch: np.ndarray) -> Int64[Tensor, " B"]:
        """A copy of the labels on the model's device."""
        return torch.tensor(y_batch, dtype=torch.int64, device=self.device)

    def predict(self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"]) -> Float[Tensor, " p"]:
        """Prediction for the explained class, P."""
        return self.predict_classes(inputs).gather(1, targets[:, None])[:, 0]

    @stage("predict")
    @torch.no_grad()
    def predict_classes(self, inputs: Float[Tensor, "p *shape"]) -> Float[Tensor, "p classes"]:
        """Predictions for all classes.

        Raises
        ------
        ValueError
            If the model does not return (p, classes).
        """
        switch_to_evaluation(self.model)  # an explanation method may have left it in training mode
        with _inputs_of(self.last_softmax) as logits:
            outputs = self.model(inputs.clone(), **self.model_kwargs)  # a model may normalise its input in place
        return self.predictions(outputs, len(inputs), logits[-1] if logits else None)

    def predictions(self, outputs: Any, n: int, logits: Tensor | None = None) -> Float[Tensor, "p classes"]:
        """Predictions from what the model returned for n inputs, and from what its last softmax was given."""
        # Softmax in half precision would round the confidence changes away.
        outputs = _at_least_single(check_outputs(outputs if logits is None or self.softmax else logits, n))
        return outputs.softmax(-1) if self.softmax and logits is None else outputs

    @property
    def last_softmax(self) -> nn.Softmax | None:
        """The model's softmax, if it is the last of its modules (Quantus's rule)."""
        last = list(self.model.modules())[-1]
        return last if isinstance(last, nn.Softmax) else None

    @stage("explain")
    def explain(self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"]) -> Float[Tensor, "p *_"]:
        """What the explanation method returns, on the device of the inputs. The method may alter the inputs.

        Raises
        ------
        ValueError
            If it does not fit the inputs as Quantus demands.
        """
        shape = inputs.shape
        switch_to_evaluation(self.model)  # the method may have left it in training mode
        returned = self.explain_func(model=self.model, inputs=inputs, targets=targets, **copied(self.explain_func_kwargs))
        given = type(returned).__name__
        try:
            maps = as_tensor(returned)
            given = f"attributions of shape {tuple(maps.shape)}"
            if maps.shape != shape:
                infer_attribution_axes(maps, torch.empty(shape, device="meta"))
        except (ValueError, IndexError, TypeError, RuntimeError) as error:
            raise ValueError(
                f"explain_func returned {given} for inputs of shape {tuple(shape)}; return one attribution an input, "
                "of the input's shape or without some of its outer axes (Grad-CAM must be interpolated to the input's size)"
            ) from error
        return _at_least_single(maps.to(inputs.device))

    def attributions(self, maps: Float[Tensor, "p *_"]) -> Float[Tensor, "p v"]:
        """Maps that are normalised and made absolute, where users ask for that, and flattened."""
        if self.normalise_func is not None:
            maps = _at_least_single(as_tensor(self.normalise_func(maps.cpu().numpy().copy())).to(maps.device))
        maps = maps.reshape(len(maps), -1)
        return maps.abs() if self.absolute else maps

    def run(self, x_batch: np.ndarray, y_batch: np.ndarray, limit: BatchLimit) -> Outputs:
        """Predictions and maps of inputs as they are, by a pass for each."""

        def step(images: slice) -> Outputs:
            inputs, targets = self.inputs(x_batch[images]), self.targets(y_batch[images])
            return self.predict(inputs, targets), self.explain(inputs, targets)

        predictions, maps = zip(*limit.run(step, len(x_batch)), strict=True)
        return torch.cat(predictions), torch.cat(maps)

    def originals(self, predictions: Float[Tensor, " B"], maps: Float[Tensor, "B *_"]) -> Originals:
        """What perturbed samples are compared with."""
        return Originals.from_maps(predictions, self.attributions(maps))

    def check_targets(self, x_batch: np.ndarray, y_batch: np.ndarray) -> int:
        """Return the number of classes.

        Raises
        ------
        ValueError
            If the model does not return (p, classes), or a target is not one of its classes.
        """
        n_classes = self.predict_classes(self.inputs(x_batch[:1])).shape[1]
        if y_batch.min() < 0 or y_batch.max() >= n_classes:
            raise ValueError(
                f"y_batch holds classes from {y_batch.min()} to {y_batch.max()}, but the model has classes 0 … "
                f"{n_classes - 1}; pass the index of the class to explain"
            )
        return n_classes

    def prepared(self, x_batch: np.ndarray) -> "ExplainedModel":
        """The same for many passes of the model as it is now.

        An explanation method that offers `prepare(model=, inputs=, **kwargs)` is asked for a method that does once what all
        passes need, such as tracing the model.
        """
        method: Any = self.explain_func
        kwargs = self.explain_func_kwargs
        while isinstance(method, partial) and not method.args:
            method, kwargs = method.func, {**method.keywords, **kwargs}
        prepare = getattr(method, "prepare", None)
        if prepare is None:
            return self
        explain_func = prepare(model=self.model, inputs=self.inputs(x_batch[:2]), **copied(kwargs))
        return replace(self, explain_func=explain_func, explain_func_kwargs=kwargs)

    def tried(self, x_batch: np.ndarray, y_batch: np.ndarray) -> "tuple[ExplainedModel, PassLoad]":
        """Explain the first input; return the same with a method that takes tensors, and what one input brings into a pass.

        A method that takes no tensors is given arrays from here on.

        Raises
        ------
        ValueError
            If the attribution does not fit the input.
        """
        try:
            return self, self._load(x_batch[:1], y_batch[:1])
        except (TypeError, AttributeError) as error:
            with_arrays = replace(self, explain_func=takes_arrays(self.explain_func))
            try:
                return with_arrays, with_arrays._load(x_batch[:1], y_batch[:1])
            except Exception:
                raise error from None

    def _load(self, x_batch: np.ndarray, y_batch: np.ndarray) -> PassLoad:
        inputs, targets = self.inputs(x_batch), self.targets(y_batch)
        return PassLoad.measure(self.model, inputs, lambda: self.explain(inputs.clone(), targets))


def n_classes(model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray) -> int:
    """Return how many classes a model has.

    Raises
    ------
    ValueError
        If the model fails on the first input, does not return (B, classes), or a target is not one of its classes.
    """
    explained = ExplainedModel(model, {}, True, lambda **kwargs: None, {}, None, False)
    with preserved(model):
        try:
            return explained.check_targets(x_batch, y_batch)
        except ValueError:
            raise
        except Exception as error:  # a model may raise anything for inputs that do not fit it
            raise ValueError(f"the model fails on x_batch of shape {x_batch.shape}: {error}") from error


def _at_least_single(values: Shaped[Tensor, "*_"]) -> Float[Tensor, "*_"]:
    """In single precision at least: NumPy has no bfloat16, and integers no NaN."""
    return values.float() if values.dtype.itemsize < 4 or not values.is_floating_point() else values


@contextmanager
def _inputs_of(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """A list to which a module's inputs are added as it is called."""
    seen: list[Tensor] = []
    with module.register_forward_pre_hook(lambda module, args: seen.append(args[0])) if module else nullcontext():
        yield seen
