"""A comparison as a web page in one file."""

import math
from collections.abc import Hashable
from importlib.resources import files
from typing import Any

import numpy as np
import pandas as pd
from jinja2 import Environment, StrictUndefined

from quantus_senc.comparison.report_pictures import ReportedComparison, pictures
from quantus_senc.core.wording import decimals_for, number
from quantus_senc.plot.style import ARROWS
from quantus_senc.plot.tables import scored_summary


def report(comparison: ReportedComparison) -> str:
    """The page in HTML: verdict, table of means, pictures, agreement, metrics and settings.

    Raises
    ------
    ValueError
        If there are no scores.
    """
    means = means_of(comparison)
    scored = comparison.scores[np.isfinite(comparison.scores["score"])]
    source = files("quantus_senc.comparison").joinpath("report.html.j2").read_text(encoding="utf-8")
    template = environment().from_string(source)
    return template.render(
        verdict=verdict_parts(comparison),
        n_images=scored["image"].nunique(),
        columns=metric_columns(comparison.metrics, list(means["metric"].unique())),
        rows=by_method(means, comparison.settings.get("controls", [])),
        failures=means[means["failure"] != ""].to_dict("records"),
        pictures=list(pictures(comparison)),
        agreement=_agreement(comparison.agreement()),
        metrics=metric_columns(comparison.metrics, list(comparison.metrics["metric"])),
        settings=comparison.settings,
    )


def environment() -> Environment:
    """An environment in which every value is escaped."""
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def means_of(comparison: ReportedComparison) -> pd.DataFrame:
    """The summary of a comparison, with a column `best` for the methods that are first among several.

    Raises
    ------
    ValueError
        If there are no scores.
    """
    summary = scored_summary(comparison)
    by_metric = summary.groupby("metric")["rank"]
    summary["best"] = (summary["rank"] == by_metric.transform("min")) & (by_metric.transform("count") > 1)
    return summary


def verdict_parts(comparison: ReportedComparison) -> list[tuple[str, str]]:
    """The sentences of the verdict, each split into the category that it begins with, if any, and the rest."""
    subjects = [f"{category}:" for category in comparison.metrics["category"].unique()]
    split = [(next(filter(sentence.startswith, subjects), ""), sentence) for sentence in comparison.verdict()]
    return [(subject, sentence.removeprefix(subject)) for subject, sentence in split]


def metric_columns(metrics: pd.DataFrame, names: list[str]) -> list[dict[Hashable, Any]]:
    """The rows of the table of metrics with these names, with arrows that point to the better end."""
    described = metrics.assign(arrow=metrics["direction"].map(ARROWS)).set_index("metric", drop=False)
    return described.loc[names].to_dict("records")


def by_method(summary: pd.DataFrame, controls: list[str]) -> list[dict[str, Any]]:
    """One row per method, with one cell per metric."""
    decimals = {name: decimals_for(errors.median()) for name, errors in summary.groupby("metric")["error"]}
    return [
        {
            "method": method,
            "control": method in controls,
            "cells": [_cell(cell, decimals[cell["metric"]]) for cell in cells.to_dict("records")],
        }
        for method, cells in summary.groupby("method", sort=False)
    ]


def _cell(cell: dict[Hashable, Any], decimals: int) -> dict[str, Any]:
    """Numbers as the table shows them, and the value that it is sorted by."""
    errors = {"mean": cell["error"], "error": 0.0, "mask_error": 0.0}
    shown = {name: "" if math.isnan(cell[name]) else number(cell[name], decimals, error) for name, error in errors.items()}
    value = "" if math.isnan(cell["mean"]) else repr(float(cell["mean"]))
    return shown | {
        "value": value,
        "rank": f"{cell['rank']:g}",
        **{name: cell[name] for name in ("best", "n_images", "failure")},
    }


def _agreement(agreement: pd.DataFrame) -> list[dict[Hashable, Any]]:
    """One row per pair of metrics, with a word for what its interval says."""
    rows = []
    for pair in agreement.to_dict("records"):
        tau, low, high = (pair[name] for name in ("tau", "low", "high"))
        reading = "alike" if low > 0 else "opposed" if high < 0 else "unknown" if math.isnan(low) else "open"
        interval = "–" if math.isnan(low) else f"{number(low)} to {number(high)}"
        shown = {"tau": number(tau), "interval": interval, "reading": reading}
        rows.append(pair | shown | {"value": "" if math.isnan(tau) else repr(float(tau))})
    return rows
