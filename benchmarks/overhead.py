"""Time of `compare` over its metrics alone, and of `explain` over `quantus.explain`: `python -m benchmarks.overhead`."""

import argparse
import platform
import subprocess
import warnings
from collections.abc import Callable
from time import perf_counter

import numpy as np
import quantus
import torch

from quantus_senc import compare, default_metrics, demo, explain, explain_random

METHODS = ("Saliency", "GradCAM", "random")
SEGMENTS = {"segment_func_kwargs": {"compactness": 0.1}}
OF_FEATURES = ("SenC (regression)", "Top-1", "Top-3", "SenC")  # metrics that read one run


def by_hand(model: torch.nn.Module, x: np.ndarray, y: np.ndarray, n_masks: int) -> None:
    """The metrics of a comparison, called one after the other; features and predictions are handed on, as `compare` does."""
    metrics = default_metrics(x, model, n_masks=n_masks, n_classes=10, **SEGMENTS)
    shared: dict[str, object] = {}
    for method in METHODS:
        explaining = {"explain_func": explain_random} if method == "random" else {"explain_func": explain}
        kwargs = {} if method == "random" else {"method": method}
        maps = explaining["explain_func"](model=model, inputs=x, targets=y, **kwargs)
        for name, metric in metrics.items():
            more = shared if name in OF_FEATURES else {}
            metric(model=model, x_batch=x, y_batch=y, a_batch=maps, explain_func_kwargs=kwargs, **explaining, **more)
        shared = shared or metrics[OF_FEATURES[0]].shared_arguments()


def ratio(measured: Callable[[], object], baseline: Callable[[], object], rounds: int) -> str:
    """Ratio of seconds in alternating runs, after one of each: median and quartiles; and the median seconds of the first."""
    seconds = np.empty((rounds + 1, 2))
    for one in seconds:
        for index, run in enumerate((measured, baseline)):
            start = perf_counter()
            run()
            one[index] = perf_counter() - start
    low, median, high = np.quantile(seconds[1:, 0] / seconds[1:, 1], [0.25, 0.5, 0.75])
    return f"{median:.3f} ({low:.3f} to {high:.3f}); {np.median(seconds[1:, 0]):.4g} s"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=16)
    parser.add_argument("--n-masks", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    images, labels, test_images, test_labels = demo.digits()
    model = demo.train(images, labels)
    x, y = test_images[: options.images].numpy(), test_labels[: options.images].numpy()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    print(f"commit {commit}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print("compare over its metrics by hand:", ratio(
        lambda: compare(model, x, y, methods=METHODS, n_masks=options.n_masks, **SEGMENTS),
        lambda: by_hand(model, x, y, options.n_masks),
        options.rounds,
    ))  # fmt: skip
    for n in (1, 16, 256):
        batch, classes = test_images[:n], test_labels[:n]
        print(f"explain over quantus.explain, Saliency, {n} images:", ratio(
            lambda batch=batch, classes=classes: explain(model, batch, classes, method="Saliency"),
            lambda batch=batch, classes=classes: quantus.explain(model, batch, classes, method="Saliency"),
            100,
        ))  # fmt: skip


if __name__ == "__main__":
    main()
