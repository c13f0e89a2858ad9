"""What a comparison says, in sentences."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from quantus_senc._summary import ScoreArrays
from quantus_senc._wording import listed, number, ordinal, with_error

CLEAR = 2  # how many standard errors of the difference make a lead clear
_FEW_IMAGES = 10
_NAMED = 2  # pairs of metrics named at either end


def verdict(arrays: ScoreArrays, metrics: pd.DataFrame, agreement: pd.DataFrame, controls: Sequence[str]) -> list[str]:
    """Sentences on the best methods, controls, agreement of metrics, and what is missing.

    Parameters
    ----------
    arrays
        The scores.
    metrics
        Their `metric` and `category`.
    agreement
        As `Comparison.agreement` returns it.
    controls
        Names of methods known to be uninformative.
    """
    known = [method for method in arrays.methods if method in controls]
    return [
        *_best(arrays, metrics, known),
        *_controls(arrays, known),
        *_alike(agreement),
        *_reservations(arrays),
    ]


def _best(arrays: ScoreArrays, metrics: pd.DataFrame, controls: Sequence[str]) -> Iterable[str]:
    """One sentence a category."""
    for category, rows in metrics.groupby("category", sort=False):
        by_finding: dict[str, list[str]] = {}
        for index, name in enumerate(arrays.metrics):
            if name in set(rows["metric"]):
                finding, evidence = _leader(arrays, index, controls)
                by_finding.setdefault(finding, []).append(f"{name}{evidence}")
        if by_finding:
            yield f"{category}: {'; '.join(f'{finding} by {listed(names)}' for finding, names in by_finding.items())}."


def _leader(arrays: ScoreArrays, metric: int, controls: Sequence[str]) -> tuple[str, str]:
    """Who is best, and by how much."""
    ranks = arrays.ranks()[metric]
    order = [int(index) for index in np.argsort(ranks, kind="stable") if np.isfinite(ranks[index])]
    if not order:
        return "no method has a score", ""
    first = [_named(arrays.methods[index], controls) for index in order if ranks[index] == ranks[order[0]]]
    if len(order) == 1:
        return f"only {first[0]} has a score", ""
    if len(first) > 1:
        return f"{listed(first)} tie for first", ""
    leads, errors = arrays.leads(metric, order[0])
    if np.isnan(errors[order[1:]]).any():
        return f"{first[0]} is best, by a margin of unknown error,", f" (second: {_named(arrays.methods[order[1]], controls)})"
    least = min(order[1:], key=lambda rival: leads[rival] - CLEAR * errors[rival])  # the one it is least clearly better than
    behind = _named(arrays.methods[least], controls)
    if leads[least] < 0:
        evidence = f" ({with_error(-leads[least], errors[least])} worse than {behind} on the images that both have scores for)"
        return f"{first[0]} has the best mean, but is not clearly best,", evidence
    clearly = "clearly best" if leads[least] > CLEAR * errors[least] else "best, but not clearly,"
    return f"{first[0]} is {clearly}", f" ({with_error(leads[least], errors[least])} better than {behind})"


def _controls(arrays: ScoreArrays, controls: Sequence[str]) -> Iterable[str]:
    """Where each control ranks, and by which metrics nothing is clearly better."""
    ranks = pd.DataFrame(arrays.ranks(), index=arrays.metrics, columns=arrays.methods)
    others = [index for index, method in enumerate(arrays.methods) if method not in controls]
    for control in controls:
        places: dict[str, list[str]] = {}
        for metric, row in ranks[ranks[control].notna()].iterrows():
            places.setdefault(_place(row, control), []).append(str(metric))
        if not places:
            continue
        where = listed([f"{place} by {listed(names)}" for place, names in places.items()])
        yield f"{_named(control, controls)} ranks {where}.".replace("the control", "The control", 1)
        behind = ranks.index[ranks[control] > ranks.min(axis=1)]  # of a control in front the sentence above says it
        unbeaten = [str(name) for name in behind if not _beaten(arrays, str(name), control, others)]
        if unbeaten:
            yield f"No informative method is clearly better than {_named(control, controls)} by {listed(unbeaten)}."


def _place(ranks: pd.Series, method: str) -> str:
    better, tied = int((ranks < ranks[method]).sum()), int((ranks == ranks[method]).sum())
    return f"{'joint ' if tied > 1 else ''}{ordinal(better + 1)} of {ranks.notna().sum()}"


def _beaten(arrays: ScoreArrays, metric: str, control: str, others: Sequence[int]) -> bool:
    """Whether another method is clearly better, or nothing can be said for lack of errors."""
    leads, errors = arrays.leads(arrays.metrics.index(metric), arrays.methods.index(control))
    known = [index for index in others if np.isfinite(errors[index])]
    return not known or bool((-leads[known] > CLEAR * errors[known]).any())


def _alike(agreement: pd.DataFrame) -> Iterable[str]:
    """How many pairs of metrics agree, disagree or leave it open, and the extremes."""
    if agreement.empty:
        return
    alike, opposed = agreement[agreement["low"] > 0], agreement[agreement["high"] < 0]
    unknown = int(agreement["low"].isna().sum())
    counts = {
        "ranking the methods alike (95 % interval of Kendall's tau above 0)": len(alike),
        "ranking them the other way round (below 0)": len(opposed),
        "leaving it open (0 included)": len(agreement) - len(alike) - len(opposed) - unknown,
        "without an interval (too few methods or images, or all tied)": unknown,
    }
    found = listed([f"{count} {what}" for what, count in counts.items() if count])
    yield f"Pairs of metrics: {found}."
    for label, pairs in (("Most alike", alike.nlargest(_NAMED, "tau")), ("Most opposed", opposed.nsmallest(_NAMED, "tau"))):
        if len(pairs):
            yield f"{label}: {listed([_pair(row) for row in pairs.to_dict('records')])}."


def _reservations(arrays: ScoreArrays) -> Iterable[str]:
    """Few images, and scores that are missing."""
    n_images = arrays.n_images()
    if n_images == 1:
        yield "There is a single image: no error and no interval is known, and no lead is clear."
    elif 1 < n_images < _FEW_IMAGES:
        yield f"There are only {n_images} images: errors and intervals are rough."
    missing = ~np.isfinite(arrays.scores).any(-1)
    if missing.any():
        cells = [
            f"{name} for {listed([method for method, absent in zip(arrays.methods, row, strict=True) if absent])}"
            for name, row in zip(arrays.metrics, missing, strict=True)
            if row.any()
        ]
        yield f"{missing.sum()} of {missing.size} means are missing: {'; '.join(cells)}."


def _named(method: str, controls: Sequence[str]) -> str:
    return f'the control "{method}"' if method in controls else method


def _pair(row: Mapping[Hashable, Any]) -> str:
    return f"{row['metric_a']} and {row['metric_b']} (tau {number(row['tau'])}, {number(row['low'])} to {number(row['high'])})"
