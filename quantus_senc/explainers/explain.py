"""`quantus_senc.explain`: attribution maps that stay on the model's device."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from quantus_senc.explainers.arguments import as_samples, as_tensor, check_axes, check_inputs, check_model, check_targets
from quantus_senc.explainers.methods import METHODS, Method, method_named
from quantus_senc.model.adapted import recognised
from quantus_senc.model.arrays import host_array
from quantus_senc.model.returned import UnfitOutputs
from quantus_senc.model.state import in_evaluation_mode
from quantus_senc.model.warn import warn_once

T = TypeVar("T")


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
    """Attribution maps, most of them by Captum, as an `explain_func` of Quantus.

    It replaces `quantus.explain` where tensors shall stay on their device. Methods that both know return the same values by
    default, with two exceptions. Maps of Grad-CAM have the size of the inputs here. DeepLift is Captum's where that is right;
    softmax, max pooling and nonlinearities that follow each other at once are mended (see `deep_lift`). The model is
    explained in evaluation mode and is not altered, except by what its forward pass does.

    GuidedBackprop, DeepLift and LRP need a model in which every nonlinearity is a module that is called once and does not
    work in place. They explain a copy of the model that `torch.fx` makes in this form and that shares the model's weights
    and hooks. Each call makes a new copy. `explain.prepare` makes one copy for many calls. The copy takes the path that the
    model's next forward pass would take, and has to predict the same as the model for the first two inputs, without hooks.

    Threads may explain and run different models at the same time, but not the same model or models that share modules. If
    another thread calls `torch.fx`, or compiles a model, this thread may fail: torch changes the class `nn.Module` then.

    Parameters
    ----------
    model
        A model that returns (B, classes), or something of which `adapt` makes that.
    inputs
        Images (B, C, H, W), series (B, C, T) or tables (B, F).
    targets
        The classes to explain, (B,).
    method
        "Saliency", "Gradient", "InputXGradient", "IntegratedGradients", "SmoothGrad", "GuidedBackprop", "DeepLift", "LRP" or
        "GradCAM" ("LayerGradCam"). Or one that takes hundreds of passes: "Occlusion", "FeatureAblation", "RISE", "KernelShap"
        or "Lime". The last two take one image at a time, and 0.4 to 2 seconds for it besides.
    reduce_axes, keepdims
        The axes over which attributions are summed, () for none, and whether they remain with length 1. The default returns
        (B, 1, \\*spatial). Tables are not summed.
    device
        Ignored. The model's device is used. Quantus passes this argument.
    kwargs
        Keywords of the method. IntegratedGradients: `baseline` (0), `n_steps` (10), `integration` ("riemann_trapezoid", or
        another of Captum's names), `internal_batch_size`. DeepLift: `baseline` (0). SmoothGrad: `n_samples` (16),
        `noise_level` (0.15 of the input's range), `seed`. GradCAM: `layer` (a module or its name; by default the last
        convolution that is called), `grid` (rows and columns of tokens), `relu_attributions`, `interpolate` (the size of
        the maps), `interpolate_mode`. LRP: `composite` (one of zennit's, or its name). Methods of hundreds of passes:
        `baseline` (0); all but Occlusion `segment_func` and `segment_func_kwargs` (as of `DataSensitivityConsistency`; by
        default superpixels, windows or columns); Occlusion `window` and `strides` (for each spatial axis, or one for all);
        KernelShap, Lime and RISE `n_samples` (500) and `seed`; Lime `alpha` (0.01, the penalty); RISE `mask_rate` (0.5)
        and `softmax` (True: it explains the probability).

    Returns
    -------
    array or Tensor
        The type of `inputs`. A tensor is on the model's device.

    Raises
    ------
    ValueError
        If the method or a keyword is unknown, with the nearest known name, or if the method cannot explain the model. The
        message names the module that prevents it.

    Examples
    --------
    >>> model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.rand(2, 4)
    >>> explain(model, inputs, torch.tensor([0, 2]), method="DeepLift").shape
    torch.Size([2, 4])
    """
    return _explain(None, model, inputs, targets, method=method, reduce_axes=reduce_axes, keepdims=keepdims, **kwargs)


def prepare(
    model: nn.Module,
    inputs: np.ndarray | Tensor,
    *,
    method: str = "Gradient",
    reduce_axes: tuple[int, ...] = (1,),
    keepdims: bool = True,
    device: object = None,
    **kwargs: Any,
) -> Callable[..., np.ndarray | Tensor]:
    """`explain` for many calls with the same model: what does not depend on the inputs is computed once.

    This is the model's copy for GuidedBackprop, DeepLift and LRP, and the default layer of GradCAM. Later changes of weights,
    buffers, hooks and attributes of the modules that the copy has are taken into account. Not taken into account is what the
    model's own `forward` reads besides: numbers, flags, `buffer.item()`, and the order in which it calls modules.

    Parameters
    ----------
    model, method, reduce_axes, keepdims, device, kwargs
        As for `explain`.
    inputs
        Examples of the inputs, at least one.

    Returns
    -------
    callable
        Takes the arguments of `explain`. Keywords that are given here need not be repeated. For another model or method, or
        other keywords of the preparation (`layer`, `composite`), it does the same as `explain`.

    Raises
    ------
    ValueError
        As `explain`.

    Examples
    --------
    >>> model, inputs = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)), torch.rand(2, 4)
    >>> explain_prepared = explain.prepare(model, inputs, method="DeepLift")
    >>> explain_prepared(model, inputs, torch.tensor([0, 2])).shape
    torch.Size([2, 4])
    """
    chosen = METHODS[method_named(method)]
    options, _ = chosen.split_keywords(method, kwargs)
    tensors = as_tensor(inputs)
    check_inputs(tensors)
    prepared = _for_scores(
        model, lambda fit: in_evaluation_mode(fit, lambda: _prepare(fit, as_samples(fit, tensors), chosen, options))
    )
    return functools.partial(_explain, prepared, method=method, reduce_axes=reduce_axes, keepdims=keepdims, **kwargs)


explain.prepare = prepare  # type: ignore[attr-defined]


def _for_scores(model: nn.Module, run: Callable[[nn.Module], T]) -> T:
    """What `run` returns for a model: adapted, if that is necessary and it is clear how."""
    try:
        return run(model)
    except UnfitOutputs as error:
        adapted, note = recognised(model, error)
    warn_once(model, note)
    return run(adapted)


@dataclass(frozen=True)
class _Prepared:
    """A method that is prepared for a model, and the first arguments of its `attribute`."""

    model: nn.Module
    method: Method
    options: dict[str, Any]
    arguments: tuple[Any, ...]

    def fits(self, model: nn.Module, method: Method, options: dict[str, Any]) -> bool:
        """Whether it was prepared for this model and method and these keywords of `prepare`."""
        return self.model is model and self.method is method and self.options == options


def _prepare(model: nn.Module, samples: Tensor, method: Method, options: dict[str, Any]) -> _Prepared:
    check_model(model)
    return _Prepared(model, method, options, method.prepare(model, samples, **options))


def _explain(
    prepared: _Prepared | None,
    model: nn.Module,
    inputs: np.ndarray | Tensor,
    targets: np.ndarray | Tensor,
    *,
    method: str,
    reduce_axes: tuple[int, ...] = (1,),
    keepdims: bool = True,
    device: object = None,
    **kwargs: Any,
) -> np.ndarray | Tensor:
    """What `explain` returns, with a preparation that is used if it fits the arguments."""
    chosen = METHODS[method_named(method)]
    options, keywords = chosen.split_keywords(method, kwargs)
    tensors, classes = as_tensor(inputs), as_tensor(targets)
    check_inputs(tensors)
    check_targets(classes, len(tensors))
    check_axes(reduce_axes, tensors.ndim)

    def attributed(fit: nn.Module) -> Tensor:
        samples, once = as_samples(fit, tensors), prepared
        if once is None or not once.fits(fit, chosen, options):
            once = _prepare(fit, samples, chosen, options)
        maps = chosen.attribute(*once.arguments, samples, classes.to(samples.device, torch.int64, copy=True), **keywords)
        return maps.detach()

    maps = _for_scores(model, lambda fit: in_evaluation_mode(fit, lambda: attributed(fit)))
    if reduce_axes and tensors.ndim > 2:
        maps = maps.sum(tuple(reduce_axes), keepdim=keepdims)
    maps = maps.clone(memory_format=torch.contiguous_format)  # shares its memory with nothing
    return maps if isinstance(inputs, Tensor) else host_array(maps)
