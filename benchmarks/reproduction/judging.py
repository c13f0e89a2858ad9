"""What a claim is, and how our results judge it: a verdict with our figure and the reason."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.reproduction.paper_scores import GRAD_CAM_OF

Values = dict[str, Any]
Cell = dict[str, Any]
Row = dict[str, Cell]
Setting = tuple[str, str]  # and the estimator
ONLY = "only"
YES, NO, PARTLY = "reproduced", "**not reproduced**", "in part"
PAPER, REGRESSION = "SenC, paper", "SenC, regression"


@dataclass(frozen=True)
class Judgement:
    """Our figure, whether it agrees, and why if it does not."""

    ours: str
    verdict: str
    reason: str = ""


@dataclass(frozen=True)
class Tried:
    """What the page shows of other settings, for a claim that does not hold.

    Attributes
    ----------
    part, metric
        Of the values.
    methods
        Those that are shown, of those that the setting has.
    key
        What of them.
    """

    part: str
    metric: str
    methods: tuple[str, ...]
    key: str = "mean"

    def settings(self, values: Values) -> dict[Setting, dict[str, Row]]:
        """The rows that take the place of the claim's, by setting and estimator; "" is the paper's setting.

        Another layer for Grad-CAM leaves the scores of other methods as they are, so it is a setting for claims about Grad-CAM
        alone.
        """
        own, others = values[self.part], values.get("other settings", {}).get(self.part, {})
        estimators = {"regression" if "regression" in self.metric else "paper": self.metric}
        if "paper" in self.metric and self.key == "mean":
            estimators["regression"] = self.metric.replace("paper", "regression")
        settings: dict[Setting, dict[str, Row]] = {}
        for estimator, metric in estimators.items():
            for name, row in (others | own).items():
                setting = name.removeprefix(f"{metric}, ")
                of_grad_cam = setting.startswith(GRAD_CAM_OF)
                if setting != name and ("Grad-CAM" in self.methods or not of_grad_cam):
                    settings[setting, estimator] = dict.fromkeys(
                        (self.metric, metric), own[metric] | row if of_grad_cam else row
                    )
            if metric != self.metric:
                settings["", estimator] = dict.fromkeys((self.metric, metric), own[metric])
        return settings

    def shown(self, rows: dict[str, Row]) -> str:
        """The figures of a setting; empty if it has none of the methods."""
        row = {name: cell for name, cell in rows[self.metric].items() if name in self.methods}
        return listed(row, key=self.key)


@dataclass(frozen=True)
class Claim:
    """A sentence that can be tried, in the paper's figures, and how the values of an experiment judge it.

    Attributes
    ----------
    experiment
        Its name; or the names of two, such as "mnist, cifar10", whose values are judged together, by name.
    judge
        From its values.
    reason
        Why it may not hold. The page says it where it does not.
    tried
        What other settings give. Where the claim does not hold, the page has their figures, and the verdict says in which of
        them it does.
    within
        The part of the values that is judged, for an experiment of several networks.
    """

    experiment: str
    text: str
    judge: Callable[[Values], Judgement]
    reason: str = ""
    tried: Tried | None = None
    within: str = ""

    def values(self, results: Mapping[str, Mapping[str, Any]]) -> Values | None:
        """What is judged, from the results by experiment; None if it has not been run."""
        names = self.experiment.split(", ")
        if not set(names) <= set(results):
            return None
        values = {name: results[name]["values"] for name in names}
        return values[self.experiment] if len(names) == 1 else values

    def judged(self, values: Values) -> Judgement:
        """The judgement with its reason, and with the settings in which a claim holds that does not hold in the paper's."""
        judgement = self.judge(self._judged_part(values))
        if judgement.verdict == YES:
            return judgement
        settings = [in_words(*setting) for setting, (_, holds) in self.elsewhere(values).items() if holds]
        verdict = f"{ONLY} {'; '.join(settings)}" if settings else judgement.verdict
        return replace(judgement, verdict=verdict, reason=judgement.reason or self.reason)

    def elsewhere(self, values: Values) -> dict[Setting, tuple[str, bool]]:
        """What other settings give, and whether the claim holds there; empty for a claim that holds in the paper's."""
        values = self._judged_part(values)
        if self.tried is None or self.judge(values).verdict == YES:
            return {}
        return {
            setting: (figures, self._holds(values, self.tried, rows))
            for setting, rows in self.tried.settings(values).items()
            if (figures := self.tried.shown(rows))
        }

    def _judged_part(self, values: Values) -> Values:
        return values[self.within] if self.within else values

    def _holds(self, values: Values, tried: Tried, rows: dict[str, Row]) -> bool:
        """Whether the claim holds with these rows; not if it looks at a method that they lack. Random maps need no setting."""
        part = dict(values[tried.part])
        for metric, row in rows.items():
            missing: Row = {method: {} for method in part[metric]}
            part[metric] = missing | {"random": part[metric].get("random", {})} | row
        try:
            return self.judge(values | {tried.part: part}).verdict == YES
        except KeyError:
            return False


def in_words(setting: str, estimator: str) -> str:
    """Such as "with 0.8 kept by the regression"."""
    return " ".join([f"with {setting}"] * bool(setting) + ["by the regression"] * (estimator == "regression"))


def shown(cell: Cell, key: str = "mean") -> str:
    """A number of a cell, with its error if it is the mean."""
    if cell[key] is None:
        return "undefined"
    error = cell.get("error") if key == "mean" else None
    return f"{cell[key]:z.2f}" + (f" ± {error:.2f}" if error is not None else "")


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
    return one["mean"] - other["mean"] > 2 * _error_of_difference(one, other)


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


def falls(part: str, metric: str, amounts: dict[str, float]) -> Callable[[Values], Judgement]:
    """A claim that means of methods are lower by so much in the second of two experiments."""

    def judge(values: Values) -> Judgement:
        before, after = (experiment[part][metric] for experiment in values.values())
        ours = ", ".join(f"{name} {shown(before[name])} to {shown(after[name])}" for name in amounts)
        return Judgement(ours, verdict([_fallen(before[name], after[name], amount) for name, amount in amounts.items()]))

    return judge


def _fallen(before: Cell, after: Cell, amount: float) -> bool:
    return abs(before["mean"] - after["mean"] - amount) <= 2 * _error_of_difference(before, after)


def _error_of_difference(one: Cell, other: Cell) -> float:
    return math.hypot(one["error"], other["error"])
