"""Metrics that read another metric's run: top-k agreement and standard error."""

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from quantus.helpers.enums import EvaluationCategory, ScoreDirection

from quantus_senc.core.checks import check_integer, check_keywords
from quantus_senc.core.record import Sensitivity


@runtime_checkable
class SourceMetric(Protocol):
    """What a derived metric needs of the metric whose runs it reads; see `SensitivityConsistency`."""

    sensitivities: Any

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the metric."""

    def last_sensitivities(self, call: Mapping[str, Any]) -> Any:
        """The records of the last run if it had these arguments; else None."""

    def summary(self, sensitivities: Any, value: Callable[[Sensitivity], float]) -> Any:
        """One value an image, or their aggregate."""

    def errors(self, sensitivities: Any) -> Any:
        """The standard error of each score."""


class DerivedMetric:
    """Another number for each image, from the run of a metric.

    Parameters
    ----------
    metric
        Whose runs to read.
    """

    name: str
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(self, metric: SourceMetric) -> None:
        self.metric = metric

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One number for each image, for the arguments that the metric itself is called with.

        If the metric's last run was on the same model in the same state, the same explanation method, and equal images,
        labels, keywords and parameters, this reads that run. Otherwise it runs the metric.

        Returns
        -------
        list of float
            In the form in which the metric returns its scores; NaN for an image that has no score.
        """
        call = inspect.signature(self.metric.__call__).bind(*args, **kwargs)
        check_keywords(call.arguments.get("kwargs", {}), type(self.metric), "__call__")
        call.apply_defaults()
        sensitivities = self.metric.last_sensitivities(call.arguments)
        if sensitivities is None:
            self.metric(*args, **kwargs)
            sensitivities = self.metric.sensitivities
        return self.values(sensitivities)

    @abstractmethod
    def values(self, sensitivities: Any) -> Any:
        """One number for each image, from the metric's records."""


def source_of(metric: Any) -> Any:
    """The metric whose runs a derived metric reads; any other metric itself."""
    return metric.metric if isinstance(metric, DerivedMetric) else metric


class TopKAgreement(DerivedMetric):
    """Top-k agreement, in [0, 1]; made by a metric's `top_k`. Images with fewer than k features have none.

    Parameters
    ----------
    metric
        Whose runs to read.
    k
        How many of the most sensitive features to compare, at least 1.

    References
    ----------
    Tan, WACV 2025, Eq. 5.
    """

    score_direction = ScoreDirection.HIGHER

    def __init__(self, metric: SourceMetric, k: int) -> None:
        super().__init__(metric)
        check_integer("k", k, 1, 2**31)
        self.k = int(k)
        self.name = f"Top-{self.k} Agreement"

    def __repr__(self) -> str:
        return f"{self.metric!r}.top_k({self.k})"

    def values(self, sensitivities: Any) -> Any:
        """Agreement for each image."""
        return self.metric.summary(sensitivities, self._agreement)

    def _agreement(self, record: Sensitivity) -> float:
        return record.top_k_agreement(self.k) if self.k <= len(record.prediction) else math.nan


class StandardError(DerivedMetric):
    """Standard errors of a metric's scores, one an image and never aggregated; made by a metric's `standard_error`."""

    score_direction = ScoreDirection.LOWER
    name = "Standard Error"

    def __repr__(self) -> str:
        return f"{self.metric!r}.standard_error()"

    def values(self, sensitivities: Any) -> Any:
        """The standard error of each score."""
        return self.metric.errors(sensitivities)
