"""The metrics that a comparison runs unless told otherwise: ours, and the best known of Quantus's."""

from collections.abc import Callable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import quantus
from torch import nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc._arguments import check_known
from quantus_senc._data import DataSensitivityConsistency
from quantus_senc._directions import category as category
from quantus_senc._directions import direction as direction
from quantus_senc._parameter import ParameterSensitivityConsistency
from quantus_senc._per_image import PerImage, curve_area, mean_drop
from quantus_senc._quantus import FaithfulnessCorrelation, SmoothMPRT, map_entropy, rank_similarity, scaled

_STEPS = 50
_OWN = ("SenC", "Top-1", "Top-3", "SenC (paper)", "Parameter SenC")
_OF_QUANTUS = (
    "Faithfulness Correlation",
    "Pixel Flipping",
    "Region Perturbation",
    "MPRT",
    "Smooth MPRT",
    "Efficient MPRT",
    "Random Logit",
)


def available_metrics() -> list[str]:
    """Names of the metrics that a comparison can run, in their order.

    Examples
    --------
    >>> available_metrics()[:3]
    ['SenC', 'Top-1', 'Top-3']
    """
    return [*_OWN, *_OF_QUANTUS]


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
        If a metric is unknown, with the nearest that is known, or does not apply to the data and the model.
    """
    known = default_metrics(x_batch, model, **parameters)
    if metrics is None:
        return known
    metrics = [metrics] if isinstance(metrics, str) else metrics
    if not isinstance(metrics, Mapping | Sequence):
        raise ValueError(f"metrics={metrics!r} must be names, or a dict from names to metrics")
    if not isinstance(metrics, Mapping):
        metrics = {name: name for name in metrics}
    if not metrics:
        raise ValueError(f"metrics={metrics!r} must name at least one; known: {', '.join(available_metrics())}")
    return {str(name): _metric(value, known) for name, value in metrics.items()}


def _metric(value: Any, known: Mapping[str, Any]) -> Any:
    if not isinstance(value, str):
        if not callable(value) or isinstance(value, type):
            raise ValueError(f"metrics hold {value!r}, which is no metric; pass an instance, such as quantus.Sparseness()")
        return value
    check_known("metric", value, available_metrics())
    if value not in known:
        raise ValueError(f"metric {value!r} does not apply to these inputs and this model; leave it out")
    return known[value]


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
    """Metrics by name, each of which returns one float an image.

    They are called as Quantus's are: metric(model=, x_batch=, y_batch=, a_batch=, s_batch=, explain_func=,
    explain_func_kwargs=), with arrays.

    - "SenC", "Top-1", "Top-3", "SenC (paper)", "Parameter SenC" (first convolution, or first fully connected layer of a
      model that has none): see `DataSensitivityConsistency` and `ParameterSensitivityConsistency`.
    - "Faithfulness Correlation": Pearson correlation, in [-1, 1], of 100 random subsets' summed attributions with the drop
      of the class's logit when they are black; the subsets are a quarter of the values, at most 224.
    - "Pixel Flipping": mean probability, in [0, 1], while values turn black in about 50 steps, highest attribution first.
    - "Region Perturbation": mean drop of the probability (AOPC), in [-1, 1], while about 50 patches turn black,
      highest attribution first.
    - "MPRT", "Smooth MPRT": Spearman's rho, in [-1, 1], of the maps of the model and of one whose weights are all random.
    - "Efficient MPRT": relative rise of the map's entropy when all weights are random; 0 is none, 1 twice the entropy.
    - "Random Logit": similarity (SSIM), in [-1, 1], of the maps of the class and of another one, drawn at random; of maps
      of fewer than 7 values Spearman's rho.

    Parameters
    ----------
    x_batch
        Images (B, C, H, W), series (B, C, T) or tables (B, F); only the shape counts.
    model
        Its modules decide which metrics apply.
    n_masks, mask_rate, tolerance, display_progressbar
        Of the sensitivity consistency metrics.
    seed
        Of all metrics, in [0, 2^64).
    n_classes
        How many outputs the model has.
    kwargs
        More parameters of `DataSensitivityConsistency`: `segment_func`, `segment_func_kwargs`, `perturb_baseline`.

    Returns
    -------
    dict
        In the order of `available_metrics`, without those that do not apply: "Parameter SenC" and the three MPRTs need
        layers, "Region Perturbation" images, "Random Logit" two classes.

    Examples
    --------
    >>> metrics = default_metrics(np.zeros((2, 6)), nn.Linear(6, 3), n_classes=3)
    >>> [name for name in available_metrics() if name not in metrics]
    ['Region Perturbation']
    """
    masks: dict[str, Any] = {
        "n_masks": n_masks,
        "mask_rate": mask_rate,
        "tolerance": tolerance,
        "seed": seed,
        "display_progressbar": display_progressbar,
        "disable_warnings": True,
    }
    return {**_own(model, masks, kwargs), **_of_quantus(x_batch.shape, model, seed, n_classes)}


def _own(model: nn.Module, masks: dict[str, Any], data: dict[str, Any]) -> dict[str, Any]:
    senc = DataSensitivityConsistency(estimator="regression", **masks, **data)
    metrics = {
        "SenC": senc,
        "Top-1": senc.top_k(1),
        "Top-3": senc.top_k(3),
        "SenC (paper)": senc.with_estimator("paper"),
    }
    if layers := _first_layer(model):
        metrics["Parameter SenC"] = ParameterSensitivityConsistency(estimator="regression", layers=layers, **masks)
    return metrics


def _first_layer(model: nn.Module) -> str | list[str] | None:
    if any(isinstance(module, _ConvNd) for module in model.modules()):
        return "first_conv"
    return next(([name] for name, module in model.named_modules() if isinstance(module, nn.Linear)), None)


def _of_quantus(shape: tuple[int, ...], model: nn.Module, seed: int, n_classes: int) -> dict[str, PerImage]:
    def made(metric: Callable[..., Any], value: Callable[[Any], float] = float, **kwargs: Any) -> PerImage:
        return PerImage(metric(return_aggregate=False, disable_warnings=True, normalise_func=scaled, **kwargs), value, seed)

    n_values = prod(shape[1:])
    metrics = {
        "Faithfulness Correlation": made(FaithfulnessCorrelation, subset_size=min(224, -(-n_values // 4))),
        "Pixel Flipping": made(quantus.PixelFlipping, curve_area, features_in_step=_features_in_step(shape)),
    }
    if len(shape) == 4:
        patch_size = max(1, round((shape[2] * shape[3] / _STEPS) ** 0.5))
        metrics["Region Perturbation"] = made(
            quantus.RegionPerturbation, mean_drop, patch_size=patch_size, regions_evaluation=shape[2] * shape[3]
        )
    if any(hasattr(module, "reset_parameters") for module in model.modules()):
        last: dict[str, Any] = {"return_last_correlation": True, "skip_layers": True, "similarity_func": rank_similarity}
        metrics["MPRT"] = made(quantus.MPRT, **last)
        metrics["Smooth MPRT"] = made(SmoothMPRT, nr_samples=10, **last)
        metrics["Efficient MPRT"] = made(quantus.EfficientMPRT, complexity_func=map_entropy)
    if n_classes > 1:
        too_few: dict[str, Any] = {} if n_values >= 7 else {"similarity_func": rank_similarity}
        metrics["Random Logit"] = made(quantus.RandomLogit, num_classes=n_classes, seed=seed % 2**32, **too_few)
    return metrics


def _features_in_step(shape: tuple[int, ...]) -> int:
    """How many values make about 50 steps; Quantus asks for a divisor of the positions, of which a table has one."""
    positions, n_values = prod(shape[2:]), prod(shape[1:])
    divisors = (step for step in range(1, positions + 1) if positions % step == 0)
    return min(divisors, key=lambda step: abs(np.log(n_values / step / _STEPS)))
