"""The metrics that a comparison runs, by name: those of this package, and those of Quantus."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc.comparison.names import by_name
from quantus_senc.comparison.quantus_metrics import QUANTUS_METRICS, quantus_metrics
from quantus_senc.core.checks import check_known
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.parameter_senc import ParameterSensitivityConsistency

_SENC_METRICS = ("SenC (regression)", "Top-1", "Top-3", "SenC", "Parameter SenC")


def available_metrics() -> list[str]:
    """Names of the metrics that a comparison can run, in their order.

    Examples
    --------
    >>> available_metrics()[:4]
    ['SenC (regression)', 'Top-1', 'Top-3', 'SenC']
    """
    return [*_SENC_METRICS, *QUANTUS_METRICS]


def named_metrics(
    metrics: str | Sequence[str] | Mapping[str, Any] | None, x_batch: np.ndarray, model: nn.Module, **parameters: Any
) -> dict[str, Any]:
    """The metrics of a comparison, by the names that they have in it.

    Parameters
    ----------
    metrics
        Names of `available_metrics`; or a dict from any name to one of these names, or to a metric. None for all that apply.
    x_batch, model, parameters
        As for `default_metrics`.

    Raises
    ------
    ValueError
        If a metric is unknown, with the nearest known name, or does not apply to the data and the model; or if a name cannot
        be used, as `by_name` says.
    """
    applicable = default_metrics(x_batch, model, **parameters)
    if metrics is None:
        return applicable
    given = by_name("metrics", metrics, available_metrics())
    return {name: _metric(value, applicable) for name, value in given.items()}


def _metric(value: Any, applicable: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        if not callable(value) or isinstance(value, type):
            raise ValueError(f"metrics hold {value!r}, which is no metric; pass an instance, such as quantus.Sparseness()")
        if getattr(value, "return_aggregate", False):
            raise ValueError(f"metric {value.name!r} has return_aggregate=True, but every image needs a score; pass False")
        return value
    check_known("metric", value, available_metrics())
    if value not in applicable:
        raise ValueError(f"metric {value!r} does not apply to these inputs and this model; leave it out")
    return applicable[value]


def default_metrics(
    x_batch: np.ndarray,
    model: nn.Module,
    *,
    n_masks: int | str = 500,
    mask_rate: float = 0.8,
    tolerance: float | None = None,
    seed: int = 42,
    n_classes: int,
    display_progressbar: bool = False,
    **kwargs: Any,
) -> dict[str, Any]:
    """Metrics by name. Each returns one float per image.

    They are called as metrics of Quantus are: metric(model=, x_batch=, y_batch=, a_batch=, s_batch=, explain_func=,
    explain_func_kwargs=), with arrays.

    - "SenC (regression)": `DataSensitivityConsistency(estimator="regression")`, in [-1, 1]; "Top-1" and "Top-3" are its top-k
      agreement, in [0, 1]. "SenC" is the published score, `estimator="paper"`, from the same masks.
    - "Parameter SenC": `ParameterSensitivityConsistency(estimator="regression")`, in [-1, 1], of the first convolution, or of
      the first fully connected layer of a model without convolutions.
    - "Faithfulness Correlation": Pearson correlation, in [-1, 1], of the summed attributions of 100 random subsets with the
      drop of the logit of the class when they are black. A subset has a quarter of the values, at most 224.
    - "Pixel Flipping": mean probability, in [0, 1], while values turn black in about 50 steps, highest attribution first.
    - "Region Perturbation": mean drop of the probability (AOPC), in [-1, 1], while about 50 patches turn black,
      highest attribution first.
    - "MPRT", "Smooth MPRT": Spearman's rho, in [-1, 1], of the maps of the model and of the same model with random weights.
    - "Efficient MPRT": relative rise of the entropy of the map when all weights are random; 0 is no rise, 1 twice the entropy.
    - "Random Logit": similarity (SSIM), in [-1, 1], of the maps of the class and of another class, drawn at random. For maps
      of fewer than 7 values it is Spearman's rho.

    Parameters
    ----------
    x_batch
        Images (B, C, H, W), series (B, C, T) or tables (B, F); only the shape is used.
    model
        Its modules decide which metrics apply.
    n_masks, mask_rate, tolerance, display_progressbar
        Parameters of the sensitivity consistency metrics.
    seed
        Of all metrics, in [0, 2^64).
    n_classes
        The number of outputs of the model.
    kwargs
        More parameters of `DataSensitivityConsistency`: `segment_func`, `segment_func_kwargs`, `perturb_baseline`.

    Returns
    -------
    dict
        In the order of `available_metrics`, without those that do not apply: "Parameter SenC" and the three MPRTs need
        layers, "Region Perturbation" needs images, "Random Logit" needs two classes.

    Examples
    --------
    >>> metrics = default_metrics(np.zeros((2, 6)), nn.Linear(6, 3), n_classes=3)
    >>> [name for name in available_metrics() if name not in metrics]
    ['Region Perturbation']
    """
    masks: dict[str, Any] = {"n_masks": n_masks, "mask_rate": mask_rate, "tolerance": tolerance, "seed": seed}
    output: dict[str, Any] = {"display_progressbar": display_progressbar, "disable_warnings": True}
    return {**_senc_metrics(model, masks | output, kwargs), **quantus_metrics(x_batch.shape, model, seed, n_classes)}


def _senc_metrics(model: nn.Module, common: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    senc = DataSensitivityConsistency(estimator="regression", **common, **data)
    metrics = {
        "SenC (regression)": senc,
        "Top-1": senc.top_k(1),
        "Top-3": senc.top_k(3),
        "SenC": senc.with_estimator("paper"),
    }
    if layers := _first_layer(model):
        metrics["Parameter SenC"] = ParameterSensitivityConsistency(estimator="regression", layers=layers, **common)
    return metrics


def _first_layer(model: nn.Module) -> str | list[str] | None:
    if any(isinstance(module, _ConvNd) for module in model.modules()):
        return "first_conv"
    return next(([name] for name, module in model.named_modules() if isinstance(module, nn.Linear)), None)
