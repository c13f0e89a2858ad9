"""`quantus_senc.explain`: explanations that stay on the model's device."""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantus_senc._arguments import check_known
from quantus_senc._host import as_tensor, host_array, model_device
from quantus_senc._methods import METHODS, method_named


def explain(
    model: nn.Module,
    inputs: np.ndarray | Tensor,
    targets: np.ndarray | Tensor,
    *,
    method: str = "Gradient",
    reduce_axes: tuple[int, ...] = (1,),
    keepdims: bool = True,
    device: object = None,
    **kwargs: Any,
) -> np.ndarray | Tensor:
    """Attribution maps by Captum, as an `explain_func`; in place of `quantus.explain`, for tensors that stay on their device.

    Where both know a method, both give the same values by default, but for Grad-CAM, which here has the input's size. The
    model is explained in evaluation mode, and is never altered. For Guided Backprop, DeepLift and LRP Captum demands that
    every nonlinearity is a module, used once and not in place; a twin of the model that is so is made once (with
    `torch.fx`), shares its weights and hooks, and is kept as long as the model lives unchanged.

    One call at a time for a model: threads must not share it.

    Parameters
    ----------
    model
        Returns (B, classes).
    inputs
        Images (B, C, H, W), series (B, C, T) or tables (B, F).
    targets
        The classes to explain, (B,).
    method
        "Saliency", "Gradient", "InputXGradient", "IntegratedGradients", "SmoothGrad", "GuidedBackprop", "DeepLift", "LRP" or
        "GradCAM" ("LayerGradCam").
    reduce_axes, keepdims
        Over which axes attributions are summed, () for none, and whether these stay; by default (B, 1, \\*spatial) is returned.
    device
        Not used: the model's own. Quantus passes it.
    kwargs
        What the method takes. IntegratedGradients: `baseline` (0), `n_steps` (10), `integration` ("riemann_trapezoid", or
        another of Captum's names), `internal_batch_size`. DeepLift: `baseline` (0). SmoothGrad: `n_samples` (16),
        `noise_level` (0.15 of the input's range), `seed`. GradCAM: `layer` (its name; by default the last convolution that
        is called), `relu_attributions`, `interpolate_mode`. LRP: `composite` (one of zennit's, or its name).

    Returns
    -------
    array or Tensor
        What the inputs are; a tensor is on the model's device.

    Raises
    ------
    ValueError
        If the method or a keyword is unknown, with the nearest that is known, or if the model is nothing for this method: the
        message names the module that is the matter.

    Examples
    --------
    >>> model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.rand(2, 4)
    >>> explain(model, inputs, torch.tensor([0, 2]), method="DeepLift").shape
    torch.Size([2, 4])
    """
    run = METHODS[method_named(method)]
    for name in kwargs:
        check_known(f"keyword of method={method!r}", name, list(inspect.signature(run).parameters)[3:])
    given = inputs
    if not isinstance(inputs, Tensor):
        inputs, targets = as_tensor(np.asarray(inputs)), as_tensor(np.asarray(targets))
    targets = torch.as_tensor(targets)
    _check_batch(inputs, targets, reduce_axes)
    with torch.inference_mode(False), torch.enable_grad(), _in_evaluation(model), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Setting (forward, )?backward hooks")  # by Captum, at each call
        own = inputs.clone() if inputs.is_inference() else inputs.detach()
        own = own.to(model_device(model), _precision(model, inputs)).requires_grad_()
        maps = run(model, own, targets.to(own.device, torch.int64, copy=True), **kwargs).detach()
    if reduce_axes and inputs.ndim > 2:
        maps = maps.sum(tuple(reduce_axes), keepdim=keepdims)
    return maps if isinstance(given, Tensor) else host_array(maps)


def _precision(model: nn.Module, inputs: Tensor) -> torch.dtype:
    """The model's, of what it has first; the inputs' own for a model that has none."""
    tensors = (one.dtype for one in (*model.parameters(), *model.buffers()) if one.is_floating_point())
    return next(tensors, inputs.dtype if inputs.is_floating_point() else torch.float32)


def _check_batch(inputs: Tensor, targets: Tensor, reduce_axes: Any) -> None:
    if inputs.ndim < 2 or not len(inputs):
        raise ValueError(f"inputs of shape {tuple(inputs.shape)} must be (B, C, *spatial) or (B, F), of at least one sample")
    if targets.shape != inputs.shape[:1] or targets.is_floating_point() or targets.dtype is torch.bool:
        raise ValueError(
            f"targets of shape {tuple(targets.shape)} and type {targets.dtype} must be one class index an input, "
            f"({len(inputs)},)"
        )
    if not isinstance(reduce_axes, tuple | list) or any(axis not in range(1, inputs.ndim) for axis in reduce_axes):
        raise ValueError(f"reduce_axes={reduce_axes!r} must be a tuple of axes from 1 to {inputs.ndim - 1}, or ()")


@contextmanager
def _in_evaluation(model: nn.Module) -> Iterator[None]:
    """The model in evaluation mode, without calling what it may do on `eval`."""
    training = [module for module in model.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True
