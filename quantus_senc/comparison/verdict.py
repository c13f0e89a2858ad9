"""What follows from a comparison, in sentences."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from quantus_senc.comparison.summary import CLEAR, ScoreArrays
from quantus_senc.core.wording import listed, number, ordinal, with_error

_FEW_IMAGES = 10
_N_PAIRS = 2  # pairs of metrics that are named as most alike, and as most opposed


def verdict(arrays: ScoreArrays, metrics: pd.DataFrame, agreement: pd.DataFrame, controls: Sequence[str]) -> list[str]:
    """Sentences on the best methods, the controls, the agreement of metrics, and missing scores.

    The method with the best mean is clearly best if its lead over each other method exceeds two standard errors of that lead.
    The runner-up has the second best mean, and the sentence gives the lead over it. It names the other methods, too, over
    which the lead is not clear.

    Parameters
    ----------
    arrays
        The scores.
    metrics
        Their `metric` and `category`.
    agreement
        As `Comparison.agreement` returns it.
    controls
        Names of methods that carry no information about the model.
    """
    compared_controls = [method for method in arrays.methods if method in controls]
    return [
        *_best(arrays, metrics, compared_controls),
        *_controls(arrays, compared_controls),
        *_alike(agreement),
        *_reservations(arrays),
    ]


def _best(arrays: ScoreArrays, metrics: pd.DataFrame, controls: Sequence[str]) -> Iterable[str]:
    """One sentence per category, in the order of the metrics."""
    for category, rows in metrics.groupby("category", sort=False):
        by_finding: dict[str, list[str]] = {}
        for index, name in enumerate(arrays.metrics):
            if name in set(rows["metric"]):
                finding, evidence = _leader(arrays, index, controls)
                by_finding.setdefault(finding, []).append(f"{name}{evidence}")
        if by_finding:
            yield f"{category}: {'; '.join(f'{finding} by {listed(names)}' for finding, names in by_finding.items())}."


def _leader(arrays: ScoreArrays, metric: int, controls: Sequence[str]) -> tuple[str, str]:
    """Which method is best by a metric, and the evidence in brackets."""
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
    unclear = [rival for rival in order[1:] if leads[rival] <= CLEAR * errors[rival]]
    names = {rival: _named(arrays.methods[rival], controls) for rival in order[1:]}
    lead, error, runner_up = leads[order[1]], errors[order[1]], f"{names.pop(order[1])}, the runner-up by its mean"
    others = [name for rival, name in names.items() if rival in unclear]
    further = f"; not clearly better than {listed(others)}" if others else ""
    if lead < 0:
        evidence = f"{with_error(-lead, error)} worse than {runner_up}, on the images that both have scores for"
        return f"{first[0]} has the best mean, but is not clearly best,", f" ({evidence}{further})"
    clearly = "best, but not clearly," if unclear else "clearly best"
    return f"{first[0]} is {clearly}", f" ({with_error(lead, error)} better than {runner_up}{further})"


def _controls(arrays: ScoreArrays, controls: Sequence[str]) -> Iterable[str]:
    """The rank of each control, and the metrics by which no method is clearly better."""
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
        not_first = ranks.index[ranks[control] > ranks.min(axis=1)]
        unbeaten = [str(name) for name in not_first if not _beaten(arrays, str(name), control, others)]
        if unbeaten:
            yield f"No informative method is clearly better than {_named(control, controls)} by {listed(unbeaten)}."


def _place(ranks: pd.Series, method: str) -> str:
    better, tied = int((ranks < ranks[method]).sum()), int((ranks == ranks[method]).sum())
    return f"{'joint ' if tied > 1 else ''}{ordinal(better + 1)} of {ranks.notna().sum()}"


def _beaten(arrays: ScoreArrays, metric: str, control: str, others: Sequence[int]) -> bool:
    """Whether another method is clearly better. True if no standard error is known, so that nothing can be said."""
    leads, errors = arrays.leads(arrays.metrics.index(metric), arrays.methods.index(control))
    known = [index for index in others if np.isfinite(errors[index])]
    return not known or bool((-leads[known] > CLEAR * errors[known]).any())


def _alike(agreement: pd.DataFrame) -> Iterable[str]:
    """The numbers of pairs of metrics that agree, disagree or leave it open, and the extreme pairs."""
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
    yield f"Pairs of metrics: {listed([f'{count} {reading}' for reading, count in counts.items() if count])}."
    for label, pairs in (("Most alike", alike.nlargest(_N_PAIRS, "tau")), ("Most opposed", opposed.nsmallest(_N_PAIRS, "tau"))):
        if len(pairs):
            yield f"{label}: {listed([_pair(row) for row in pairs.to_dict('records')])}."


def _reservations(arrays: ScoreArrays) -> Iterable[str]:
    """Sentences on small numbers of images and on missing scores."""
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
