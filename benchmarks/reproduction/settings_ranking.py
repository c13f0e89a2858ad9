"""How much two rankings of methods agree: Kendall's tau-b, with a bootstrap over images."""

from typing import Any

import numpy as np
from jaxtyping import Float64

from benchmarks.reproduction.values import rounded
from quantus_senc.comparison.agreement import image_counts, rank_agreement

_RESAMPLES = 1000


def ranking_agreement(
    scores: Float64[np.ndarray, "methods images"], reference: Float64[np.ndarray, "methods images"], seed: int
) -> dict[str, Any]:
    """Kendall's tau-b of the methods' mean scores in two settings, with what resampled images make of it.

    Every resample draws the same images in both settings. Images without a score are left out of a mean, and methods
    without a mean out of tau.

    Parameters
    ----------
    scores, reference
        Of the same methods and images in two settings; NaN where there is none.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        `tau`; `error`, the standard deviation of the resampled taus; `low` and `high`, between which 95 % of them are.
    """
    everything = np.ones((1, scores.shape[1]), dtype=int)
    counts = np.concatenate([everything, image_counts(scores.shape[1], _RESAMPLES, seed)])
    means = np.stack([_means(one, counts) for one in (scores, reference)], axis=1)
    tau, *resampled = rank_agreement(means)[:, 0, 1]
    known = np.asarray(resampled)[np.isfinite(resampled)]
    if not (np.isfinite(tau) and len(known)):
        return dict.fromkeys(("tau", "error", "low", "high"))
    low, high = np.quantile(known, [0.025, 0.975])
    return {"tau": rounded(tau), "error": rounded(known.std()), "low": rounded(low), "high": rounded(high)}


def _means(
    scores: Float64[np.ndarray, "methods images"], counts: Float64[np.ndarray, "resamples images"]
) -> Float64[np.ndarray, "resamples methods"]:
    """Means over images that count so many times each."""
    present = np.isfinite(scores)
    sums, weights = counts @ np.where(present, scores, 0.0).T, counts @ present.T.astype(float)
    return sums / np.where(weights > 0, weights, np.nan)
