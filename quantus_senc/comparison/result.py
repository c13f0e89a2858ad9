"""`quantus_senc.Comparison`: scores of explanation methods by several metrics, and what follows from them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from quantus_senc.comparison.agreement import agreement
from quantus_senc.comparison.checked_frames import METRIC_COLUMNS, SCORE_COLUMNS, check_together, checked
from quantus_senc.comparison.collect import NOT_DONE, collected
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.notebook import notebook_html
from quantus_senc.comparison.plots import Plots
from quantus_senc.comparison.report import report
from quantus_senc.comparison.run_folder import RUN, FolderRun
from quantus_senc.comparison.save_and_load import read_folder, write_folder
from quantus_senc.comparison.summary import ScoreArrays, summary
from quantus_senc.comparison.verdict import verdict
from quantus_senc.core.checks import check_known
from quantus_senc.plot.tables import by_metric_and_method


@dataclass(frozen=True, eq=False)
class Comparison:
    """Scores of explanation methods by several metrics, on the same images and model.

    Attributes
    ----------
    scores
        One row per metric, method and image, in columns `metric`, `method`, `image` (its number in the whole data set),
        `score` (NaN if there is none), `standard_error` (of the score, from random masks; NaN if it is unknown) and `failure`
        (why there is no score, or an empty string).
    metrics
        One row per metric, in columns `metric`, `category` (such as "Faithfulness"), `direction` ("higher" or "lower",
        whichever is better), `why` (how the direction is known) and `parameters`.
    settings
        How the scores came about, in values that JSON can hold. The list `controls` holds the names of methods that carry no
        information about the model, such as random maps.
    examples
        One image, or one row of a table, with its maps and sensitivities, for figures.

    Raises
    ------
    ValueError
        If a column is missing or holds other types, a direction is unknown, a metric of the scores is not in `metrics`, a row
        occurs twice, a text cannot be written in UTF-8, or settings are no dict with a list of `controls`.
    """

    scores: pd.DataFrame
    metrics: pd.DataFrame
    settings: dict[str, Any]
    examples: Examples | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", checked("scores", self.scores, SCORE_COLUMNS, ["metric", "method", "image"]))
        object.__setattr__(self, "metrics", checked("metrics", self.metrics, METRIC_COLUMNS, ["metric"]))
        check_together(self.scores, self.metrics, self.settings)

    def __repr__(self) -> str:
        counts = (f"{self.scores[column].nunique()} {column}s" for column in ("metric", "method", "image"))
        unfinished = f"{self.n_missing} of {len(self.scores)} scores not done yet; " if self.n_missing else ""
        return f"Comparison of {', '.join(counts)}; {unfinished}see summary(), agreement(), verdict(), report(path)"

    def _repr_html_(self) -> str:
        return notebook_html(self)

    @property
    def n_missing(self) -> int:
        """How many scores are not done yet, in a folder whose run has not come to its end."""
        return int((self.scores["failure"] == NOT_DONE).sum())

    def to_frame(self) -> pd.DataFrame:
        """A copy of the scores, one row per metric, method and image."""
        return self.scores.copy()

    def table(self, column: str = "mean") -> pd.DataFrame:
        """The mean scores as a frame with a row per metric and a column per method, in the order of `scores`.

        Parameters
        ----------
        column
            Another column of `summary`, such as "error", "rank" or "n_images".

        Raises
        ------
        ValueError
            If `summary` has no such column.
        """
        means = self.summary()
        check_known("column", str(column), means.columns.drop(["metric", "method"]))
        return by_metric_and_method(means, column)

    @property
    def plot(self) -> Plots:
        """The figures of `quantus_senc.plot`, as methods: `comparison.plot.rank_lines()`."""
        return Plots(self)

    def summary(self) -> pd.DataFrame:
        """Mean scores, one row per metric and method, in the order in which they first appear in `scores`.

        Returns
        -------
        DataFrame
            Columns `metric`; `method`; `n_images`, the number of images with a score; `mean`; `error`, the standard error of
            the mean, NaN for fewer than two images; `mask_error`, the part of it that more masks would remove, NaN if it is
            unknown; `rank`, 1 for the best method in the direction of the metric, where ties share the mean of their ranks,
            NaN without a mean; `best_rank` and `worst_rank`, between which the rank may be; `failure`, why images have no
            score.

        Notes
        -----
        `error` comes from the spread of the images, which holds the noise of the masks. It is never smaller than `mask_error`:
        few images may lie close together by chance, and what masks do to all scores alike makes no spread. A method is clearly
        better than another if its lead exceeds two standard errors of the lead, with the masks' noise of both methods.
        `best_rank` counts the methods that are clearly better, and `worst_rank` those that are not clearly worse.

        `mask_error` takes the errors of images as independent. In parameter SenC all images share the masks of a layer, but
        respond to them in their ways: over seeds, means of 16 digits moved no further than it says
        (`benchmarks/shared_masks.py`). Where all images respond alike, the error of the mean is that of one image.
        """
        return summary(self.scores, self.metrics)

    def agreement(self, n_resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
        """Kendall's tau-b between the rankings of methods by every two metrics, with a bootstrap interval over images.

        Every resample draws the same images for all metrics and methods. Means leave out images without a score.

        Parameters
        ----------
        n_resamples
            The number of bootstrap resamples.
        seed
            Of the bootstrap.

        Returns
        -------
        DataFrame
            One row per pair, in columns `metric_a`, `metric_b`, `n_methods` (with scores by both), `tau`, and `low` and
            `high`, the 95 % percentile interval. They are NaN for fewer than three methods or a metric that ties all of them;
            the interval is also NaN for a single image.

        Raises
        ------
        ValueError
            If `n_resamples` is less than 1.
        """
        return agreement(ScoreArrays.from_frames(self.scores, self.metrics), n_resamples, seed)

    def verdict(self) -> list[str]:
        """Sentences on the best methods, the ranks of controls, the agreement of metrics, and missing scores.

        The best method by a metric has the best mean, and the runner-up that is named beside it has the second best. The best
        method is clearly best if its lead over each other method exceeds two standard errors of that lead; see `summary`.
        """
        arrays = ScoreArrays.from_frames(self.scores, self.metrics)
        return verdict(arrays, self.metrics, self.agreement(), list(self.settings.get("controls", [])))

    def report(self, path: str | Path) -> Path:
        """Write a web page with the verdict, tables, figures and settings, in one file; returns its path.

        Parameters
        ----------
        path
            The file to write, such as "report.html".

        Raises
        ------
        ValueError
            If there are no scores.
        OSError
            If the page cannot be written.
        """
        page, path = report(self).encode(errors="backslashreplace"), Path(path)
        try:
            path.write_bytes(page)
        except OSError as error:
            raise OSError(f"path={str(path)!r} was not written ({error}); mend that, or pass another file") from error
        return path

    def save(self, folder: str | Path) -> None:
        """Write `scores.csv`, `metrics.csv`, `settings.json` and, if there are examples, `examples.npz` in a folder.

        They replace those of an older comparison when all are complete; if one cannot be written, the older ones stay. If
        several programs save there, one waits for the other. `SHA256SUMS` says which files belong together, and an empty file
        `.lock` stays. In the tables an apostrophe stands before a text that a spreadsheet might run as a formula.

        Parameters
        ----------
        folder
            It is created if it does not exist.

        Raises
        ------
        TypeError
            If JSON cannot hold the settings.
        OSError
            If the folder cannot be written, with the reason that the system gives.
        """
        write_folder(folder, self.scores, self.metrics, self.settings, self.examples)

    @classmethod
    def load(cls, folder: str | Path) -> "Comparison":
        """Read a comparison, bit for bit: what `save` has written, or what `compare` has done so far in a folder.

        Files that were changed, or written by hand, are refused. Of a run in a folder, cells that are damaged or not done
        have a `failure` that says so.

        Parameters
        ----------
        folder
            As for `save` or `compare`.

        Raises
        ------
        FileNotFoundError
            If the folder holds no comparison, or none with `SHA256SUMS`.
        ValueError
            If a file is missing, damaged, or not of the same comparison as the others. The error says which.
        """
        if (Path(folder) / RUN).exists():
            return cls(*collected(FolderRun(Path(folder))))
        return cls(*read_folder(folder))
