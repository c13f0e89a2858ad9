"""Top-k agreement as a metric of its own."""

import inspect
import math
from typing import TYPE_CHECKING, Any

from quantus.helpers.enums import EvaluationCategory, ScoreDirection

from quantus_senc._arguments import check_integer, check_keywords
from quantus_senc._consistency import Sensitivity

if TYPE_CHECKING:
    from quantus_senc._metric import SensitivityConsistency


class TopKAgreement:
    """Top-k agreement of the sensitivities that another metric finds; made by that metric's `top_k`.

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
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(self, metric: "SensitivityConsistency", k: int) -> None:
        check_integer("k", k, 1, 2**31)
        self.metric = metric
        self.k = int(k)
        self.name = f"Top-{self.k} Agreement"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Agreement for each image, in [0, 1], for the arguments that the metric itself is called with.

        If the metric has just been run on the same model, images, labels and explanation method with the same
        parameters, that run is used; otherwise the metric is run.

        Returns
        -------
        list of float
            NaN for an image that has no score, or fewer than k features. In the form in which the metric returns its
            scores.
        """
        call = inspect.signature(self.metric.__call__).bind(*args, **kwargs)
        check_keywords(call.arguments.get("kwargs", {}), type(self.metric), "__call__")
        call.apply_defaults()
        sensitivities = self.metric.remembered(call.arguments)
        if sensitivities is None:
            self.metric(*args, **kwargs)
            sensitivities = self.metric.sensitivities
        return self.metric.summary(sensitivities, self._agreement)

    def _agreement(self, record: Sensitivity) -> float:
        return record.top_k_agreement(self.k) if self.k <= len(record.prediction) else math.nan
