"""Metrics of Quantus as others expect them: one number an image, reproducible, and of the method that is asked for."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import quantus
import torch
from numpy.typing import ArrayLike
from scipy.stats import ConstantInputWarning, pearsonr, rankdata
from torch import Tensor, nn

from quantus_senc._host import copied, host_array, model_device
from quantus_senc._preserve import preserved


class PerImage:
    """A metric of Quantus that returns one float an image, the same every time.

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
        """One float an image; see the metric's own `__call__` for the parameters. The model comes out as it went in."""
        batches = {"x_batch": x_batch, "y_batch": y_batch, "a_batch": a_batch, "s_batch": s_batch}
        arrays = {name: None if batch is None else host_array(batch) for name, batch in batches.items()}
        if (device := model_device(model)).type != "cpu":
            kwargs.setdefault("device", str(device))
        with preserved(model), _seeded(self.seed), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="The settings for perturbing input")
            warnings.filterwarnings("ignore", category=ConstantInputWarning)
            found = self.metric(
                model=model,
                explain_func=explain_func,
                explain_func_kwargs=copied(explain_func_kwargs or {}),
                **arrays,
                **kwargs,
            )
        return [float(self.value(one)) for one in found]


class FaithfulnessCorrelation(quantus.FaithfulnessCorrelation):
    """Quantus's Faithfulness Correlation, for tables too: its check of the subset's size rejects them all."""

    def custom_preprocess(self, **kwargs: Any) -> None:
        """Check nothing."""


class SmoothMPRT(quantus.SmoothMPRT):
    """Quantus's Smooth MPRT, of the method that is asked for.

    Quantus's own smooths the maps of `quantus.explain`, whatever `explain_func` it is given, and compares them with
    `a_batch`, which is not smooth. Here all are maps of `explain_func`, smoothed by the same noise.
    """

    def __call__(self, *args: Any, a_batch: np.ndarray | None = None, **kwargs: Any) -> Any:
        """As Quantus's, but for `a_batch`, which is not used."""
        return super().__call__(*args, **kwargs)

    def explain_smooth_batch_numpy(
        self, model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray, std: np.ndarray, **kwargs: Any
    ) -> np.ndarray:
        """Mean of the maps of noisy inputs, of which the last has no noise, as in Quantus."""
        generator = np.random.default_rng(self.seed)
        total = 0.0
        for sample in range(self.nr_samples):
            noise = generator.standard_normal(x_batch.shape) * (std if sample < self.nr_samples - 1 else 0)
            noisy = (x_batch + noise).astype(x_batch.dtype)
            total = total + self.explain_func(model=model, inputs=noisy, targets=y_batch, **self.explain_func_kwargs)
        return total / self.nr_samples


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


def rank_similarity(a: np.ndarray, b: np.ndarray, batched: bool = True, **kwargs: Any) -> np.ndarray:
    """Spearman's rho of rows (B, v), of each pair for itself; NaN for a row whose values are all equal.

    Quantus's own correlates every row with every other, and loses all of them where one is constant.

    Examples
    --------
    >>> rank_similarity(np.array([[1, 2, 9], [3, 2, 1]]), np.array([[0, 1, 2], [0, 1, 2]]))
    array([ 1., -1.])
    """
    return pearsonr(rankdata(a, axis=-1), rankdata(b, axis=-1), axis=-1).statistic


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """A block whose draws from NumPy's and torch's global generators are a function of the seed."""
    state = np.random.get_state()  # noqa: NPY002  Quantus draws from it
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            yield
        finally:
            np.random.set_state(state)  # noqa: NPY002
