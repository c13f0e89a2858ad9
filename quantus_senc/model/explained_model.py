"""Predict and explain: a model and the user's explanation method as functions of tensors on the model's device."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor, nn

from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.similarity import Originals
from quantus_senc.model.adapted import adapter_of
from quantus_senc.model.arrays import as_tensor, copied, host_array, model_device, model_precision, takes_arrays
from quantus_senc.model.outputs import check_maps
from quantus_senc.model.pass_size import BatchLimit, PassLoad
from quantus_senc.model.returned import check_outputs
from quantus_senc.model.state import hooks_removed_after, switch_to_evaluation

SoftmaxCalls = list[tuple[Tensor, Tensor]]  # what softmax modules were given, and what they returned
Outputs = tuple[Float[Tensor, " p"], Float[Tensor, "p *_"]]  # predictions for the explained classes, and maps


@dataclass(frozen=True, eq=False)
class ExplainedModel:
    """A model and an explanation method as functions of tensors on the model's device.

    Attributes
    ----------
    model, model_kwargs
        Called as model(inputs, \\*\\*model_kwargs).
    softmax
        Whether the prediction is the softmax probability (or what a model is adapted to), or the model's output before any
        softmax at its end.
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
    def rounding(self) -> Float64[Tensor, " 2"]:
        """How far rounding moves the two weights of a mask: the first relative to the prediction, the second as it is.

        They are 16 and 160 units in the last place of the model's precision. In passes of other sizes, predictions of a
        MobileNet moved by up to 8 units, and similarities of Grad-CAM's maps by 160 (of Saliency's more, but seldom: where a
        ReLU is at its kink). With more than 4e-3, as half precision would have, nearly all features would be tied.
        """
        units = torch.tensor([16.0, 160.0], dtype=torch.float64)
        return (units * torch.finfo(model_precision(self.model)).eps).clamp(max=4e-3)

    @property
    def rounds_coarsely(self) -> bool:
        """Whether products may be rounded to less than single precision: in half precision, and in TF32.

        Of devices other than a CPU and CUDA it is not known.
        """
        if model_precision(self.model).itemsize < 4 or self.device.type not in ("cpu", "cuda"):
            return True
        return self.device.type == "cuda" and (torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32)

    def inputs(self, x_batch: np.ndarray) -> Float[Tensor, "B *shape"]:
        """A copy of the inputs in the model's precision, that lies in memory in the order of its axes."""
        return torch.tensor(host_array(x_batch), dtype=model_precision(self.model), device=self.device)

    def batch(self, x_batch: np.ndarray, y_batch: np.ndarray) -> tuple[Float[Tensor, "B *shape"], Int64[Tensor, " B"]]:
        """Copies of inputs and of the classes to explain."""
        return self.inputs(x_batch), torch.tensor(y_batch, dtype=torch.int64, device=self.device)

    def predict(self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"]) -> Float[Tensor, " p"]:
        """Prediction for the explained class, P."""
        return self.predict_classes(inputs).gather(1, targets[:, None])[:, 0]

    def predict_classes(self, inputs: Float[Tensor, "p *shape"]) -> Float[Tensor, "p classes"]:
        """Predictions for all classes.

        Raises
        ------
        UnfitOutputs
            If the model does not return (p, classes).
        """
        outputs, calls = self.outputs(inputs)
        return self.predictions(outputs, len(inputs), calls)

    @stage("predict")
    @torch.no_grad()
    def outputs(self, inputs: Float[Tensor, "p *shape"]) -> tuple[Any, SoftmaxCalls]:
        """What the model returns, and the calls of its softmax modules."""
        switch_to_evaluation(self.model)  # an explanation method may have left it in training mode
        with self.softmax_calls() as calls:
            return self.model(inputs.clone(), **self.model_kwargs), calls  # a model may normalise its input in place

    def predictions(self, outputs: Any, n: int, calls: SoftmaxCalls) -> Float[Tensor, "n classes"]:
        """Predictions from what the model returned for n inputs, and from the calls of its softmax modules.

        A softmax whose result the model has returned is the last step of the model: it is not applied again, and where users
        want the model's own output, its input is taken.
        """
        check_outputs(outputs, n)
        logits = next((given for given, returned in calls if returned is outputs), None)
        if not self.softmax:
            return _at_least_single(outputs if logits is None else logits)
        # In half precision the confidence changes would be rounded away.
        outputs, adapter = _at_least_single(outputs), adapter_of(self.model)
        return outputs if logits is not None and adapter.activation == "softmax" else adapter.activated(outputs)

    @contextmanager
    def softmax_calls(self) -> Iterator[SoftmaxCalls]:
        """A list of the calls, during a block, of the model's softmax modules that return what a model may return."""
        calls: SoftmaxCalls = []

        def note(module: nn.Module, args: tuple[Any, ...], returned: Any) -> None:
            if args and isinstance(args[0], Tensor) and isinstance(returned, Tensor) and returned.ndim == 2:
                calls.append((args[0], returned))

        with ExitStack() as handles:
            for module in self.model.modules():
                if isinstance(module, nn.Softmax):
                    handles.enter_context(module.register_forward_hook(note))
            yield calls

    @stage("explain")
    def explain(
        self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"], *, hooks_stay: bool = False
    ) -> Float[Tensor, "p *_"]:
        """What the explanation method returns, on the device of the inputs. The method may alter the inputs.

        Parameters
        ----------
        hooks_stay
            Whether hooks that the method adds to the model are left there, as those that it needs later may be.

        Raises
        ------
        ValueError
            If it does not fit the inputs as Quantus demands.
        """
        shape = inputs.shape
        switch_to_evaluation(self.model)  # the method may have left it in training mode
        kwargs = copied(self.explain_func_kwargs)
        with torch.enable_grad(), nullcontext() if hooks_stay else hooks_removed_after(self.model):
            returned = self.explain_func(model=self.model, inputs=inputs, targets=targets.clone(), **kwargs)
        maps = check_maps(returned, shape)
        # A copy, because the method may fill the same memory again at its next call.
        return maps.to(inputs.device, at_least_single(maps.dtype), copy=True, memory_format=torch.contiguous_format)

    def attributions(self, maps: Float[Tensor, "p *_"]) -> Float[Tensor, "p v"]:
        """Maps that are normalised, each by itself, and made absolute, where users ask for that, and flattened."""
        if self.normalise_func is not None:
            # One by one, because Quantus's functions divide by the largest value of all that they are given.
            with np.errstate(all="ignore"):  # what is not finite shows in the score
                each = [as_tensor(self.normalise_func(one[None])) for one in maps.cpu().numpy().copy()]
            maps = _at_least_single(torch.cat(each).to(maps.device))
        maps = maps.reshape(len(maps), -1)
        return maps.abs() if self.absolute else maps

    def run(self, inputs: Float[Tensor, "n *shape"], targets: Int64[Tensor, " n"], limit: BatchLimit) -> Outputs:
        """Predictions and maps of inputs as they are, by a pass for each."""

        def step(samples: slice) -> Outputs:
            return self.predict(inputs[samples], targets[samples]), self.explain(inputs[samples].clone(), targets[samples])

        predictions, maps = zip(*limit.run(step, len(inputs)), strict=True)
        return torch.cat(predictions), torch.cat(maps)

    def originals(self, predictions: Float[Tensor, " B"], maps: Float[Tensor, "B *_"]) -> Originals:
        """What perturbed samples are compared with."""
        return Originals.from_maps(predictions, self.attributions(maps))

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
        inputs, targets = self.batch(x_batch, y_batch)
        return PassLoad.measure(self.model, inputs, lambda: self.explain(inputs.clone(), targets, hooks_stay=True))


def at_least_single(dtype: torch.dtype) -> torch.dtype:
    """The type itself, or single precision for smaller floats and for integers: NumPy has no bfloat16, integers no NaN."""
    return torch.float32 if dtype.itemsize < 4 or not dtype.is_floating_point else dtype


def _at_least_single(values: Tensor) -> Tensor:
    return values.to(at_least_single(values.dtype))
