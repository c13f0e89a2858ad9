"""How far the mean of parameter SenC over images moves with the seed, although all images of a layer share their masks.

    python -m benchmarks.shared_masks --data images --out reproduction

The network is the reproduction's for MNIST, which is trained in `--out` unless it is there.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.reproduction.setup import Setup
from quantus_senc import CONTROLS, ParameterSensitivityConsistency, explain

N_IMAGES, N_MASKS, N_SEEDS = 16, 300, 12
LAYERS = ["conv1", "conv2", "fc2"]
METHODS: dict[str, dict[str, Any]] = {
    "Saliency": {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}},
    "LRP": {"explain_func": explain, "explain_func_kwargs": {"method": "LRP"}},
    "random": {"explain_func": CONTROLS["random"]},
}


def row(scores: np.ndarray, errors: np.ndarray) -> dict[str, float]:
    """What one layer's scores and their standard errors (seeds, images) show of the mean over images."""
    spread = scores.std(0, ddof=1)  # over seeds, of each image
    independent, alike = np.linalg.norm(spread) / scores.shape[1], spread.mean()
    of_mean = scores.mean(1).std(ddof=1)
    return {
        "spread of the mean": of_mean,
        "if images were independent": independent,
        "if they were all alike": alike,
        "correlation": (of_mean**2 - independent**2) / (alike**2 - independent**2),
        "mask_error": (np.linalg.norm(errors, axis=1) / errors.shape[1]).mean(),
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of the image sets; without it they are downloaded")
    parser.add_argument("--out", type=Path, default=Path("reproduction"), help="networks (default: reproduction)")
    options = parser.parse_args()
    torch.set_num_threads(1)
    setup = Setup(options.data, options.out)
    model = setup.network("mnist").model
    x, y = setup.test_images("mnist", N_IMAGES, model)
    for estimator in ("paper", "regression"):
        for name, method in METHODS.items():
            runs = []
            for seed in range(N_SEEDS):
                sizes = {"n_masks": N_MASKS, "estimator": estimator, "layers": LAYERS, "seed": seed}
                metric = ParameterSensitivityConsistency(**sizes, return_layer_scores=True, disable_warnings=True)
                runs.append((metric(model, x.numpy(), y.numpy(), **method), metric.standard_errors))
            for layer in LAYERS:
                figures = row(*(np.array([run[kind][layer] for run in runs]) for kind in range(2)))
                if (estimator, name, layer) == ("paper", "Saliency", LAYERS[0]):
                    print(f"| estimator | method | layer | {' | '.join(figures)} |\n|{'---|' * (3 + len(figures))}")
                cells = " | ".join(f"{value:.3f}" for value in figures.values())
                print(f"| {estimator} | {name} | {layer} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
