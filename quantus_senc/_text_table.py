"""The means of a comparison in a terminal."""

import pandas as pd

from quantus_senc._comparison import Comparison
from quantus_senc._wording import number

_ARROWS = {"higher": "↑", "lower": "↓"}


def text_table(comparison: Comparison) -> str:
    """A row a metric, a column a method: mean ± its standard error over images, and a star for the best.

    Arrows point to the metric's better end; a dash stands where there is no score.
    """
    summary = comparison.summary()
    arrows = comparison.metrics.set_index("metric")["direction"].map(_ARROWS)
    cells = pd.DataFrame(
        {
            "metric": summary["metric"] + " " + summary["metric"].map(arrows),
            "method": summary["method"],
            "cell": [_cell(*row) for row in summary[["mean", "error", "rank"]].itertuples(index=False)],
        }
    )
    rows, columns = cells["metric"].unique(), cells["method"].unique()
    wide = cells.pivot(index="metric", columns="method", values="cell").loc[rows, columns]
    wide.index.name = wide.columns.name = None
    return wide.to_string()


def _cell(mean: float, error: float, rank: float) -> str:
    return f"{number(mean)}{'' if pd.isna(error) else f' ± {number(error)}'}{' *' if rank == 1 else '  '}"
