"""Parameter SenC of one method, layer by layer, by both estimators from the same masks."""

import math
from typing import Any

from torch import Tensor, nn

from benchmarks.reproduction.values import rounded, sample_values
from quantus_senc import CONTROLS, ParameterSensitivityConsistency, Sensitivity, explain
from quantus_senc.core.consistency import consistency

Scores = dict[str, dict[str, Any]]


def paper_score(record: Sensitivity) -> float:
    """The published score, from the masks that a record's regression has drawn: Spearman's rho of the sums of Eq. 1 and 2."""
    prediction, explanation = record.weights.T @ record.masks().double()
    rate = record.design.mask_rate
    return consistency(prediction, explanation, record.tie_tolerance * record.n_masks * rate * (1 - rate)).item()


def parameter_scores(
    model: nn.Module, x: Tensor, y: Tensor, method: Any, layers: list[str], *, n_masks: int, mask_rate: float, seed: int
) -> Scores:
    """Means over images, for each layer and estimator, such as "conv1, paper", and for the mean over layers.

    Parameters
    ----------
    method
        Keywords of `quantus_senc.explain`, or the name of a control.
    """
    metric = ParameterSensitivityConsistency(
        n_masks, mask_rate, "regression", layers=layers, seed=seed, disable_warnings=True, return_layer_scores=True
    )
    function, keywords = (CONTROLS[method], {}) if isinstance(method, str) else (explain, method)
    metric(model, x.numpy(), y.numpy(), explain_func=function, explain_func_kwargs=keywords)
    by_layer: dict[str, list[list[float]]] = {"paper": [], "regression": []}
    values: Scores = {}
    for layer, records in metric.sensitivities.items():
        for estimator, scores in by_layer.items():
            scores.append([paper_score(record) if estimator == "paper" else record.score for record in records])
            values[f"{layer}, {estimator}"] = sample_values(scores[-1])
        errors = [record.standard_error for record in records if math.isfinite(record.standard_error)]
        mask_error = math.sqrt(sum(error**2 for error in errors)) / len(errors) if errors else math.nan
        values[f"{layer}, regression"]["mask_error"] = rounded(mask_error)
    for estimator, scores in by_layer.items():
        values[f"all layers, {estimator}"] = sample_values([_mean(layers) for layers in zip(*scores, strict=True)])
    return values


def _mean(scores: tuple[float, ...]) -> float:
    """Over the layers that have a score."""
    finite = [score for score in scores if math.isfinite(score)]
    return sum(finite) / len(finite) if finite else math.nan
