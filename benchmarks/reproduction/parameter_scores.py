"""Parameter SenC of one method, layer by layer, by both estimators from the same masks."""

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from benchmarks.reproduction.values import mask_error, sample_values
from quantus_senc import CONTROLS, ParameterSensitivityConsistency, Sensitivity, explain
from quantus_senc.core.consistency import consistency

FEWER = "a fifth of the masks"
Scores = dict[str, dict[str, Any]]


def paper_score(record: Sensitivity, n_masks: int | None = None) -> float:
    """The published score, from the masks that a record's regression has drawn: Spearman's rho of the sums of Eq. 1 and 2.

    Parameters
    ----------
    n_masks
        So many of the masks alone, from the first.
    """
    weights = record.weights[:n_masks]
    prediction, explanation = weights.T @ record.masks()[:n_masks].double()
    rate = record.design.mask_rate
    return consistency(prediction, explanation, record.tie_tolerance * len(weights) * rate * (1 - rate)).item()


def parameter_scores(model: nn.Module, x: Tensor, y: Tensor, method: Any, layers: dict[str, int], **keywords: Any) -> Scores:
    """Means over images, for each layer and estimator, such as "conv1, paper", and for the mean over layers.

    The paper's sums of a fifth of the masks are among them: these sums depend on the number of masks.

    Parameters
    ----------
    method
        Keywords of `quantus_senc.explain`, or the name of a control.
    layers
        Names, and the number of masks of each.
    keywords
        Of `ParameterSensitivityConsistency`.
    """
    function, arguments = (CONTROLS[method], {}) if isinstance(method, str) else (explain, method)
    scored: dict[str, Callable[[Sensitivity], float]] = {
        "paper": paper_score,
        "regression": lambda record: record.score,
        f"paper, {FEWER}": lambda record: paper_score(record, record.n_masks // 5),
    }
    by_layer: dict[str, list[list[float]]] = {estimator: [] for estimator in scored}
    values: Scores = {}
    for layer, n_masks in layers.items():
        metric = ParameterSensitivityConsistency(
            n_masks, estimator="regression", layers=[layer], disable_warnings=True, **keywords
        )
        metric(model, x.numpy(), y.numpy(), explain_func=function, explain_func_kwargs=arguments)
        records = metric.sensitivities[layer]
        for estimator, score in scored.items():
            by_layer[estimator].append([score(record) for record in records])
            values[f"{layer}, {estimator}"] = sample_values(by_layer[estimator][-1])
        values[f"{layer}, regression"]["mask_error"] = mask_error([record.standard_error for record in records])
    for estimator, scores in by_layer.items():
        values[f"all layers, {estimator}"] = sample_values([_mean(layers) for layers in zip(*scores, strict=True)])
    return values


def _mean(scores: tuple[float, ...]) -> float:
    """Over the layers that have a score."""
    finite = [score for score in scores if math.isfinite(score)]
    return sum(finite) / len(finite) if finite else math.nan
