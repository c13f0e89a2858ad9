"""Whether higher or lower scores of a metric are better, and how that is known."""

from typing import Any

import quantus

from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.derived import DerivedMetric, TopKAgreement

_LINEAR = "the true attribution of a linear model gets {} values than its reverse"
_BLIND = "a map that follows the weights gets {} values than one that is blind to them"
_CLASSES = "a map that differs between classes gets {} values than one that is the same for all"
_INSIDE = "attribution inside the object gets {} values than attribution outside"
_NOISE = "the true attribution of a linear model gets {} values than noise"
_STABLE = "a map that never changes gets {} values than one that is new for every input"
_SPARSE = "attribution of a single pixel gets {} values than attribution of all"

# Directions that tests/comparison/test_directions.py confirms, with the cases that it confirms them on.
_CONFIRMED: dict[type, str] = {
    SensitivityConsistency: "the true attribution of a linear model gets {} values than one unrelated to it",
    TopKAgreement: _LINEAR,
    quantus.FaithfulnessCorrelation: _LINEAR,
    quantus.FaithfulnessEstimate: _LINEAR,
    quantus.PixelFlipping: _LINEAR,
    quantus.Selectivity: _LINEAR,
    quantus.IROF: _LINEAR,
    quantus.ROAD: _LINEAR,
    quantus.Infidelity: _LINEAR,
    quantus.SensitivityN: _LINEAR,
    quantus.MPRT: _BLIND,
    quantus.SmoothMPRT: _BLIND,
    quantus.EfficientMPRT: _BLIND,
    quantus.RandomLogit: _CLASSES,
    quantus.Sufficiency: _CLASSES,
    quantus.AttributionLocalisation: _INSIDE,
    quantus.AUC: _INSIDE,
    quantus.PointingGame: _INSIDE,
    quantus.RelevanceMassAccuracy: _INSIDE,
    quantus.RelevanceRankAccuracy: _INSIDE,
    quantus.TopKIntersection: _INSIDE,
    quantus.MonotonicityCorrelation: _NOISE,
    quantus.NonSensitivity: _NOISE,
    quantus.Completeness: _NOISE,
    quantus.AvgSensitivity: _STABLE,
    quantus.MaxSensitivity: _STABLE,
    quantus.LocalLipschitzEstimate: _STABLE,
    quantus.Continuity: _STABLE,
    quantus.RelativeInputStability: _STABLE,
    quantus.RelativeOutputStability: _STABLE,
    quantus.RelativeRepresentationStability: _STABLE,
    quantus.InputInvariance: _STABLE,
    quantus.Sparseness: _SPARSE,
    quantus.Complexity: _SPARSE,
    quantus.EffectiveComplexity: _SPARSE,
}

# Directions that the tests show to be wrong, with the right ones.
_CORRECTED: dict[type, tuple[str, str]] = {
    quantus.RegionPerturbation: ("higher", "it returns drops of the prediction, and " + _LINEAR),
    quantus.Consistency: ("higher", "it returns how many equally explained inputs are predicted alike, and " + _CLASSES),
}

# Metrics without a better end.
_VOID: dict[type, str] = {
    quantus.Monotonicity: "void: it replaces black pixels by black ones, and every attribution gets 1",
}


def direction(metric: Any) -> tuple[str, str]:
    """Whether "higher" or "lower" scores of a metric are better, and how that is known.

    Parameters
    ----------
    metric
        Of this package, of Quantus, or any other. If it has no `score_direction`, "higher" is assumed.

    Examples
    --------
    >>> direction(quantus.RegionPerturbation(disable_warnings=True))[0]
    'higher'
    >>> direction(quantus.PixelFlipping(disable_warnings=True))
    ('lower', 'declared by Quantus (ScoreDirection.LOWER); confirmed: the true attribution of a linear model gets lower
    values than its reverse')
    """
    metric = metric.metric if isinstance(metric, PerImage) else metric
    declared = getattr(metric, "score_direction", None)
    if declared is None:
        return "higher", "assumed: the metric has no score_direction"
    end = getattr(declared, "value", declared)
    declaration = f"ScoreDirection.{str(end).upper()}"
    by = _declared_by(metric)
    for cls in type(metric).__mro__:
        if cls in _CORRECTED:
            right, reason = _CORRECTED[cls]
            return right, f"{by} declares {declaration}, but {reason.format(right)}"
        if cls in _VOID:
            return end, f"declared by {by} ({declaration}); {_VOID[cls]}"
        if cls in _CONFIRMED:
            return end, f"declared by {by} ({declaration}); confirmed: {_CONFIRMED[cls].format(end)}"
    return end, f"declared by {by} ({declaration}); not checked"


def category(metric: Any) -> str:
    """What a metric measures: "Sensitivity consistency", a category of Quantus, or "Other".

    Examples
    --------
    >>> category(quantus.PixelFlipping(disable_warnings=True))
    'Faithfulness'
    """
    if isinstance(metric, SensitivityConsistency | DerivedMetric):
        return "Sensitivity consistency"
    declared = getattr(metric, "evaluation_category", "Other")
    return str(getattr(declared, "value", declared))


def _declared_by(metric: Any) -> str:
    if isinstance(metric, SensitivityConsistency | DerivedMetric):
        return "this package"
    of_quantus = any(cls.__module__.startswith("quantus.metrics.") and cls.__name__ != "Metric" for cls in type(metric).__mro__)
    return "Quantus" if of_quantus else "the metric"
