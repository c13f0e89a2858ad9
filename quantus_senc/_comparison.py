"""Scores of explanation methods by several metrics, and what follows from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from quantus_senc import _archive
from quantus_senc._agreement import agreement
from quantus_senc._examples import Examples
from quantus_senc._summary import ScoreArrays, summary
from quantus_senc._verdict import verdict

_SCORES = {"metric": str, "method": str, "image": np.int64, "score": float, "standard_error": float, "failure": str}
_METRICS = {"metric": str, "category": str, "direction": str, "why": str, "parameters": str}


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of explanation methods by several metrics, on the same images and model.

    Attributes
    ----------
    scores
        One row a metric, method and image, in columns `metric`, `method`, `image` (a number), `score` (NaN where there is
        none), `standard_error` (of the score, from random masks; NaN where that is unknown) and `failure` (why metric and
        method have no scores, or an empty string).
    metrics
        One row a metric, in columns `metric`, `category` (such as "Faithfulness"), `direction` ("higher" or "lower", the
        better end), `why` (how the direction is known) and `parameters`.
    settings
        What JSON can hold of how the scores came about. The names in the list `controls` are methods known to be
        uninformative, such as random maps.
    examples
        What one image looks like, for pictures.

    Raises
    ------
    ValueError
        If a column is missing, a direction unknown, a metric undescribed, a score there twice, or `controls` no list.
    """

    scores: pd.DataFrame
    metrics: pd.DataFrame
    settings: dict[str, Any]
    examples: Examples | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", _checked("scores", self.scores, _SCORES, ["metric", "method", "image"]))
        object.__setattr__(self, "metrics", _checked("metrics", self.metrics, _METRICS, ["metric"]))
        unknown = sorted(set(self.metrics["direction"]) - {"higher", "lower"})
        if unknown:
            raise ValueError(f"metrics hold directions {unknown}; write 'higher' or 'lower', whichever is better")
        controls = self.settings.get("controls", [])
        if not isinstance(controls, list):
            raise ValueError(f"settings hold controls={controls!r}, which is no list; put the names of methods in one")
        missing = sorted(set(self.scores["metric"]) - set(self.metrics["metric"]))
        if missing:
            raise ValueError(f"scores are of metrics {missing} that `metrics` has no row for; add one for each")

    def __repr__(self) -> str:
        counts = (f"{self.scores[column].nunique()} {column}s" for column in ("metric", "method", "image"))
        return f"Comparison of {', '.join(counts)}; see summary(), agreement(), verdict(), report(path)"

    def to_frame(self) -> pd.DataFrame:
        """A copy of the scores, one row a metric, method and image."""
        return self.scores.copy()

    def summary(self) -> pd.DataFrame:
        """Mean scores, one row a metric and method, as first met in `scores`.

        Returns
        -------
        DataFrame
            Columns `metric`; `method`; `n_images`, how many have a score; `mean`; `error`, its standard error from the spread
            of the images, NaN for fewer than two; `mask_error`, the part of it that more masks would remove, NaN where
            unknown; `rank`, 1 for the best method in the metric's own direction, ties share the mean of their ranks, NaN
            without a mean; `failure`.
        """
        return summary(self.scores, self.metrics)

    def agreement(self, n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Kendall's tau-b between the rankings of methods by every two metrics, with a bootstrap interval over images.

        Every resample draws the same images for all metrics and methods; images without a score are left out of means.

        Parameters
        ----------
        n_resamples
            How many times the images are drawn.
        seed
            Of the drawing.

        Returns
        -------
        DataFrame
            One row a pair, in columns `metric_a`, `metric_b`, `n_methods` that both have scores for, `tau`, and `low` and
            `high`, the 95 % percentile interval. NaN for fewer than three methods or a metric that ties them all; the
            interval also for a single image.

        Raises
        ------
        ValueError
            If `n_resamples` is less than 1.
        """
        return agreement(ScoreArrays.of(self.scores, self.metrics), n_resamples, seed)

    def verdict(self) -> list[str]:
        """What the numbers say, in plain sentences: the best methods, where controls rank, which metrics agree."""
        arrays = ScoreArrays.of(self.scores, self.metrics)
        return verdict(arrays, self.metrics, self.agreement(), list(self.settings.get("controls", [])))

    def report(self, path: str | Path) -> Path:
        """Write everything on one web page that needs nothing else; returns its path.

        Raises
        ------
        ValueError
            If there are no scores.
        OSError
            If the page cannot be written.
        """
        from quantus_senc._report import report  # Jinja and pictures are for those who want a page

        page, path = report(self), Path(path)
        try:
            path.write_text(page, encoding="utf-8")
        except OSError as error:
            raise OSError(f"path={str(path)!r} cannot be written ({error}); pass a file in a folder that exists") from error
        return path

    def save(self, folder: str | Path) -> None:
        """Write `scores.csv`, `metrics.csv`, `settings.json` and, if there are examples, `examples.npz` in a folder.

        Raises
        ------
        TypeError
            If JSON cannot hold the settings.
        OSError
            If the folder cannot be written.
        """
        _archive.save(folder, self.scores, self.metrics, self.settings, self.examples)

    @classmethod
    def load(cls, folder: str | Path) -> "Comparison":
        """The comparison that `save` has written, bit for bit.

        Raises
        ------
        FileNotFoundError
            If the folder holds none.
        """
        return cls(*_archive.load(folder))


def _checked(name: str, frame: pd.DataFrame, columns: dict[str, Any], key: list[str]) -> pd.DataFrame:
    """A copy of the frame's known columns, in their own types."""
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} lack the columns {missing}; pass a frame with {list(columns)}")
    if frame[key].isna().any(axis=None):
        raise ValueError(f"{name} hold NaN among {key}; give every row its own")
    twice = frame.loc[frame.duplicated(key), key]
    if len(twice):
        raise ValueError(f"{name} hold {twice.iloc[0].to_dict()} more than once; keep one row of it")
    empty = {column: "" for column, kind in columns.items() if kind is str}
    return frame[list(columns)].fillna(empty).astype(columns).reset_index(drop=True)
