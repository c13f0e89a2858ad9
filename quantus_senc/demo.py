"""SenC beside Quantus's own metrics on handwritten digits: `python -m quantus_senc.demo`."""

import argparse
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import quantus
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from quantus_senc import plot
from quantus_senc._consistency import Sensitivity
from quantus_senc._controls import explain_random
from quantus_senc._data import DataSensitivityConsistency
from quantus_senc._parameter import ParameterSensitivityConsistency

SIZE = 32
FEWEST_MASKS = 100  # for up to 49 features
METHODS = {
    "Saliency": quantus.explain,
    "InputXGradient": quantus.explain,
    "IntegratedGradients": quantus.explain,
    "LayerGradCam": partial(quantus.explain, gc_layer="model[3]", interpolate=(SIZE, SIZE)),
    "random": explain_random,
}


def digits(n_test: int = 297) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train and test images (N, 1, 32, 32) in [0, 1] with their labels (N,): scikit-learn's 1,797 digits, enlarged."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    images = nn.functional.interpolate(images, size=(SIZE, SIZE), mode="bilinear")
    labels = torch.tensor(data.target)
    return images[:-n_test], labels[:-n_test], images[-n_test:], labels[-n_test:]


def train(images: Tensor, labels: Tensor, n_epochs: int = 12) -> nn.Sequential:
    """A small convolutional network for the digits, in evaluation mode; the same every time."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(256, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(n_epochs):
            for batch in torch.randperm(len(images)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
    return model.eval()


def metrics(n_masks: int) -> dict[str, Any]:
    """SenC beside metrics of Quantus: data SenC by both estimators, and that of the first convolution's channels."""
    superpixels = {"compactness": 0.1}  # that follow the strokes of grey images
    progress = sys.stderr.isatty()
    senc = DataSensitivityConsistency(
        n_masks, estimator="regression", segment_func_kwargs=superpixels, display_progressbar=progress
    )
    paper = DataSensitivityConsistency(n_masks, segment_func_kwargs=superpixels, display_progressbar=progress)
    parameter_senc = ParameterSensitivityConsistency(
        n_masks, estimator="regression", layers="first_conv", display_progressbar=progress
    )
    return {
        "SenC": senc,
        "SenC error": senc.standard_error(),
        "Top-1": senc.top_k(1),
        "Top-3": senc.top_k(3),
        "Paper's SenC": paper,
        "Paper's SenC error": paper.standard_error(),
        "Param. SenC": parameter_senc,
        "Param. SenC error": parameter_senc.standard_error(),
        "Faithfulness Corr.": quantus.FaithfulnessCorrelation(return_aggregate=False, disable_warnings=True),
        "MPRT": quantus.MPRT(return_last_correlation=True, disable_warnings=True),
        "Random Logit": quantus.RandomLogit(num_classes=10, disable_warnings=True),
    }


def table(results: dict[str, dict[str, list[float]]], metrics: dict[str, Any]) -> str:
    """Means and errors over images: a row a method, a column a metric, with an arrow to the better end."""
    arrows = {"higher": "↑", "lower": "↓"}
    shown = {name: metric for name, metric in metrics.items() if not name.endswith(" error")}
    rows = [["", *(f"{name} {arrows[metric.score_direction.value]}" for name, metric in shown.items())]]
    for method, scores in results.items():
        rows.append([method, *(mean_and_errors(scores[name], scores.get(f"{name} error")) for name in shown)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def mean_and_errors(scores: list[float], errors: list[float] | None) -> str:
    """Mean ± its error from the images' spread, and ± its error from the masks, where the scores' standard errors are known."""
    n = np.isfinite(scores).sum()
    variance = np.nanvar(scores, ddof=1) / n
    if errors is None:
        return f"{np.nanmean(scores):.2f} ± {np.sqrt(variance):.2f}"
    masks = np.nansum(np.square(errors)) / n**2  # every image has masks of its own
    return f"{np.nanmean(scores):.2f} ± {np.sqrt(max(variance - masks, 0)):.2f} ± {np.sqrt(masks):.2f}"


def main(arguments: list[str] | None = None) -> None:
    """Train, evaluate, print the table and write the figure."""
    parser = argparse.ArgumentParser(prog="python -m quantus_senc.demo", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the figure (default: demo)")
    parser.add_argument("--images", type=int, default=16, help="how many test images to evaluate (default: 16)")
    parser.add_argument("--n-masks", type=int, default=500, help="how many masks for each image, at the most (default: 500)")
    options = parser.parse_args(arguments)
    if options.n_masks < FEWEST_MASKS:
        parser.error(f"--n-masks {options.n_masks} is too few for the regression; pass at least {FEWEST_MASKS}")
    warnings.filterwarnings("ignore", message="Input Tensor 0 did not already require gradients")

    images, labels, test_images, test_labels = digits()
    model = train(images, labels)
    accuracy = (model(test_images).argmax(1) == test_labels).float().mean().item()
    sys.stdout.write(f"A small CNN names {accuracy:.1%} of {len(test_labels)} held-out digits.\n")
    x_batch, y_batch = test_images[: options.images].numpy(), test_labels[: options.images].numpy()

    chosen = metrics(options.n_masks)
    np.random.seed(0)  # noqa: NPY002  FaithfulnessCorrelation draws from it
    results = quantus.evaluate(chosen, METHODS, model, x_batch, y_batch, explain_func_kwargs={})
    sys.stdout.write(
        f"\nMean over {len(x_batch)} images ± its error from the images' spread (± its error from the masks):\n\n"
        f"{table(results, chosen)}\n"
    )

    options.out.mkdir(parents=True, exist_ok=True)
    first = {name: first_records(chosen, model, x_batch, y_batch, name) for name in METHODS}
    figures = {
        "data_sensitivity.png": plot.data_sensitivity(x_batch[0], {name: data for name, (data, _) in first.items()}),
        "parameter_sensitivity.png": plot.parameter_sensitivity({name: unit for name, (_, unit) in first.items()}),
    }
    for name, figure in figures.items():
        figure.savefig(options.out / name, dpi=150)
    sys.stdout.write(f"\nThe sensitivities of the first image: {', '.join(str(options.out / name) for name in figures)}\n")


def first_records(
    metrics: dict[str, Any], model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray, method: str
) -> tuple[Sensitivity, Sensitivity]:
    """What data and parameter SenC find for the first image; its masks are those that it had among the others."""
    for name in ("SenC", "Param. SenC"):
        metrics[name](model, x_batch[:1], y_batch[:1], explain_func=METHODS[method], explain_func_kwargs={"method": method})
    (units,) = metrics["Param. SenC"].sensitivities.values()
    return metrics["SenC"].sensitivities[0], units[0]


if __name__ == "__main__":
    main()
