"""Made-up comparisons of explanation methods."""

import numpy as np
import pandas as pd
import torch

from quantus_senc import Comparison
from quantus_senc.comparison.examples import Examples
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.record import Sensitivity

METRICS = {
    "SenC": ("Sensitivity consistency", "higher"),
    "Faithfulness Corr.": ("Faithfulness", "higher"),
    "MPRT": ("Randomisation", "lower"),
}
METHODS = ("Saliency", "LayerGradCam", "InputXGradient", "random")
QUALITY = {
    "SenC": (0.3, 0.6, 0.2, 0.0),
    "Faithfulness Corr.": (0.2, 0.4, 0.3, 0.0),
    "MPRT": (0.4, 0.6, 0.5, 0.02),
}


def described(metrics=METRICS):
    rows = [(name, category, direction, f"why {direction}", "n_masks=500") for name, (category, direction) in metrics.items()]
    return pd.DataFrame(rows, columns=["metric", "category", "direction", "why", "parameters"])


def comparison(scores, metrics=METRICS, errors=None, failures=None, settings=None, examples=None):
    """From scores by metric and method, a list with one for each image."""
    errors, failures = errors or {}, failures or {}
    rows = [
        (metric, method, image, score, errors.get(metric, np.nan), failures.get((metric, method), ""))
        for metric, by_method in scores.items()
        for method, values in by_method.items()
        for image, score in enumerate(values)
    ]
    frame = pd.DataFrame(rows, columns=["metric", "method", "image", "score", "standard_error", "failure"])
    return Comparison(frame, described(metrics), settings or {}, examples)


def scattered(quality=QUALITY, methods=METHODS, n_images=20, spread=0.1, seed=0):
    """Scores around a quality for each metric and method."""
    draw = np.random.default_rng(seed)
    return {
        metric: {method: draw.normal(mean, spread, n_images) for method, mean in zip(methods, means, strict=True)}
        for metric, means in quality.items()
    }


def typical(n_images=20, **kwargs):
    """SenC, faithfulness and randomisation of three methods and a control."""
    settings = {"controls": ["random"], "seed": 0, "versions": {"quantus": "0.6.0"}, **kwargs.pop("settings", {})}
    return comparison(scattered(n_images=n_images), errors={"SenC": 0.03}, settings=settings, **kwargs)


def record(m=9, seed=0, labels=None, n_masks=20):
    draw = torch.Generator().manual_seed(seed)
    prediction, explanation = torch.rand(2, m, generator=draw, dtype=torch.float64)
    return Sensitivity(
        labels=labels,
        prediction=prediction,
        explanation=explanation,
        score=0.25,
        interval=torch.tensor([0.1, 0.5], dtype=torch.float64),
        tie_tolerance=torch.tensor([1e-9, 1e-8], dtype=torch.float64),
        weights=torch.rand(n_masks, 2, generator=draw, dtype=torch.float64),
        constant=torch.arange(n_masks) == 3,
        design=MaskDesign(
            seed=2**63 + seed,
            mask_rate=0.8,
            streams=torch.tensor([seed]),
            free=torch.arange(m)[None] != 1,
            n_masks=(n_masks,),
            exhaustive=(False,),
        ),
        undefined="",
    )


def examples(methods=METHODS, size=12, channels=3):
    """A picture of a gradient with nine features."""
    draw = np.random.default_rng(0)
    side = torch.arange(size) // (size // 3)
    labels = side[:, None] * 3 + side
    return Examples(
        image=draw.random((channels, size, size)),
        target=7,
        maps={name: draw.normal(size=(size, size)) for name in methods},
        features={name: record(9, index, labels) for index, name in enumerate(methods)},
        units={name: record(8, index) for index, name in enumerate(methods)},
    )
