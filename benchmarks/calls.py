"""Whole calls of SenC, by public names alone: they run on other commits, too."""

from collections.abc import Callable
from time import process_time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import quantus_senc
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency

DATA, FIRST_CONV, LAST_LINEAR = TARGETS = ("data", "first convolution", "last fully connected")
DEFAULT_MASKS = {DATA: 5000, FIRST_CONV: 10_000, LAST_LINEAR: 10_000}
METHODS = ("Saliency", "IntegratedGradients", "DeepLift", "GradCAM")
N_STEPS = 16  # of Integrated Gradients
_FEWEST_MASKS = 16


def layer_names(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The names of the layers of a kind, in the order of definition."""
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def masked_layer(model: nn.Module, target: str) -> str:
    """The name of the first convolution or of the last fully connected layer."""
    return layer_names(model, nn.Conv2d)[0] if target == FIRST_CONV else layer_names(model, nn.Linear)[-1]


def explain_by_senc(model: nn.Module, method: str) -> dict[str, Any]:
    """`explain_func` and its keywords, with `quantus_senc.explain`. Grad-CAM is of the last convolution."""
    keywords: dict[str, Any] = {"method": method}
    if method == "GradCAM":
        keywords["layer"] = layer_names(model, nn.Conv2d)[-1]
    if method == "IntegratedGradients":
        keywords["n_steps"] = N_STEPS
    return {"explain_func": quantus_senc.explain, "explain_func_kwargs": keywords}


def call(
    model: nn.Module,
    arrays: tuple[np.ndarray, np.ndarray],
    target: str,
    n_masks: int,
    explaining: dict[str, Any],
    labels: Tensor | None = None,
    **parameters: Any,
) -> DataSensitivityConsistency | ParameterSensitivityConsistency:
    """Run a new metric with its defaults, and return it: all images for data SenC, the first image for parameter SenC.

    Parameters
    ----------
    arrays
        Images and classes.
    explaining
        `explain_func` and its keywords.
    labels
        The features of the images; None to segment them.
    parameters
        Further parameters of the metric.
    """
    x, y = arrays
    if target == DATA:
        metric = DataSensitivityConsistency(n_masks, disable_warnings=True, **parameters)
        metric(model, x, y, custom_batch=labels, **explaining)
        return metric
    layers = [masked_layer(model, target)]
    metric = ParameterSensitivityConsistency(n_masks, layers=layers, disable_warnings=True, **parameters)
    metric(model, x[:1], y[:1], **explaining)
    return metric


def segmented(model: nn.Module, arrays: tuple[np.ndarray, np.ndarray]) -> Tensor:
    """The features that data SenC segments images into by default."""
    metric = call(model, arrays, DATA, 2, explain_by_senc(model, "Saliency"))
    return torch.stack([record.labels for record in metric.sensitivities])


def masks_for(run: Callable[[int], object], seconds: float, most: int) -> int:
    """How many masks a call takes about so many CPU seconds with; `most` at the most. It also warms up.

    Parameters
    ----------
    run
        Calls SenC with a number of masks.
    """
    n_masks = _FEWEST_MASKS
    run(n_masks)
    while (taken := cpu_seconds(run, n_masks)) < 0.7 * seconds and n_masks < most:
        n_masks = min(most, int(n_masks * min(max(seconds / taken, 1.5), 8)))
    return n_masks


def cpu_seconds(run: Callable[[int], object], n_masks: int) -> float:
    """Seconds of all threads of this process, for a call with so many masks."""
    start = process_time()
    run(n_masks)
    return process_time() - start
