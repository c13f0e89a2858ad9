"""From the scores of a trial to MetaQuantus's numbers, with intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.stats import t as student

from benchmarks.reproduction.meta_consistency import (
    changed_distribution,
    preserved_ranks,
    unchanged_distribution,
    worse_scores,
)
from benchmarks.reproduction.values import rounded

Scored = Mapping[str, Any]  # what `Trial.scores` returns


def over_copies(values: np.ndarray) -> dict[str, Any]:
    """Mean of the perturbed copies that have a value, standard error, and 95 % interval by Student's t.

    Examples
    --------
    >>> over_copies(np.array([0.4, 0.5, 0.6, np.nan]))
    {'mean': 0.5, 'error': 0.0577, 'low': 0.2516, 'high': 0.7484, 'n_copies': 3}
    """
    finite = values[np.isfinite(values)]
    n = len(finite)
    mean = finite.mean() if n else np.nan
    error = finite.std(ddof=1) / n**0.5 if n > 1 else np.nan
    half = error * student.ppf(0.975, n - 1) if n > 1 else np.nan
    rounded_values = {
        key: rounded(value) for key, value in {"mean": mean, "error": error, "low": mean - half, "high": mean + half}.items()
    }
    return {**rounded_values, "n_copies": n}


def criteria(
    as_they_are: np.ndarray, minor: list[Scored], disruptive: list[Scored], metric: str, *, higher_is_better: bool
) -> dict[str, np.ndarray]:
    """The four criteria of a metric for each copy, and their mean "MC", the meta-consistency; see `meta_consistency`.

    Parameters
    ----------
    as_they_are
        Scores (L, N) for the images and the model as they are.
    minor, disruptive
        What `Trial.scores` returns for each copy.
    metric, higher_is_better
        Its name and its direction.
    """
    gentle, harsh = ((as_they_are, *_arrays(copies, metric)) for copies in (minor, disruptive))
    values = {
        "IAC minor": unchanged_distribution(*gentle),
        "IAC disruptive": changed_distribution(*harsh),
        "IEC minor": preserved_ranks(*gentle),
        "IEC disruptive": worse_scores(*harsh, higher_is_better=higher_is_better),
    }
    return {"MC": np.mean(list(values.values()), axis=0), **values}


def meta_consistency(
    as_they_are: Scored, copies: Mapping[str, list[Scored]], metric: str, *, higher_is_better: bool, images: slice = slice(None)
) -> dict[str, Any]:
    """The criteria under noise in the input and in the model, and the mean of the two meta-consistencies, "MC".

    Parameters
    ----------
    as_they_are
        What `Trial.scores` returns for the images and the model as they are.
    copies
        By the names of perturbations, what `Trial.scores` returns for each copy.
    metric, higher_is_better
        Its name and its direction.
    images
        Those that are read.
    """
    first, both = np.array(as_they_are["scores"][metric], float)[:, images], {}
    for of in ("input", "model"):
        minor, disruptive = ([_cut(copy, metric, images) for copy in copies[f"{how}, {of}"]] for how in ("minor", "disruptive"))
        both[of] = criteria(first, minor, disruptive, metric, higher_is_better=higher_is_better)
    mean = np.mean([values["MC"] for values in both.values()], axis=0)
    return {
        "MC": over_copies(mean),
        **{of: {name: over_copies(values) for name, values in of_noise.items()} for of, of_noise in both.items()},
    }


def _cut(copy: Scored, metric: str, images: slice) -> Scored:
    scores = np.array(copy["scores"][metric])[:, images]
    return {"counts": copy["counts"][images], "scores": {metric: scores}}


def _arrays(copies: list[Scored], metric: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores (K, L, N) and which images count (K, N)."""
    return np.array([copy["scores"][metric] for copy in copies], float), np.array([copy["counts"] for copy in copies], bool)


def mean_scores(as_they_are: Scored, copies: Mapping[str, list[Scored]], metric: str, methods: list[str]) -> dict[str, Any]:
    """The mean score of each method as it is, and after each perturbation for the images that count."""
    values: dict[str, Any] = {}
    for row, method in enumerate(methods):
        values[method] = {"as they are": _mean(np.array(as_they_are["scores"][metric][row], float))}
        for name, of_name in copies.items():
            scores, counts = _arrays(of_name, metric)
            values[method][name] = _mean(scores[:, row][counts])
    return values


def _mean(scores: np.ndarray) -> float | None:
    finite = scores[np.isfinite(scores)]
    return rounded(finite.mean()) if len(finite) else None
