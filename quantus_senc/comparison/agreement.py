"""The agreement of every two metrics on the ranking of explanation methods."""

from itertools import combinations

import numpy as np
import pandas as pd
from jaxtyping import Float64, Int

from quantus_senc.comparison.summary import ScoreArrays, comparable

_FEWEST_METHODS = 3


def agreement(arrays: ScoreArrays, n_resamples: int, seed: int) -> pd.DataFrame:
    """One row per pair of metrics; see `Comparison.agreement`."""
    if n_resamples < 1:
        raise ValueError(f"n_resamples={n_resamples} is less than 1; 1000 make a smooth interval")
    means = arrays.means()
    tau = rank_agreement(arrays.sign[:, None] * means)
    resampled = rank_agreement(arrays.sign[:, None] * _resampled_means(arrays, n_resamples, seed))
    pairs = list(combinations(range(len(means)), 2))
    first, second = np.array(pairs, dtype=int).reshape(-1, 2).T
    table = pd.DataFrame(
        {
            "metric_a": [arrays.metrics[index] for index in first],
            "metric_b": [arrays.metrics[index] for index in second],
            "n_methods": np.isfinite(means[first] * means[second]).sum(1),
            "tau": tau[first, second],
        }
    )
    intervals = pd.DataFrame(resampled[:, first, second]).quantile([0.025, 0.975])  # ignores NaN
    known = np.isfinite(table["tau"].to_numpy()) & (arrays.n_images() > 1)  # resamples of one image are all equal
    table["low"], table["high"] = np.where(known, intervals.to_numpy(), np.nan)
    return table


def rank_agreement(means: Float64[np.ndarray, "*n metrics methods"]) -> Float64[np.ndarray, "*n metrics metrics"]:
    """Kendall's tau-b of every two metrics, over the methods that have a mean by both.

    Parameters
    ----------
    means
        Mean scores with a sign that makes higher better; NaN if there is none.

    Returns
    -------
    ndarray
        In [-1, 1]; NaN for fewer than three methods, or if a metric ties all of them.

    References
    ----------
    M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
    """
    rounded = comparable(means)
    first, second = np.triu_indices(means.shape[-1], 1)
    signs = np.sign(rounded[..., first] - rounded[..., second])
    present = np.isfinite(signs).astype(float)
    signs = np.nan_to_num(signs)
    untied = np.square(signs) @ present.swapaxes(-1, -2)
    scored = np.isfinite(means).astype(float)
    n_methods = scored @ scored.swapaxes(-1, -2)
    defined = (n_methods >= _FEWEST_METHODS) & (untied > 0) & (untied.swapaxes(-1, -2) > 0)
    product = np.where(defined, untied * untied.swapaxes(-1, -2), np.nan)
    return signs @ signs.swapaxes(-1, -2) / np.sqrt(product)


def _resampled_means(arrays: ScoreArrays, n_resamples: int, seed: int) -> Float64[np.ndarray, "resamples metrics methods"]:
    """Means over images drawn with replacement. Every metric and method gets the same images."""
    scored = arrays.scores[..., np.isfinite(arrays.scores).any((0, 1))]
    counts = image_counts(scored.shape[-1], n_resamples, seed).astype(float)
    present = np.isfinite(scored)
    sums, weights = (np.einsum("rb,qeb->rqe", counts, values) for values in (np.where(present, scored, 0.0), present * 1.0))
    return sums / np.where(weights > 0, weights, np.nan)


def image_counts(n_images: int, n_resamples: int, seed: int) -> Int[np.ndarray, "resamples images"]:
    """The number of times that each image is drawn in each bootstrap resample."""
    if n_images == 0:
        return np.zeros((n_resamples, 0), dtype=int)
    return np.random.default_rng(seed).multinomial(n_images, np.full(n_images, 1 / n_images), size=n_resamples)
