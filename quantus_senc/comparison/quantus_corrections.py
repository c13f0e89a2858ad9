"""Metrics of Quantus 0.6, and functions that they call, with corrections that a comparison needs."""

from typing import Any

import numpy as np
import quantus
from quantus.functions.complexity_func import discrete_entropy
from scipy.stats import pearsonr, rankdata
from torch import nn


class FaithfulnessCorrelation(quantus.FaithfulnessCorrelation):
    """Quantus's Faithfulness Correlation, also for tables: its check of the subset size rejects all tables."""

    def custom_preprocess(self, **kwargs: Any) -> None:
        """Check nothing."""


class SmoothMPRT(quantus.SmoothMPRT):
    """Quantus's Smooth MPRT, with maps of the given explanation method.

    Quantus smooths maps of `quantus.explain`, whatever `explain_func` it is given, and compares them with `a_batch`, which
    is not smooth. This class smooths maps of `explain_func`, all with the same noise.
    """

    def __call__(self, *args: Any, a_batch: np.ndarray | None = None, **kwargs: Any) -> Any:
        """Scores as Quantus returns them. `a_batch` is ignored."""
        return super().__call__(*args, **kwargs)

    def explain_smooth_batch_numpy(
        self, model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray, std: np.ndarray, **kwargs: Any
    ) -> np.ndarray:
        """Mean of the maps of noisy inputs. The last input has no noise, as in Quantus."""
        generator = np.random.default_rng(self.seed)
        total = 0.0
        for sample in range(self.nr_samples):
            noise = generator.standard_normal(x_batch.shape) * (std if sample < self.nr_samples - 1 else 0)
            noisy = (x_batch + noise).astype(x_batch.dtype)
            total = total + self.explain_func(model=model, inputs=noisy, targets=y_batch, **self.explain_func_kwargs)
        return total / self.nr_samples


def scaled(a: np.ndarray) -> np.ndarray:
    """Attributions (B, \\*shape), each map divided by its largest magnitude. Quantus divides by that of the whole batch.

    Examples
    --------
    >>> scaled(np.array([[1.0, -2.0], [0.0, 0.0], [3.0, 6.0]]))
    array([[ 0.5, -1. ], [ 0. , 0. ], [ 0.5, 1. ]])
    """
    largest = np.abs(a).max(axis=tuple(range(1, a.ndim)), keepdims=True)
    return a / np.where(largest == 0, 1, largest)


def map_entropy(a: np.ndarray, x: np.ndarray | None, **kwargs: Any) -> np.floating:
    """Entropy of the histogram of one map; NaN for a map that is not finite, for which Quantus raises an error.

    Shifting and scaling do not change the result, because the histogram runs from the smallest to the largest value. The
    map is scaled first, because NumPy cannot make bins for values that are all tiny.
    """
    if not np.isfinite(a).all():
        return np.float64(np.nan)
    shifted = a.astype(np.float64) - a.min()
    return np.float64(discrete_entropy(shifted / (shifted.max() or 1), x, **kwargs))


def rank_similarity(a: np.ndarray, b: np.ndarray, batched: bool = True, **kwargs: Any) -> np.ndarray:
    """Spearman's rho of each pair of rows (B, v); NaN for a row whose values are all equal.

    Quantus correlates every row with every other one, and loses all rows if one is constant.

    Examples
    --------
    >>> rank_similarity(np.array([[1, 2, 9], [3, 2, 1]]), np.array([[0, 1, 2], [0, 1, 2]]))
    array([ 1., -1.])
    """
    return pearsonr(rankdata(a, axis=-1), rankdata(b, axis=-1), axis=-1).statistic
