"""How the scores of a comparison came about, for its tables of metrics and settings."""

import platform
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from quantus_senc.comparison.directions import category, direction
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.core.checks import parameter_names
from quantus_senc.metrics.derived import DerivedMetric
from quantus_senc.model.arrays import model_device

_PACKAGES = {
    "quantus_senc": "quantus-senc",
    **{name: name for name in ("quantus", "captum", "torch", "numpy", "scipy", "scikit-image")},
}


def metric_table(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """The table `Comparison.metrics` of metrics by name."""
    rows = [(name, category(metric), *direction(metric), _constructor_call(metric)) for name, metric in metrics.items()]
    return pd.DataFrame(rows, columns=["metric", "category", "direction", "why", "parameters"])


def settings_of(
    model: nn.Module,
    x_batch: np.ndarray,
    methods: Mapping[str, Method],
    parameters: Mapping[str, Any],
    seconds: Mapping[str, Mapping[str, float]],
) -> dict[str, Any]:
    """The dict `Comparison.settings`, which JSON can hold.

    Parameters
    ----------
    model, x_batch
        As for `compare`.
    methods
        By name.
    parameters
        Of `compare`, by name.
    seconds
        By the name of the method: the duration of the explanation and of each metric.
    """
    device = model_device(model)
    packages = {name: version(distribution) for name, distribution in _PACKAGES.items()}
    return {
        "versions": {"python": platform.python_version(), **packages},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "model": {
            "class": type(model).__name__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
        },
        "images": {"number": len(x_batch), "shape": list(x_batch.shape[1:])},
        "methods": {name: str(method) for name, method in methods.items()},
        "controls": [name for name, method in methods.items() if method.is_control],
        "parameters": {name: value if _is_plain(value) else repr(value) for name, value in parameters.items()},
        "seconds": {name: {step: round(time, 3) for step, time in steps.items()} for name, steps in seconds.items()},
    }


def _constructor_call(metric: Any) -> str:
    """The expression that makes a metric, with its plain parameters."""
    if isinstance(metric, DerivedMetric):
        return f"{metric.name} of {_constructor_call(metric.metric)}"
    inner = metric.metric if isinstance(metric, PerImage) else metric
    names = parameter_names(type(inner), "__init__") if "__init__" in vars(type(inner)) else []
    values = {name: getattr(inner, name) for name in names if isinstance(getattr(inner, name, None), bool | int | float | str)}
    return f"{type(inner).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | type(None))
