"""Predict and explain: where tensors meet Quantus, NumPy and the user's explanation method."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from numpy.typing import ArrayLike
from quantus.helpers.model.model_interface import ModelInterface
from quantus.helpers.utils import infer_attribution_axes
from torch import Tensor, nn

from quantus_senc._chunks import BatchLimit, Chunk


@dataclass(frozen=True)
class Subject:
    """A model and an explanation method as functions of tensors on the model's device.

    Attributes
    ----------
    wrapper
        Quantus's interface to the model; it knows about softmax and the model's own keywords.
    explain_func, explain_func_kwargs
        Called as explain_func(model=, inputs=, targets=, \\*\\*explain_func_kwargs), with tensors.
    normalise_func
        What attributions go through first, as NumPy arrays; None for nothing.
    absolute
        Whether the attributions' absolute values count.
    """

    wrapper: ModelInterface[nn.Module]
    explain_func: Callable[..., Any]
    explain_func_kwargs: dict[str, Any]
    normalise_func: Callable[[np.ndarray], np.ndarray] | None
    absolute: bool

    @property
    def model(self) -> nn.Module:
        """The model itself."""
        return self.wrapper.get_model()

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return model_device(self.model)

    def inputs(self, x_batch: np.ndarray) -> Float[Tensor, "B *shape"]:
        """A copy of the inputs as the model takes them."""
        tensors = (*self.model.parameters(), *self.model.buffers())
        floating = next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)
        return torch.tensor(x_batch, dtype=floating, device=self.device)

    def targets(self, y_batch: np.ndarray) -> Int64[Tensor, " B"]:
        """A copy of the labels on the model's device."""
        return torch.tensor(y_batch, dtype=torch.int64, device=self.device)

    def confidence(self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"]) -> Float[Tensor, " N"]:
        """Probability of the explained class, P; the model's own output where `softmax=False` was asked for."""
        return self.outputs(inputs).gather(1, targets[:, None])[:, 0]

    @torch.no_grad()
    def outputs(self, inputs: Float[Tensor, "N *shape"]) -> Float[Tensor, "N classes"]:
        """Probabilities of all classes, or the model's own outputs.

        Raises
        ------
        ValueError
            If the model does not return (N, classes).
        """
        ready = self.wrapper.get_softmax_arg_model()
        adds_softmax = self.wrapper.softmax and ready is not self.model
        outputs = (self.model if adds_softmax else ready)(inputs, **self.wrapper.model_predict_kwargs)
        if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != len(inputs):
            found = f"shape {tuple(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
            raise ValueError(
                f"the model returned {found} for {len(inputs)} inputs, but must return ({len(inputs)}, classes); wrap it "
                "in a module that does"
            )
        # Softmax in half precision would round the confidence changes away.
        outputs = outputs.float() if outputs.dtype.itemsize < 4 else outputs
        return outputs.softmax(-1) if adds_softmax else outputs

    def check_targets(self, x_batch: np.ndarray, y_batch: np.ndarray) -> None:
        """Raise ValueError if the model does not return (B, classes), or a target is not one of its classes."""
        n_classes = self.outputs(self.inputs(x_batch[:1])).shape[1]
        if y_batch.min() < 0 or y_batch.max() >= n_classes:
            raise ValueError(
                f"y_batch holds classes from {y_batch.min()} to {y_batch.max()}, but the model has classes 0 … "
                f"{n_classes - 1}; pass the index of the class to explain"
            )

    def samples_a_pass(self, x_batch: np.ndarray, y_batch: np.ndarray) -> int:
        """How many samples the model sees at once when one input is explained: Integrated Gradients has many steps."""
        seen = [1]

        def count(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen.extend(len(value) for value in (*args, *kwargs.values()) if isinstance(value, Tensor) and value.ndim)

        with self.model.register_forward_pre_hook(count, with_kwargs=True):
            self.attribution(self.inputs(x_batch[:1]), self.targets(y_batch[:1]))
        return max(seen)

    def original(self, x_batch: np.ndarray, y_batch: np.ndarray, limit: BatchLimit) -> tuple[np.ndarray, np.ndarray]:
        """Unperturbed confidence P° (B,) and explanation e° (B, \\*shape) of all images."""
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}

        def step(chunk: Chunk) -> None:
            inputs, targets = self.inputs(x_batch[slice(*chunk.images)]), self.targets(y_batch[slice(*chunk.images)])
            confidence = self.confidence(inputs, targets)
            found[chunk.images[0]] = host_array(confidence), host_array(self.attribution(inputs, targets))

        limit.run(step, Chunk((0, len(x_batch)), (0, 1)))
        confidences, attributions = zip(*found.values(), strict=True)
        return np.concatenate(confidences), np.concatenate(attributions)

    def attribution(self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"]) -> Float[Tensor, "N *_"]:
        """Attributions, normalised and absolute where that was asked for, on the device of the inputs.

        The inputs are the method's to alter.

        Raises
        ------
        ValueError
            If what `explain_func` returns does not fit the inputs as Quantus demands.
        """
        # Quantus evaluates layer names into nested dicts of its keywords, so every call gets its own.
        kwargs = _copied(self.explain_func_kwargs)
        returned = self.explain_func(model=self.model, inputs=inputs, targets=targets, **kwargs)
        attributions = _fitting(returned, inputs)
        if attributions.dtype.itemsize < 4 or not attributions.is_floating_point():
            attributions = attributions.float()  # NumPy has no bfloat16, and integers have no NaN
        if self.normalise_func is not None:
            attributions = torch.as_tensor(self.normalise_func(attributions.cpu().numpy()))
        attributions = attributions.to(inputs.device)
        return attributions.abs() if self.absolute else attributions


def _fitting(returned: Any, inputs: Tensor) -> Tensor:
    """What an `explain_func` returned, as a tensor of a shape that Quantus accepts for these inputs."""
    found = type(returned).__name__
    try:
        attributions = torch.as_tensor(returned).detach()
        found = f"attributions of shape {tuple(attributions.shape)}"
        if attributions.shape != inputs.shape:
            infer_attribution_axes(attributions, inputs)
    except (ValueError, IndexError, TypeError, RuntimeError) as error:
        raise ValueError(
            f"explain_func returned {found} for inputs of shape {tuple(inputs.shape)}; return one attribution an input, "
            "of the input's shape or without some of its outer axes (Grad-CAM must be interpolated to the input's size)"
        ) from error
    return attributions


def model_device(model: nn.Module) -> torch.device:
    """The device of a model's first tensor; the CPU for a model that has none."""
    return next((tensor.device for tensor in (*model.parameters(), *model.buffers())), torch.device("cpu"))


def call_device(device: object, model: nn.Module) -> str | None:
    """The device of a call in torch's words: "gpu", as Quantus calls it, is "cuda"; None is the model's own.

    Raises
    ------
    ValueError
        If torch knows no such device, or the model is elsewhere.
    """
    if device is None:
        return None
    own = model_device(model)
    try:
        asked = torch.device("cuda" if device == "gpu" else device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is none; pass None for the model's own, 'cpu' or 'gpu'") from error
    if asked.type != own.type or asked.index not in (None, own.index):
        raise ValueError(
            f"device={device!r}, but the model is on {own}; pass device=None, or move it with model.to({str(asked)!r})"
        )
    return str(asked)


def host_array(values: ArrayLike | Tensor) -> np.ndarray:
    """An array of what Quantus takes as arrays and users also have as tensors."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def agrees(supplied: np.ndarray, computed: np.ndarray) -> bool:
    """Whether attributions are the same up to rounding, whatever axes of size 1 they have."""
    if supplied.size != computed.size:
        return False
    supplied = supplied.reshape(computed.shape)
    return bool(np.allclose(supplied, computed, rtol=1e-3, atol=1e-3 * np.abs(computed).max(initial=0), equal_nan=True))


def _copied(kwargs: Any) -> Any:
    """The same values in new dicts and lists."""
    if isinstance(kwargs, dict):
        return {key: _copied(value) for key, value in kwargs.items()}
    return [_copied(value) for value in kwargs] if type(kwargs) is list else kwargs
