"""Experiment 7: are the metrics themselves any good? MetaQuantus's criteria for SenC and for metrics of Quantus.

Noise that leaves predictions should leave scores (resilience); noise that changes predictions should worsen them (reactivity).
"""

from collections import Counter
from functools import partial
from itertools import chain
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.reproduction.meta_metrics import HIGHER_IS_BETTER, of_this_package
from benchmarks.reproduction.meta_perturbations import PUBLISHED, perturbations
from benchmarks.reproduction.meta_published import published
from benchmarks.reproduction.meta_scores import Trial
from benchmarks.reproduction.meta_summary import mean_scores, meta_consistency
from benchmarks.reproduction.setup import SEGMENTS, Setup
from benchmarks.reproduction.values import rounded
from quantus_senc.comparison.named_methods import named_methods
from quantus_senc.plot.style import QUIET, style

METHODS = ("Saliency", "InputXGradient", "GradCAM")
# With MetaQuantus's noise, SLIC makes one superpixel of a CIFAR-10 image, and its prediction is 0 or 1 whatever is masked.
FEATURES: dict[str, dict[str, Any]] = {
    "mnist": {"segment_func_kwargs": SEGMENTS["mnist"]},
    "cifar10": {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 8}},
}
NOISE = {"mnist": PUBLISHED, "cifar10": perturbations(1.0, 0.5)}
QUICK_SIZES = {"mnist": (64, 300, 150), "cifar10": (24, 200, 100)}  # images, masks of an image, masks of a layer


def run(setup: Setup) -> dict[str, Any]:
    """The criteria of each metric on MNIST and CIFAR-10, and the published ones on MNIST.

    Parameters
    ----------
    setup
        Images, networks, folder and scale.
    """
    sizes = {
        data: {
            "n_images": setup.size(quick=n_images, full=512, smoke=2),
            "n_copies": setup.size(quick=3, full=15, smoke=1),
            "n_masks": setup.size(quick=n_masks, full=2000, smoke=60),
            "n_masks_of_layers": setup.size(quick=n_masks_of_layers, full=2000, smoke=60),
        }
        for data, (n_images, n_masks, n_masks_of_layers) in QUICK_SIZES.items()
    }
    return {
        "settings": _settings(list(sizes)) | sizes,
        **{data: _evaluated(setup, data, **of_data) for data, of_data in sizes.items()},
        "published": published(setup),
    }


def _settings(data: list[str]) -> dict[str, Any]:
    return {
        "mask_rate": 0.8,
        "features": {name: FEATURES[name] for name in data},
        "methods": list(METHODS),
        "layer": "first convolution",
        "explained class": "predicted without noise",
        "noise": {name: {perturbation.name: perturbation.size for perturbation in NOISE[name]} for name in data},
        "interval": "95 %, Student's t over the perturbed copies",
        "draws": "each copy has its masks, subsets of pixels and other classes, so that the metric's noise counts against it; "
        "with equal draws, minor noise has those of the images and the model without noise. Parameter SenC draws masks for a "
        "layer and not for an image, so that fresh masks move the scores of all images alike.",
        "MC of a metric that is always the same": 0.5,  # criteria 1, 0, 1, 0
        "MC of a metric of random numbers": rounded((1.5 + 1 / len(METHODS)) / 4),
    }


def _evaluated(setup: Setup, data: str, n_images: int, n_copies: int, n_masks: int, n_masks_of_layers: int) -> dict[str, Any]:
    model = setup.network(data).model
    x, y = setup.test_images(data, n_images, model)
    masks = {"n_masks": n_masks, "n_masks_of_layers": n_masks_of_layers}
    metrics = partial(of_this_package, **masks, n_classes=10, **FEATURES[data])
    trial = Trial(data, model, x, y, named_methods(METHODS), metrics, n_copies, NOISE[data])
    first, copies, equal = trial.run(setup)
    values: dict[str, Any] = {}
    for metric in first["scores"]:
        better = HIGHER_IS_BETTER.get(metric, True)
        values[metric] = {
            **meta_consistency(first, copies, metric, higher_is_better=better),
            "equal draws": meta_consistency(first, copies | equal, metric, higher_is_better=better),
            "scores": mean_scores(first, copies, metric, list(METHODS)),
        }
    count = {name: rounded(np.mean([copy["counts"] for copy in of_name])) for name, of_name in copies.items()}
    failures: Counter[str] = Counter()
    for scored in (first, *chain(*copies.values())):
        failures.update(scored["failures"])
    return {"share of images that count": count, "metrics": values, "images without a score": dict(failures)}


def figure(values: dict[str, Any]) -> Figure:
    """The meta-consistency of each metric with its interval, with fresh and with equal draws, by image set.

    Parameters
    ----------
    values
        What `run` returns.
    """
    data = [name for name in FEATURES if name in values]
    with style():
        drawn, axes = plt.subplots(1, len(data), figsize=(9, 3.6), squeeze=False, sharex=True, layout="constrained")
        for axis, name in zip(axes.flat, data, strict=True):
            metrics = values[name]["metrics"]
            for shift, (label, marker) in enumerate((("fresh draws", "o"), ("equal draws", "s"))):
                rows = [of_metric if label == "fresh draws" else of_metric[label] for of_metric in metrics.values()]
                _points(axis, [row["MC"] for row in rows], 0.12 - 0.24 * shift, marker, label)
            axis.set(
                yticks=range(len(metrics)), yticklabels=metrics, title=name, xlim=(0, 1), xlabel="meta-consistency (1 is best)"
            )
            axis.axvline(0.5, color=QUIET, linewidth=0.8, label="a metric that is always the same")
            axis.set_ylim(len(metrics) - 0.5, -0.5)
        handles, names = axes.flat[0].get_legend_handles_labels()
        drawn.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    return drawn


def _points(axis: Axes, rows: list[dict[str, Any]], shift: float, marker: str, label: str) -> None:
    """A row of means with their intervals; a metric without a value has none."""
    places = np.arange(len(rows)) - shift
    means, low, high = (np.array([row[key] for row in rows], float) for key in ("mean", "low", "high"))
    axis.errorbar(means, places, xerr=[means - low, high - means], fmt=marker, markersize=4, capsize=2, label=label)
