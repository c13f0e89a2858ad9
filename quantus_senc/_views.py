"""Metrics of their own that read another metric's runs: top-k agreement and standard error."""

import inspect
import math
from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from quantus.helpers.enums import EvaluationCategory, ScoreDirection

from quantus_senc._arguments import check_integer, check_keywords
from quantus_senc._consistency import Sensitivity

if TYPE_CHECKING:
    from quantus_senc._metric import SensitivityConsistency


class View:
    """Something else that the runs of a metric tell of each image.

    Parameters
    ----------
    metric
        Whose runs to use.
    """

    name: str
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(self, metric: "SensitivityConsistency") -> None:
        self.metric = metric

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One value for each image, for the arguments that the metric itself is called with.

        If the metric has just been run on the same model, images, labels and explanation method with the same
        parameters, that run is used; otherwise the metric is run.

        Returns
        -------
        list of float
            In the form in which the metric returns its scores; NaN for an image that has no score.
        """
        call = inspect.signature(self.metric.__call__).bind(*args, **kwargs)
        check_keywords(call.arguments.get("kwargs", {}), type(self.metric), "__call__")
        call.apply_defaults()
        sensitivities = self.metric.remembered(call.arguments)
        if sensitivities is None:
            self.metric(*args, **kwargs)
            sensitivities = self.metric.sensitivities
        return self.values(sensitivities)

    @abstractmethod
    def values(self, sensitivities: Any) -> Any:
        """One value for each image, from the metric's sensitivities."""


class TopKAgreement(View):
    """Top-k agreement, in [0, 1]; made by a metric's `top_k`. Images with fewer than k features have none.

    Parameters
    ----------
    metric
        Whose runs to use.
    k
        How many of the most sensitive features to compare, at least 1.

    References
    ----------
    Tan, WACV 2025, Eq. 5.
    """

    score_direction = ScoreDirection.HIGHER

    def __init__(self, metric: "SensitivityConsistency", k: int) -> None:
        super().__init__(metric)
        check_integer("k", k, 1, 2**31)
        self.k = int(k)
        self.name = f"Top-{self.k} Agreement"

    def values(self, sensitivities: Any) -> Any:
        """Agreement for each image."""
        return self.metric.summary(sensitivities, self._agreement)

    def _agreement(self, record: Sensitivity) -> float:
        return record.top_k_agreement(self.k) if self.k <= len(record.prediction) else math.nan


class StandardError(View):
    """Standard errors of a metric's scores, one an image and never aggregated; made by a metric's `standard_error`."""

    score_direction = ScoreDirection.LOWER
    name = "Standard Error"

    def values(self, sensitivities: Any) -> Any:
        """The standard error of each score."""
        return self.metric.errors(sensitivities)
