"""Why edges do well in data SenC on MNIST: is it that they, too, change where there is ink, and only there?

A superpixel of black pixels cannot be eliminated: it has no effect on the prediction, and none on any map. So the score is
computed again over the other superpixels, and once more with the amount of ink partialled out. If edges share with the
prediction that ink matters, and no more, nothing is left of their score.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import sample_values
from quantus_senc import DataSensitivityConsistency, Sensitivity, explain, explain_random, explain_sobel

MAPS: dict[str, Any] = {
    "VB": partial(explain, method="Saliency"),
    "LRP": partial(explain, method="LRP"),
    "Grad-CAM": partial(explain, method="GradCAM"),
    "Sobel": explain_sobel,
    "random": explain_random,
}


def ink_values(setup: Setup, data: str, *, n_images: int, n_masks: int, **segmentation: Any) -> dict[str, Any]:
    """SenC (regression) over all superpixels, over those with ink, and over these with equal ink, by map."""
    model = setup.network(data).model
    x, y = setup.test_images(data, n_images, model)
    senc = DataSensitivityConsistency(
        n_masks, estimator="regression", segment_func_kwargs=segmentation, seed=setup.seed, disable_warnings=True
    )
    values: dict[str, Any] = {}
    for name, explain_func in MAPS.items():
        senc(model, x.numpy(), y.numpy(), explain_func=explain_func)
        by_image = [scores_by_ink(record, image) for record, image in zip(senc.sensitivities, x, strict=True)]
        for row in by_image[0]:
            values.setdefault(row, {})[name] = sample_values([scores[row] for scores in by_image])
    return values


def scores_by_ink(record: Sensitivity, image: torch.Tensor) -> dict[str, float]:
    """The scores of one image (C, H, W), and how its sensitivities go with the ink of the superpixels."""
    labels = torch.as_tensor(record.labels).flatten()
    ink = torch.zeros(len(record.prediction)).index_add_(0, labels, image.sum(0).flatten()).numpy()
    prediction, explanation, inked = record.prediction.numpy(), record.explanation.numpy(), ink > 0
    sensitivities = prediction[inked], explanation[inked]
    return {
        "all superpixels": record.score,
        "superpixels with ink": rank_correlation(*sensitivities),
        "superpixels with ink, ink partialled out": partial_rank_correlation(*sensitivities, ink[inked]),
        "prediction sensitivity and ink": rank_correlation(prediction[inked], ink[inked]),
        "explanation sensitivity and ink": rank_correlation(explanation[inked], ink[inked]),
        "share of superpixels with ink": float(inked.mean()),
    }


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's rho; NaN for fewer than three values or if all are equal."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)


def partial_rank_correlation(a: np.ndarray, b: np.ndarray, given: np.ndarray) -> float:
    """Spearman's rho of two samples with a third partialled out; NaN for fewer than four values."""
    both, first, second = rank_correlation(a, b), rank_correlation(a, given), rank_correlation(b, given)
    free = (1 - first**2) * (1 - second**2)
    return (both - first * second) / free**0.5 if len(a) > 3 and free > 1e-9 else float("nan")
