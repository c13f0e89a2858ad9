"""The tables of a comparison that figures are drawn from."""

from typing import Any, Protocol, runtime_checkable

import pandas as pd


@runtime_checkable
class ComparisonTables(Protocol):
    """What figures read of a `quantus_senc.Comparison`; see there."""

    @property
    def scores(self) -> pd.DataFrame:
        """One row per metric, method and image."""

    @property
    def metrics(self) -> pd.DataFrame:
        """One row per metric, with its category and its direction."""

    @property
    def settings(self) -> dict[str, Any]:
        """The list `controls` holds the names of the controls."""

    def summary(self) -> pd.DataFrame:
        """One row per metric and method, with mean, error, rank and failure."""

    def agreement(self) -> pd.DataFrame:
        """One row per pair of metrics, with Kendall's tau and its interval."""


def scored_summary(comparison: ComparisonTables) -> pd.DataFrame:
    """The summary of a comparison that has at least one score.

    Raises
    ------
    ValueError
        If the comparison has no score.
    """
    summary = comparison.summary()
    if not summary["mean"].notna().any():
        raise ValueError(f"comparison of {len(comparison.scores)} rows holds no score; its `failure` column may say why")
    return summary


def by_metric_and_method(summary: pd.DataFrame, column: str) -> pd.DataFrame:
    """One column of a summary with a row per metric and a column per method, both in the order of the summary.

    Examples
    --------
    >>> summary = pd.DataFrame({"metric": ["SenC", "SenC"], "method": ["Saliency", "LRP"], "rank": [2.0, 1.0]})
    >>> by_metric_and_method(summary, "rank").to_dict("index")
    {'SenC': {'Saliency': 2.0, 'LRP': 1.0}}
    """
    wide = summary.pivot(index="metric", columns="method", values=column)
    return wide.loc[summary["metric"].unique(), summary["method"].unique()]
