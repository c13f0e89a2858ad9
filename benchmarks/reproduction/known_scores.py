"""SenC of explanations of networks of which the truth is known, and how each of its two sensitivities ranks the truth."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from benchmarks.reproduction.known_explanations import patch_effects
from benchmarks.reproduction.known_networks import GRID, Known
from benchmarks.reproduction.values import rounded, sample_values
from quantus_senc import DataSensitivityConsistency, Sensitivity
from quantus_senc.comparison.named_methods import named_methods
from quantus_senc.core.consistency import consistency

Records = dict[str, list[Sensitivity]]


def data_records(
    known: Known,
    methods: Mapping[str, Any],
    *,
    estimators: Sequence[str] = ("regression",),
    softmax: bool = True,
    **masks: Any,
) -> dict[str, Records]:
    """For each estimator the records of each method, one an image; all estimators read the same masks."""
    metric = DataSensitivityConsistency(estimator=estimators[0], disable_warnings=True, max_batch_size=2048, **GRID, **masks)
    records: dict[str, Records] = {estimator: {} for estimator in estimators}
    for name, method in named_methods(methods).items():
        call = {
            "explain_func": method.explain_func,
            "explain_func_kwargs": method.explain_func_kwargs,
            "softmax": softmax,
            "channel_first": True,
            **metric.shared_arguments(),
        }
        metric(known.model, known.x, known.y, **call)
        for estimator in estimators:
            read = metric if estimator == estimators[0] else metric.with_estimator(estimator)
            if read is not metric:
                read(known.model, known.x, known.y, **call)
            records[estimator][name] = read.sensitivities
    return records


def score_values(records: list[Sensitivity], k: int, *, same_masks: bool = False) -> dict[str, Any]:
    """Scores with their errors, the share of images without a score, and top-k agreement.

    Parameters
    ----------
    records
        One an image.
    k
        Of the top-k agreement.
    same_masks
        Whether all images have the same masks, as in parameter SenC, so that their noise does not average out.
    """
    scores = np.array([record.score for record in records])
    errors = np.array([record.standard_error for record in records])[np.isfinite(scores)]
    mask_error = errors.sum() if same_masks else np.linalg.norm(errors)
    return sample_values(scores) | {
        "mask_error": rounded(mask_error / len(errors)) if len(errors) else None,
        "undefined": rounded(np.mean(~np.isfinite(scores))),
        f"top-{k}": sample_values([record.top_k_agreement(k) for record in records])["mean"],
    }


def halves(known: Known, records: list[Sensitivity], *, softmax: bool = True) -> dict[str, Any]:
    """Spearman's rho of each sensitivity with the exact effects and with their sizes, on average over the images."""
    effects = patch_effects(known.model, known.x, known.y, softmax=softmax).double()
    values = {}
    for truth, numbers in (("effect", effects), ("size of effect", effects.abs())):
        for side in (0, 1):
            rho = [_rho(record, side, row) for record, row in zip(records, numbers, strict=True)]
            values[f"{('prediction', 'explanation')[side]} sensitivity with {truth}"] = sample_values(rho)["mean"]
    return values


def _rho(record: Sensitivity, side: int, truth: Tensor) -> float:
    sensitivity = (record.prediction, record.explanation)[side]
    tolerance = torch.stack([record.tie_tolerance[side], torch.zeros(()).double()])
    return consistency(sensitivity, truth, tolerance).item()


def standing(records: Records, faithful: str) -> dict[str, Any]:
    """Where a method stands: its rank, and the paired differences to each other method, with their errors.

    Images without a score count as 0, so that a method that is never sensitive to anything stands at 0.
    """
    scores = {name: np.nan_to_num([record.score for record in one]) for name, one in records.items()}
    others = {name: scores[faithful] - one for name, one in scores.items() if name != faithful}
    differences = {name: sample_values(one) for name, one in others.items()}
    order = sorted(scores, key=lambda name: -scores[name].mean())
    return {
        "order": order,
        "rank": order.index(faithful) + 1,
        "differences": {name: {"mean": one["mean"], "error": one["error"]} for name, one in differences.items()},
        "not below it by two errors": [name for name, one in differences.items() if not one["mean"] > 2 * one["error"]],
    }
