"""The arguments of `quantus_senc.explain`: checked, and as tensors of the model's device and precision."""

from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantus_senc.model import arrays
from quantus_senc.model.arrays import model_device, model_precision


def as_tensor(values: np.ndarray | Tensor) -> Tensor:
    """A tensor as it is, or an array, or a frame or a series of pandas, as a tensor."""
    return values if isinstance(values, Tensor) else arrays.as_tensor(arrays.host_array(values, "inputs"))


def as_samples(model: nn.Module, inputs: Tensor) -> Tensor:
    """The inputs on the device and in the precision of the model, as a leaf of a graph of gradients."""
    samples = inputs.clone() if inputs.is_inference() else inputs.detach()
    has_precision = any(tensor.is_floating_point() for tensor in chain(model.parameters(), model.buffers()))
    precision = samples.dtype if samples.is_floating_point() and not has_precision else model_precision(model)
    return samples.to(model_device(model), precision).requires_grad_()


def check_model(model: nn.Module) -> None:
    """Raise ValueError if a model has parameters or buffers that were made in inference mode."""
    for name, tensor in chain(model.named_parameters(), model.named_buffers()):
        if tensor.is_inference():
            raise ValueError(
                f"{name!r} of the model was made in torch.inference_mode(), so that torch computes no gradients with it; make "
                "the model outside of it"
            )


def check_inputs(inputs: Tensor) -> None:
    """Raise ValueError unless inputs have a batch axis of at least one sample, and another axis."""
    if inputs.ndim < 2 or not len(inputs):
        raise ValueError(f"inputs of shape {tuple(inputs.shape)} must be (B, C, *spatial) or (B, F), of at least one sample")


def check_targets(targets: Tensor, n: int) -> None:
    """Raise ValueError unless targets are integers, one for each of n inputs."""
    if targets.shape != (n,) or targets.is_floating_point() or targets.dtype is torch.bool:
        raise ValueError(
            f"targets of shape {tuple(targets.shape)} and type {targets.dtype} must be one class index an input, ({n},)"
        )


def check_axes(reduce_axes: Any, n_axes: int) -> None:
    """Raise ValueError unless axes are those of inputs with `n_axes` axes, without the batch axis."""
    if not isinstance(reduce_axes, tuple | list) or any(axis not in range(1, n_axes) for axis in reduce_axes):
        raise ValueError(f"reduce_axes={reduce_axes!r} must be a tuple of axes from 1 to {n_axes - 1}, or ()")
