"""Metrics of Quantus that return one number an image, the same every time."""

import copy
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.stats import ConstantInputWarning
from torch import Tensor, nn

from quantus_senc._host import copied, host_array, model_device, model_precision
from quantus_senc._preserve import preserved
from quantus_senc._seeds import seeded


class PerImage:
    """A metric of Quantus that returns one float an image, the same every time.

    A model in another precision than Quantus predicts in, single, is evaluated as a copy in single precision.

    Random numbers that the metric draws from global generators come from a seed, and the generators are left as they were.

    Parameters
    ----------
    metric
        Of Quantus, not aggregating.
    value
        From what the metric returns for an image to a number.
    seed
        In [0, 2^64).

    Examples
    --------
    >>> import quantus
    >>> metric = PerImage(quantus.PixelFlipping(disable_warnings=True), value=curve_area)
    >>> model, x_batch, y_batch = nn.Sequential(nn.Linear(3, 2)), np.eye(3, dtype=np.float32), np.zeros(3, dtype=int)
    >>> len(metric(model, x_batch, y_batch, a_batch=x_batch))
    3
    """

    def __init__(self, metric: Any, value: Callable[[Any], float] = float, seed: int = 42) -> None:
        self.metric = metric
        self.value = value
        self.seed = seed
        self.name = metric.name
        self.score_direction = metric.score_direction
        self.evaluation_category = metric.evaluation_category

    def __call__(
        self,
        model: nn.Module,
        x_batch: ArrayLike | Tensor,
        y_batch: ArrayLike | Tensor,
        a_batch: ArrayLike | Tensor | None = None,
        s_batch: ArrayLike | Tensor | None = None,
        explain_func: Callable[..., Any] | None = None,
        explain_func_kwargs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """One float an image, NaN where attributions are all equal, or they or the image not finite.

        See the metric's own `__call__` for the parameters. The model comes out as it went in.
        """
        batches = {"x_batch": x_batch, "y_batch": y_batch, "a_batch": a_batch, "s_batch": s_batch}
        arrays = {name: host_array(batch) for name, batch in batches.items() if batch is not None}
        explaining = {"explain_func": explain_func, "explain_func_kwargs": copied(explain_func_kwargs or {})}
        if (device := model_device(model)).type != "cpu":
            kwargs.setdefault("device", str(device))
        if model_precision(model) is not torch.float32:  # the only one that Quantus predicts in
            model = copy.deepcopy(model).float()
        with preserved(model), seeded(self.seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The settings for perturbing input")
            warnings.filterwarnings("ignore", category=ConstantInputWarning)
            if a_batch is None:
                arrays["a_batch"] = self._explained(model, arrays, kwargs.get("device"), **explaining)
            return self._scores(arrays, {"model": model, **explaining, **kwargs})

    def _scores(self, arrays: dict[str, np.ndarray], call: dict[str, Any]) -> list[float]:
        """What the metric makes of finite images whose maps have an order; the others are given both, and get NaN."""
        x_batch, a_batch = arrays["x_batch"], arrays["a_batch"]
        axes = tuple(range(1, a_batch.ndim))
        fit = np.isfinite(a_batch).all(axes) & (a_batch.max(axes) > a_batch.min(axes))
        fit &= np.isfinite(x_batch).reshape(len(x_batch), -1).all(1)
        if not fit.any():
            return [np.nan] * len(fit)
        ramp = np.arange(a_batch[0].size, dtype=a_batch.dtype).reshape(a_batch.shape[1:])
        stand_ins = {
            "a_batch": np.where(np.expand_dims(fit, axes), a_batch, ramp),
            "x_batch": np.nan_to_num(x_batch, posinf=0.0, neginf=0.0),
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            found = self.metric(**{**arrays, **stand_ins}, **call)
            scores = np.array([self.value(one) for one in found], dtype=np.float64)
        return np.where(fit & np.isfinite(scores), scores, np.nan).tolist()

    @staticmethod
    def _explained(
        model: nn.Module,
        arrays: dict[str, np.ndarray],
        device: str | None,
        explain_func: Callable[..., Any] | None,
        explain_func_kwargs: dict[str, Any],
    ) -> np.ndarray:
        if explain_func is None:
            raise ValueError("a_batch=None needs an explain_func; pass one, or the attributions")
        given = {"device": device, **explain_func_kwargs} if device is not None else explain_func_kwargs
        return host_array(explain_func(model=model, inputs=arrays["x_batch"], targets=arrays["y_batch"], **given))


def curve_area(curve: ArrayLike) -> float:
    """Area under a curve whose abscissa runs from 0 to 1: the mean of a probability along it, in [0, 1].

    Examples
    --------
    >>> curve_area([1.0, 0.5, 0.0]), curve_area([0.7])
    (0.5, 0.7)
    """
    values = np.asarray(curve, dtype=np.float64)
    return float(np.trapezoid(values) / (len(values) - 1) if len(values) > 1 else values[0])


def mean_drop(drops: ArrayLike) -> float:
    """Mean of the drops after 0, 1, 2, ... perturbations: the area over the perturbation curve (AOPC), in [-1, 1].

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
