"""Means, errors and ranks of explanation methods, one metric at a time."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float64
from scipy.stats import rankdata


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """Tidy scores as arrays; NaN where an image has no (finite) score, and for standard errors that are unknown.

    Attributes
    ----------
    metrics, methods
        Names, as first met in the scores.
    sign
        1 where higher scores are better, -1 where lower ones are.
    scores, standard_errors
        One of each for every metric, method and image.
    """

    metrics: list[str]
    methods: list[str]
    sign: Float64[np.ndarray, " metrics"]
    scores: Float64[np.ndarray, "metrics methods images"]
    standard_errors: Float64[np.ndarray, "metrics methods images"]

    @classmethod
    def of(cls, scores: pd.DataFrame, metrics: pd.DataFrame) -> "ScoreArrays":
        """From the frames of a comparison."""
        (metric, names), (method, methods), (image, images) = (
            pd.factorize(scores[column]) for column in ("metric", "method", "image")
        )
        both = np.full((2, len(names), len(methods), len(images)), np.nan)
        both[:, metric, method, image] = scores[["score", "standard_error"]].to_numpy(dtype=float).T
        both[:, ~np.isfinite(both[0])] = np.nan
        better = metrics.set_index("metric")["direction"].loc[names]
        return cls(list(names), list(methods), np.where(better == "lower", -1.0, 1.0), both[0], both[1])

    def n_images(self) -> int:
        """How many images have a score by any metric for any method."""
        return int(np.isfinite(self.scores).any((0, 1)).sum())

    def means(self) -> Float64[np.ndarray, "metrics methods"]:
        """Means over the images that have a score."""
        return _mean(self.scores)

    def errors(self) -> Float64[np.ndarray, "metrics methods"]:
        """Standard errors of the means, from the spread of the images; NaN for fewer than two."""
        return _error(self.scores)

    def ranks(self) -> Float64[np.ndarray, "metrics methods"]:
        """Ranks of the means; 1 is best in the metric's own direction, ties share the mean of their ranks."""
        return rankdata(-comparable(self.sign[:, None] * self.means()), axis=1, nan_policy="omit")

    def leads(self, metric: int, method: int) -> tuple[Float64[np.ndarray, " methods"], Float64[np.ndarray, " methods"]]:
        """By how much better a method is than each one, on the images that both have a score for, and the standard errors."""
        differences = self.sign[metric] * (self.scores[metric, method] - self.scores[metric])
        return _mean(differences), _error(differences)


def comparable(means: Float64[np.ndarray, "*n methods"]) -> Float64[np.ndarray, "*n methods"]:
    """The means relative to the largest, rounded: those of the same scores summed in another order become equal."""
    largest = np.abs(means).max(-1, keepdims=True, initial=0, where=~np.isnan(means))
    return np.round(means / np.where(largest > 0, largest, 1), 12)


def summary(scores: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One row a metric and method; see `Comparison.summary`."""
    arrays = ScoreArrays.of(scores, metrics)
    n_images = np.isfinite(arrays.scores).sum(-1)
    scored = np.where(np.isfinite(arrays.scores), arrays.standard_errors, 0.0)
    with np.errstate(invalid="ignore"):
        mask_errors = np.sqrt(np.square(scored).sum(-1)) / np.where(n_images > 0, n_images, np.nan)
    index = pd.MultiIndex.from_product([arrays.metrics, arrays.methods], names=["metric", "method"])
    columns = {
        "n_images": n_images,
        "mean": arrays.means(),
        "error": arrays.errors(),
        "mask_error": mask_errors,
        "rank": arrays.ranks(),
    }
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    failed = scores[scores["failure"] != ""].groupby(["metric", "method"], sort=False)["failure"].first()
    table["failure"] = failed.reindex(index).fillna("").astype(str)
    return table.reset_index()


def _mean(values: Float64[np.ndarray, "*n images"]) -> Float64[np.ndarray, "*n"]:
    present = np.isfinite(values)
    count = present.sum(-1)
    return np.where(present, values, 0.0).sum(-1) / np.where(count > 0, count, np.nan)


def _error(values: Float64[np.ndarray, "*n images"]) -> Float64[np.ndarray, "*n"]:
    present = np.isfinite(values)
    count = present.sum(-1)
    squares = np.where(present, np.square(values - _mean(values)[..., None]), 0.0).sum(-1)
    return np.sqrt(squares / np.where(count > 1, count * (count - 1), np.nan))
