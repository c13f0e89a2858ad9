"""A metric of Quantus as a comparison calls it: one reproducible number per image."""

import copy
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from quantus.helpers.enums import EvaluationCategory
from quantus.metrics.base import Metric
from scipy.stats import ConstantInputWarning
from torch import Tensor, nn

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.model.adapted import adapter_of
from quantus_senc.model.arrays import copied, host_array, model_device, model_precision
from quantus_senc.model.state import preserving, seeded


class PerImage:
    """A metric of Quantus that returns one float per image, the same in every call.

    Random numbers that the metric draws from global generators are a function of a seed. Afterwards the generators are as
    they were before. A model that is not in single precision is copied to single precision, because Quantus predicts
    in no other precision.

    Parameters
    ----------
    metric
        A metric of Quantus that does not aggregate over images.
    to_score
        The function from what the metric returns for an image to one number.
    seed
        In [0, 2^64).

    Examples
    --------
    >>> import quantus
    >>> metric = PerImage(quantus.PixelFlipping(disable_warnings=True), to_score=np.mean)
    >>> model, x_batch, y_batch = nn.Sequential(nn.Linear(3, 2)), np.eye(3, dtype=np.float32), np.zeros(3, dtype=int)
    >>> len(metric(model, x_batch, y_batch, a_batch=x_batch))
    3
    """

    def __init__(self, metric: Any, to_score: Callable[[Any], float] = float, seed: int = 42) -> None:
        self.metric = metric
        self.to_score = to_score
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
        seed: int | None = None,
        **kwargs: Any,
    ) -> list[float]:
        """One float per image. NaN if the attributions are constant, or they or the image are not finite.

        The parameters are those of the metric itself, and a seed for this call. The model is not changed.

        Raises
        ------
        ValueError
            If neither `a_batch` nor `explain_func` is given.
        """
        batches = {"x_batch": x_batch, "y_batch": y_batch, "a_batch": a_batch, "s_batch": s_batch}
        arrays = {name: host_array(batch) for name, batch in batches.items() if batch is not None}
        method = {"explain_func": explain_func, "explain_func_kwargs": copied(explain_func_kwargs or {})}
        if (device := model_device(model)).type != "cpu":
            kwargs.setdefault("device", str(device))
        if model_precision(model) is not torch.float32:
            model = copy.deepcopy(model).float()

        def run() -> list[float]:
            if a_batch is None:
                arrays["a_batch"] = _attributions(model, arrays, kwargs.get("device"), **method)
            return self._scores(arrays, {"model": model, **method, **kwargs})

        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The settings for perturbing input")
            warnings.filterwarnings("ignore", category=ConstantInputWarning)
            return preserving(model, lambda restore: seeded(self.seed if seed is None else seed, run))

    def _scores(self, arrays: dict[str, np.ndarray], call: dict[str, Any]) -> list[float]:
        """Scores of the valid images. The metric gets placeholders for the others, so that they cannot make it fail."""
        x_batch, a_batch = arrays["x_batch"], arrays["a_batch"]
        axes = tuple(range(1, a_batch.ndim))
        valid = np.isfinite(a_batch).all(axes) & (a_batch.max(axes) > a_batch.min(axes))
        valid &= np.isfinite(x_batch).reshape(len(x_batch), -1).all(1)
        if not valid.any():
            return [np.nan] * len(valid)
        ramp = np.arange(a_batch[0].size, dtype=a_batch.dtype).reshape(a_batch.shape[1:])
        placeholders = {
            "a_batch": np.where(np.expand_dims(valid, axes), a_batch, ramp),
            "x_batch": np.nan_to_num(x_batch, posinf=0.0, neginf=0.0),
        }
        with np.errstate(divide="ignore", invalid="ignore"):
            returned = fresh_copy(self.metric)(**{**arrays, **placeholders}, **call)
            scores = np.array([self.to_score(value) for value in returned], dtype=np.float64)
        return np.where(valid & np.isfinite(scores), scores, np.nan).tolist()


def fresh_copy(metric: Any) -> Any:
    """A copy of a metric of Quantus, to be called once; any other callable, and a metric that cannot be copied, as it is.

    Metrics of Quantus keep what they learn in a call. `EfficientMPRT` keeps the number of bins of its first histograms, in the
    keywords of its user. Scores of a block must not depend on the blocks before.
    """
    if not isinstance(metric, Metric):
        return metric
    try:
        return copy.deepcopy(metric)
    except Exception:  # a metric may hold anything, such as a lock
        return metric


def prediction_arguments(model: nn.Module, metric: Any, softmax: bool | None = None) -> dict[str, Any]:
    """Arguments by which a metric of Quantus takes predictions: of an adapted model those that it is adapted to.

    Parameters
    ----------
    softmax
        Whether predictions are asked for; None for what the metric does by itself.
    """
    metric = metric.metric if isinstance(metric, PerImage) else metric
    if getattr(metric, "evaluation_category", None) is EvaluationCategory.RANDOMISATION:  # the entropy is of the softmax
        return {}
    if adapter_of(model).activation not in ("softmax", "binary"):
        parameter = inspect.signature(metric).parameters.get("softmax")
        if parameter is not None and (parameter.default is True if softmax is None else softmax):
            return {"softmax": False, "model_predict_kwargs": {"activated": True}}
    return {} if softmax is None else {"softmax": softmax}


def _attributions(
    model: nn.Module,
    arrays: dict[str, np.ndarray],
    device: str | None,
    explain_func: Callable[..., Any] | None,
    explain_func_kwargs: dict[str, Any],
) -> np.ndarray:
    if explain_func is None:
        raise ValueError("a_batch=None needs an explain_func; pass one, or the attributions")
    kwargs = {"device": device, **explain_func_kwargs} if device is not None else explain_func_kwargs
    return host_array(explain_func(model=model, inputs=arrays["x_batch"], targets=arrays["y_batch"], **kwargs))
