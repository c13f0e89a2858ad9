"""What the SenC paper says of its methods and image sets, and what our results say of it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.reproduction.parameter_scores import FEWER

Values = dict[str, Any]
Cell = dict[str, Any]
YES, NO, PARTLY = "reproduced", "**not reproduced**", "in part"
PAPER, REGRESSION = "SenC, paper", "SenC, regression"


@dataclass(frozen=True)
class Judgement:
    """Our figure, whether it agrees, and why if it does not."""

    ours: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Claim:
    """A sentence that can be tried, in the paper's figures, and how the values of an experiment judge it.

    Attributes
    ----------
    experiment
        Its name.
    judge
        From its values.
    reason
        Why it may not hold. The page says it where it does not.
    tried
        Part and metric that other settings have, too, which methods of theirs are shown, and what of them. The page gives the
        figures where the claim does not hold.
    within
        The part of the values that is judged, for an experiment of several networks.
    """

    experiment: str
    text: str
    judge: Callable[[Values], Judgement]
    reason: str = ""
    tried: tuple[str, str, list[str], str] | None = None
    within: str = ""

    def judged(self, values: Values) -> Judgement:
        """The judgement with its reason."""
        values = values[self.within] if self.within else values
        judgement = self.judge(values)
        if judgement.verdict == YES:
            return judgement
        reasons = [judgement.reason or self.reason, *([_in_other_settings(values, *self.tried)] if self.tried else [])]
        return replace(judgement, reason=" ".join(filter(None, reasons)))


def _in_other_settings(values: Values, part: str, metric: str, methods: list[str], key: str) -> str:
    """What a metric gives in settings that the paper may have meant, and the regression beside the paper's sums."""
    rows = values["other settings"][part]
    settings = {name.removeprefix(f"{metric}, "): row for name, row in rows.items() if name.startswith(f"{metric}, ")}
    settings |= {FEWER: values[part][few]} if (few := f"{metric}, {FEWER}") in values[part] else {}
    texts = []
    for setting, row in settings.items():
        if not (names := [name for name in methods if name in row]):
            continue
        limit = rows.get(f"{metric.replace('paper', 'regression')}, {setting}") if "paper" in metric and key == "mean" else None
        beside = f" (regression {listed(limit, names)})" if limit else ""
        texts.append(f"{setting}: {listed(row, names, key)}{beside}")
    return f"In other settings: {'; '.join(texts)}."


def shown(cell: Cell, key: str = "mean") -> str:
    """A number of a cell, with its error if it is the mean."""
    if cell[key] is None:
        return "undefined"
    error = cell.get("error") if key == "mean" else None
    return f"{cell[key]:.2f}" + (f" ± {error:.2f}" if error is not None else "")


def listed(row: dict[str, Cell], names: list[str] | None = None, key: str = "mean") -> str:
    """Methods and their numbers."""
    return ", ".join(f"{name} {shown(row[name], key)}" for name in names or row)


def informative(row: dict[str, Cell]) -> list[str]:
    """The methods but random maps, the highest mean first."""
    return sorted((name for name in row if name != "random"), key=lambda name: -_mean(row[name]))


def _mean(cell: Cell) -> float:
    return -2.0 if cell["mean"] is None else cell["mean"]


def near(cell: Cell, paper: float) -> bool:
    """Whether the mean is at most two standard errors from the paper's figure."""
    return cell["mean"] is not None and abs(cell["mean"] - paper) <= 2 * cell["error"]


def clearly_above(one: Cell, other: Cell) -> bool:
    """Whether a mean exceeds another by more than two standard errors of the difference."""
    if one["mean"] is None or other["mean"] is None:
        return False
    return one["mean"] - other["mean"] > 2 * (one["error"] ** 2 + other["error"] ** 2) ** 0.5


def at_randoms_level(row: dict[str, Cell], name: str) -> bool:
    """Whether a method is not clearly above random maps."""
    return not clearly_above(row[name], row["random"])


def verdict(holds: list[bool]) -> str:
    """All of it, a part or nothing."""
    return YES if all(holds) else PARTLY if any(holds) else NO


def figure_is(part: str, metric: str, method: str, paper: float) -> Callable[[Values], Judgement]:
    """A claim of one figure."""

    def judge(values: Values) -> Judgement:
        cell = values[part][metric][method]
        other = values[part][metric.replace("paper", "regression")][method]
        return Judgement(f"{shown(cell)} (regression {shown(other)})", verdict([near(cell, paper)]))

    return judge


def above(part: str, metric: str, names: list[str], bound: float) -> Callable[[Values], Judgement]:
    """A claim that means exceed a figure."""

    def judge(values: Values) -> Judgement:
        row = values[part][metric]
        return Judgement(listed(row, names), verdict([_mean(row[name]) > bound for name in names]))

    return judge


def best(part: str, metric: str, names: list[str]) -> Callable[[Values], Judgement]:
    """A claim that these methods are the best of all, in any order."""

    def judge(values: Values) -> Judgement:
        order = informative(values[part][metric])
        return Judgement(listed(values[part][metric], order), verdict([name in order[: len(names)] for name in names]))

    return judge


def as_random(part: str, metrics: list[str], names: list[str]) -> Callable[[Values], Judgement]:
    """A claim that these methods do not exceed random maps."""

    def judge(values: Values) -> Judgement:
        rows = [values[part][metric] for metric in metrics]
        ours = "; ".join(f"{metric}: {listed(row, [*names, 'random'])}" for metric, row in zip(metrics, rows, strict=True))
        return Judgement(ours, verdict([at_randoms_level(row, name) for row in rows for name in names]))

    return judge
