"""The metrics of Quantus that a comparison runs by default, with their parameters."""

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import quantus
from torch import nn

from quantus_senc.comparison.quantus_corrections import (
    FaithfulnessCorrelation,
    SmoothMPRT,
    map_entropy,
    rank_similarity,
    scaled,
)
from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.core.array_like import ArrayLike

QUANTUS_METRICS = (
    "Faithfulness Correlation",
    "Pixel Flipping",
    "Region Perturbation",
    "MPRT",
    "Smooth MPRT",
    "Efficient MPRT",
    "Random Logit",
)
_N_STEPS = 50
_SSIM_WINDOW = 7  # values, of which SSIM needs at least as many


def quantus_metrics(shape: tuple[int, ...], model: nn.Module, seed: int, n_classes: int) -> dict[str, PerImage]:
    """The metrics of `QUANTUS_METRICS` that apply, by name; see `default_metrics`.

    Parameters
    ----------
    shape
        Of the inputs, the batch included.
    model
        Its modules decide whether weights can be randomised.
    seed
        In [0, 2^64).
    n_classes
        The number of outputs of the model.
    """
    n_values = prod(shape[1:])
    metrics = {
        "Faithfulness Correlation": _per_image(FaithfulnessCorrelation, seed, subset_size=min(224, -(-n_values // 4))),
        "Pixel Flipping": _per_image(quantus.PixelFlipping, seed, curve_area, features_in_step=features_in_step(shape)),
    }
    if len(shape) == 4:
        n_pixels = shape[2] * shape[3]
        patches = {"patch_size": max(1, round((n_pixels / _N_STEPS) ** 0.5)), "regions_evaluation": n_pixels}
        metrics["Region Perturbation"] = _per_image(quantus.RegionPerturbation, seed, mean_drop, **patches)
    if any(hasattr(module, "reset_parameters") for module in model.modules()):
        mprt: dict[str, Any] = {"return_last_correlation": True, "skip_layers": True, "similarity_func": rank_similarity}
        metrics["MPRT"] = _per_image(quantus.MPRT, seed, **mprt)
        metrics["Smooth MPRT"] = _per_image(SmoothMPRT, seed, nr_samples=10, **mprt)
        metrics["Efficient MPRT"] = _per_image(quantus.EfficientMPRT, seed, complexity_func=map_entropy)
    if n_classes > 1:
        similarity: dict[str, Any] = {} if n_values >= _SSIM_WINDOW else {"similarity_func": rank_similarity}
        logit = {"num_classes": n_classes, "seed": seed % 2**32, **similarity}
        metrics["Random Logit"] = _per_image(quantus.RandomLogit, seed, **logit)
    return metrics


def _per_image(metric: type, seed: int, to_score: Callable[[Any], float] = float, /, **kwargs: Any) -> PerImage:
    """A metric of Quantus with these keyword arguments, which may have a `seed` too."""
    return PerImage(metric(return_aggregate=False, disable_warnings=True, normalise_func=scaled, **kwargs), to_score, seed)


def features_in_step(shape: tuple[int, ...]) -> int:
    """The number of values per step that makes about 50 steps.

    Quantus needs a divisor of the number of positions. A table has one position.

    Examples
    --------
    >>> features_in_step((5, 1, 28, 28)), features_in_step((5, 200))
    (16, 1)
    """
    n_positions, n_values = prod(shape[2:]), prod(shape[1:])
    divisors = (step for step in range(1, n_positions + 1) if n_positions % step == 0)
    return min(divisors, key=lambda step: abs(np.log(n_values / step / _N_STEPS)))


def curve_area(curve: ArrayLike) -> float:
    """Area under a curve over [0, 1], by the trapezoidal rule: the mean of a probability along the curve, in [0, 1].

    Examples
    --------
    >>> curve_area([1.0, 0.5, 0.0]), curve_area([0.7])
    (0.5, 0.7)
    """
    values = np.asarray(curve, dtype=np.float64)
    return float(np.trapezoid(values) / (len(values) - 1) if len(values) > 1 else values[0])


def mean_drop(drops: ArrayLike) -> float:
    """Mean of the drops after 0, 1, 2, ... perturbations: the area over the perturbation curve (AOPC), in [-1, 1].

    The drop after 0 perturbations is 0 and not in `drops`.

    References
    ----------
    Samek et al., "Evaluating the visualization of what a deep neural network has learned", TNNLS 2017, Eq. 12.

    Examples
    --------
    >>> mean_drop([0.3, 0.6])
    0.3
    """
    values = np.asarray(drops, dtype=np.float64)
    return float(values.sum() / (len(values) + 1))
