"""Makes the description of a comparison: how its scores come about, with the fingerprints that another call compares."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from uuid import uuid4

import numpy as np
import torch
from torch import nn

from quantus_senc.comparison.description import UNKNOWN, Description
from quantus_senc.comparison.directions import category, direction
from quantus_senc.comparison.fingerprints import NotComparableError, of_model, of_value
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.core.checks import parameter_names
from quantus_senc.core.wording import in_words
from quantus_senc.metrics.derived import DerivedMetric
from quantus_senc.model.adapted import class_of
from quantus_senc.model.arrays import model_device

_PACKAGES = {
    "quantus_senc": "quantus-senc",
    **{name: name for name in ("quantus", "captum", "torch", "numpy", "scipy", "scikit-image")},
}


def described(
    model: nn.Module,
    x_batch: np.ndarray,
    methods: Mapping[str, Method],
    metrics: Mapping[str, Any],
    parameters: Mapping[str, Any],
    images: list[int],
) -> Description:
    """What a comparison is of, but for the fingerprints of its blocks.

    Parameters
    ----------
    model, x_batch
        As for `compare`.
    methods, metrics
        By name.
    parameters
        Of `compare`, by name.
    images
        The numbers of the images.
    """
    packages = {name: version(distribution) for name, distribution in _PACKAGES.items()}
    settings = {
        "versions": {"python": platform.python_version(), **packages},
        "device": _device(model),
        "model": {
            "class": class_of(model),
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "fingerprint": of_model(model),
        },
        "images": {"shape": list(x_batch.shape[1:])},
        "parameters": {name: _readable(value) for name, value in parameters.items()},
    }
    fingerprints = {name: _fingerprint(value) for name, value in parameters.items()}
    return Description(
        uuid4().hex, settings, fingerprints, _described_methods(methods), _described_metrics(metrics), images, {}
    )


def _device(model: nn.Module) -> str:
    """Where the model is, with what decides how sums are rounded there."""
    device = model_device(model)
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        n_threads = torch.get_num_threads()
        return f"cpu ({torch.backends.cpu.get_cpu_capability()}, {n_threads} thread{'s' * (n_threads > 1)})"
    return str(device)


def _described_methods(methods: Mapping[str, Method]) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "call": str(method),
            "control": method.is_control,
            "fingerprint": f"{method.function_name} {_fingerprint(method.explain_func_kwargs)}",
        }
        for name, method in methods.items()
    }


def _described_metrics(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    table = {}
    for name, metric in metrics.items():
        better, why = direction(metric)
        words = {"category": category(metric), "direction": better, "why": why, "parameters": _constructor_call(metric)}
        table[name] = words | {"fingerprint": _fingerprint(metric)}
    return table


def _fingerprint(value: Any) -> str:
    try:
        return of_value(value)
    except NotComparableError as error:
        return f"{UNKNOWN} {error}"


def _constructor_call(metric: Any) -> str:
    """The expression that makes a metric, with its plain parameters."""
    if isinstance(metric, DerivedMetric):
        return f"{metric.name} of {_constructor_call(metric.metric)}"
    inner = metric.metric if isinstance(metric, PerImage) else metric
    names = parameter_names(type(inner), "__init__") if "__init__" in vars(type(inner)) else []
    values = {name: getattr(inner, name) for name in names if isinstance(getattr(inner, name, None), bool | int | float | str)}
    return f"{type(inner).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _readable(value: Any) -> Any:
    """A plain value as it is, any other in words."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if isinstance(value, bool | int | float | str | type(None)) else in_words(value)
