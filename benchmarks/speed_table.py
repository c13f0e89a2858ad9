"""The table and the figure of `benchmarks.speed`, from what it writes as JSON."""

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from matplotlib import pyplot as plt

from benchmarks.calls import TARGETS
from benchmarks.lineup import COLUMNS, FLOOR, PAPER, SENC, SENC_QUANTUS, WEIGHTS

_STYLE = {
    SENC_QUANTUS: ("o", "tab:blue", 1),
    SENC: ("D", "tab:cyan", 1),
    WEIGHTS: ("s", "tab:purple", 0.7),
    PAPER: ("x", "tab:red", 0.9),
}
_OTHER = zip(("v", "^", "<", ">", "*"), ("0.3", "0.5", "0.3", "0.5", "0.1"), strict=True)
_STYLE |= {name: (*style, 0.8) for name, style in zip(COLUMNS[5:], _OTHER, strict=True)}


def rows(results: dict) -> Iterator[tuple[dict, str, dict[str, np.ndarray], float]]:
    """Line, metric, quartiles of each contender that ran (over the floor's median), and that median."""
    for line in results["lines"]:
        floor = next(one["microseconds"] for one in line["contenders"] if one["name"] == FLOOR)
        lowest = float(np.median(floor)) if floor else float("nan")
        for metric in TARGETS:
            here = [one for one in line["contenders"] if metric in one["metrics"] and one["microseconds"]]
            quartiles = {one["name"]: np.percentile(one["microseconds"], [25, 50, 75]) / lowest for one in here}
            yield line, metric, quartiles, lowest


def table(results: dict) -> str:
    """Markdown: microseconds of the floor, and how many times as much the others take."""
    setting = ", ".join(f"{key} {value}" for key, value in results["environment"].items())
    head = ["model", "method", "SenC of", "share run", "floor, µs", *COLUMNS[1:]]
    lines = [setting, "", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for line, metric, quartiles, lowest in rows(results):
        there = {one["name"] for one in line["contenders"] if metric in one["metrics"]}
        low, _, high = quartiles.get(FLOOR, np.full(3, np.nan)) * lowest
        cells = [_cell(quartiles.get(name), name in there) for name in COLUMNS[1:]]
        floor = f"{lowest:.4g} ({low:.4g}-{high:.4g})"
        shares = [
            one["share that is run"]
            for one in line["contenders"]
            if metric in one["metrics"] and one["name"] in (SENC_QUANTUS, SENC)
        ]
        share = next((f"{one:.1%}" for one in shares if one), "—")
        lines.append(f"| {line['model']} | {line['method']} | {metric} | {share} | {floor} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", *notes(results)])


def _cell(quartiles: np.ndarray | None, takes_part: bool) -> str:
    if quartiles is None:
        return "—" if takes_part else ""
    low, median, high = (f"{value:.2f}" if value < 10 else f"{value:.1f}" for value in quartiles)
    return f"{median} ({low}-{high})"


def notes(results: dict) -> list[str]:
    """Each note, with the cells that it is about."""
    entries = [
        (f"{one['name']}: {note}", f"{line['model']}, {line['method']}, {' and '.join(one['metrics'])}")
        for line in results["lines"]
        for one in line["contenders"]
        for note in one["notes"]
    ]
    together = groupby(sorted(entries), lambda entry: entry[0])
    return [f"- {note} ({'; '.join(where for _, where in cells)})" for note, cells in together]


def draw(results: dict) -> plt.Figure:
    """How many times the floor's time each contender takes, on a logarithmic axis."""
    lines = list(rows(results))
    figure, axes = plt.subplots(figsize=(9, 1.2 + 0.22 * len(lines)), layout="constrained")
    for name, (marker, colour, alpha) in _STYLE.items():
        places = [place for place, (_, _, quartiles, _) in enumerate(lines) if name in quartiles]
        low, median, high = np.array([lines[place][2][name] for place in places]).reshape(-1, 3).T
        style = {"fmt": marker, "color": colour, "alpha": alpha, "markersize": 4, "linewidth": 0.8}
        axes.errorbar(median, places, xerr=(np.maximum(median - low, 0), np.maximum(high - median, 0)), label=name, **style)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set(xscale="log", xlabel="time of a perturbed sample, over the floor's")
    labels = [f"{line['model']}, {line['method']}, {metric}" for line, metric, _, _ in lines]
    axes.set_yticks(range(len(lines)), labels, fontsize=7)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=3, fontsize=8)
    return figure
