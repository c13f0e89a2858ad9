"""Means, standard errors and ranks of explanation methods, one metric at a time."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float64
from scipy.stats import rankdata

CLEAR = 2  # a lead is clear if it exceeds this many of its standard errors


@dataclass(frozen=True, eq=False)
class ScoreArrays:
    """The scores of a comparison as arrays. NaN stands for a score that is missing or not finite.

    Attributes
    ----------
    metrics, methods
        Names, in the order in which they first appear in the scores.
    sign
        1 if higher scores are better, -1 if lower scores are better.
    scores, standard_errors
        Of each image. A standard error is NaN if it is unknown, or if there is no score.
    """

    metrics: list[str]
    methods: list[str]
    sign: Float64[np.ndarray, " metrics"]
    scores: Float64[np.ndarray, "metrics methods images"]
    standard_errors: Float64[np.ndarray, "metrics methods images"]

    @classmethod
    def from_frames(cls, scores: pd.DataFrame, metrics: pd.DataFrame) -> "ScoreArrays":
        """From `Comparison.scores` and `Comparison.metrics`."""
        (metric, names), (method, methods), (image, images) = (
            pd.factorize(scores[column]) for column in ("metric", "method", "image")
        )
        both = np.full((2, len(names), len(methods), len(images)), np.nan)
        both[:, metric, method, image] = scores[["score", "standard_error"]].to_numpy(dtype=float).T
        both[:, ~np.isfinite(both[0])] = np.nan
        directions = metrics.set_index("metric")["direction"].loc[names]
        return cls(list(names), list(methods), np.where(directions == "lower", -1.0, 1.0), both[0], both[1])

    def n_images(self) -> int:
        """The number of images with a score by any metric for any method."""
        return int(np.isfinite(self.scores).any((0, 1)).sum())

    def means(self) -> Float64[np.ndarray, "metrics methods"]:
        """Means over the images that have a score."""
        return _mean(self.scores)

    def errors(self) -> Float64[np.ndarray, "metrics methods"]:
        """Standard errors of the means; NaN for fewer than two images.

        The noise of the masks is a part of the spread of the images, so the two are not added. With few images the spread may
        be small by chance, and it does not show what the masks do to all scores alike. So the larger of the two counts.
        """
        return _larger(_standard_error(self.scores), self.mask_errors())

    def mask_errors(self) -> Float64[np.ndarray, "metrics methods"]:
        """The part of the error of each mean that random masks contribute; NaN if it is unknown for an image."""
        return _error_of_mean(self.standard_errors, np.isfinite(self.scores))

    def ranks(self) -> Float64[np.ndarray, "metrics methods"]:
        """Ranks of the means. Rank 1 is the best in the direction of the metric; ties share the mean of their ranks."""
        return rankdata(-comparable(self.sign[:, None] * self.means()), axis=1, nan_policy="omit")

    def leads(self, metric: int, method: int) -> tuple[Float64[np.ndarray, " methods"], Float64[np.ndarray, " methods"]]:
        """Mean differences by which a method is better than each method, and their standard errors.

        A difference is taken image by image, over the images that have scores for both methods. Its error is the larger of two:
        from the spread of the differences, and from the noise of the masks in both methods' scores.
        """
        differences = self.sign[metric] * (self.scores[metric, method] - self.scores[metric])
        of_masks = np.hypot(self.standard_errors[metric, method], self.standard_errors[metric])
        return _mean(differences), _larger(_standard_error(differences), _error_of_mean(of_masks, np.isfinite(differences)))

    def rank_ranges(self) -> Float64[np.ndarray, "2 metrics methods"]:
        """The best and the worst rank of each method that clear leads leave open; NaN without a mean."""
        ranges = np.full((2, len(self.metrics), len(self.methods)), np.nan)
        for metric, means in enumerate(self.means()):
            known = np.isfinite(means)
            pairs = [self.leads(metric, method) for method in range(len(self.methods))]
            clear = np.array([lead > CLEAR * error for lead, error in pairs])  # row is clearly better than column
            ranges[:, metric, known] = 1 + clear.sum(0)[known], known.sum() - clear.sum(1)[known]
        return ranges


def comparable(means: Float64[np.ndarray, "*n methods"]) -> Float64[np.ndarray, "*n methods"]:
    """Means relative to the largest magnitude, rounded to 12 decimals.

    The rounding makes means of the same scores equal if they differ only by the order of summation.
    """
    largest = np.abs(means).max(-1, keepdims=True, initial=0, where=~np.isnan(means))
    return np.round(means / np.where(largest > 0, largest, 1), 12)


def summary(scores: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """One row per metric and method; see `Comparison.summary`."""
    arrays = ScoreArrays.from_frames(scores, metrics)
    index = pd.MultiIndex.from_product([arrays.metrics, arrays.methods], names=["metric", "method"])
    best, worst = arrays.rank_ranges()
    columns = {
        "n_images": np.isfinite(arrays.scores).sum(-1),
        "mean": arrays.means(),
        "error": arrays.errors(),
        "mask_error": arrays.mask_errors(),
        "rank": arrays.ranks(),
        "best_rank": best,
        "worst_rank": worst,
    }
    table = pd.DataFrame({name: values.ravel() for name, values in columns.items()}, index=index)
    table["failure"] = scores.groupby(["metric", "method"], sort=False)["failure"].agg(_failure).reindex(index).fillna("")
    return table.reset_index()


def _failure(reasons: pd.Series) -> str:
    """The reasons why images have no score, the most frequent first, with the number of images if it is not all."""
    counts = Counter(reason for reason in reasons if reason)
    return "; ".join(
        reason if count == len(reasons) else f"{reason} ({count} of {len(reasons)} images)"
        for reason, count in counts.most_common()
    )


def _error_of_mean(
    errors: Float64[np.ndarray, "*n images"], present: Bool[np.ndarray, "*n images"]
) -> Float64[np.ndarray, "*n"]:
    """The error of the mean over the images that are present, of values with these errors, which are taken as independent."""
    n_images = present.sum(-1)
    squares = np.square(np.where(present, errors, 0.0)).sum(-1)
    return np.sqrt(squares) / np.where(n_images > 0, n_images, np.nan)


def _larger(spread: Float64[np.ndarray, "*n"], of_masks: Float64[np.ndarray, "*n"]) -> Float64[np.ndarray, "*n"]:
    """The larger of two errors. One of masks that is unknown does not count; where there is no spread, nothing is known."""
    return np.maximum(spread, np.where(np.isfinite(of_masks), of_masks, 0.0))


def _mean(values: Float64[np.ndarray, "*n images"]) -> Float64[np.ndarray, "*n"]:
    """The mean of the finite values."""
    present = np.isfinite(values)
    count = present.sum(-1)
    return np.where(present, values, 0.0).sum(-1) / np.where(count > 0, count, np.nan)


def _standard_error(values: Float64[np.ndarray, "*n images"]) -> Float64[np.ndarray, "*n"]:
    """The standard error of the mean of the finite values, with n - 1 in the variance."""
    present = np.isfinite(values)
    count = present.sum(-1)
    squares = np.where(present, np.square(values - _mean(values)[..., None]), 0.0).sum(-1)
    return np.sqrt(squares / np.where(count > 1, count * (count - 1), np.nan))
