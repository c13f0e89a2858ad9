"""Values of comparisons and of samples, in numbers that JSON holds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from quantus_senc import Comparison

ROW = ("n_images", "mean", "error", "mask_error")


def rounded(value: float) -> float | None:
    """Four digits after the point; None for NaN, which JSON lacks."""
    return None if value is None or not math.isfinite(value) else round(float(value), 4)


def sample_values(sample: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Number, mean, standard error of the mean, and variance of the finite values."""
    values = np.asarray(sample, float)
    values = values[np.isfinite(values)]
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    mean = float(values.mean()) if len(values) else math.nan
    return {
        "n_images": len(values),
        "mean": rounded(mean),
        "error": rounded(deviation / max(len(values), 1) ** 0.5),
        "variance": rounded(deviation**2),
    }


def mask_error(errors: Sequence[float] | np.ndarray) -> float | None:
    """The error of a mean that the masks make, from the finite errors of its images; None if there are none.

    As `mask_error` of `Comparison.summary`, it takes the errors of images as independent.
    """
    known = np.asarray(errors, float)
    known = known[np.isfinite(known)]
    return rounded(np.linalg.norm(known) / len(known)) if len(known) else None


def comparison_values(comparison: Comparison) -> dict[str, dict[str, dict[str, Any]]]:
    """For each metric and method: number of images, mean, its standard error, the masks' part of it, and variance.

    Top-k agreements have the share of images with all k features in common, and with none, besides.
    """
    values: dict[str, dict[str, dict[str, Any]]] = {}
    for row in comparison.summary().to_dict("records"):
        scores = comparison.scores.query("metric == @row['metric'] and method == @row['method']")["score"].to_numpy()
        cell = sample_values(scores) | {key: rounded(row[key]) for key in ROW if key != "n_images"}
        if row["failure"]:
            cell["failure"] = row["failure"]
        if row["metric"].startswith("Top-"):
            finite = scores[np.isfinite(scores)]
            cell |= {"all in common": rounded(np.mean(finite == 1)), "none in common": rounded(np.mean(finite == 0))}
        values.setdefault(row["metric"], {})[row["method"]] = cell
    return values
