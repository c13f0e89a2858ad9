"""A comparison as text, for a terminal."""

import numpy as np
import pandas as pd

from quantus_senc.comparison.result import Comparison
from quantus_senc.core.wording import number
from quantus_senc.plot.style import ARROWS
from quantus_senc.plot.tables import by_metric_and_method


def text_table(comparison: Comparison) -> str:
    """The means of a comparison: one row per metric, one column per method.

    A cell is the mean ± its standard error over images, with a star for the best method, or a dash if there is no score.
    An arrow after the name of a metric points to its better end.
    """
    summary = comparison.summary()
    summary["cell"] = [_cell(*row) for row in summary[["mean", "error", "rank"]].itertuples(index=False)]
    arrows = comparison.metrics.set_index("metric")["direction"].map(ARROWS)
    table = by_metric_and_method(summary, "cell")
    table.index = pd.Index([f"{metric} {arrows[metric]}" for metric in table.index])
    table.columns.name = None
    return table.to_string()


def text_report(comparison: Comparison) -> str:
    """The table of means with a heading, and the sentences of the verdict as a list."""
    n_images = comparison.scores.loc[np.isfinite(comparison.scores["score"]), "image"].nunique()
    heading = f"Mean over {n_images} images ± its standard error; * is the best:"
    sentences = "\n".join(f"- {sentence}" for sentence in comparison.verdict())
    return f"{heading}\n\n{text_table(comparison)}\n\n{sentences}\n"


def _cell(mean: float, error: float, rank: float) -> str:
    return f"{number(mean, error=error)}{'' if pd.isna(error) else f' ± {number(error)}'}{' *' if rank == 1 else '  '}"
