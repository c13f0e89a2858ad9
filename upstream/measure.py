"""The times and the picture of PULL_REQUEST.md.

Run it as PYTHONPATH=TREE python upstream/measure.py, with TREE as apply.py leaves it.
"""

import statistics
import time
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import quantus_senc
import torch
from quantus_senc import demo

import quantus
from quantus.helpers.model.models import LeNet
from quantus.metrics import faithfulness

REPETITIONS = 3


def times() -> None:
    """Print the seconds that each metric takes for an image, on one core."""
    x_batch = np.random.default_rng(0).random((4, 1, 28, 28)).astype(np.float32)
    call = {
        "model": LeNet().eval(),
        "x_batch": x_batch,
        "y_batch": np.arange(4),
        "explain_func": quantus.explain,
        "explain_func_kwargs": {"method": "Saliency"},
    }
    first = {"n_masks": 500, "layers": ["conv_1"]}
    metrics = {
        "data SenC": faithfulness.DataSensitivityConsistency(500),
        "data SenC, quantus-senc": quantus_senc.DataSensitivityConsistency(500),
        "parameter SenC": faithfulness.ParameterSensitivityConsistency(**first),
        "parameter SenC, quantus-senc": (
            quantus_senc.ParameterSensitivityConsistency(**first)
        ),
        "Max-Sensitivity, 200 samples": quantus.MaxSensitivity(nr_samples=200),
        "Infidelity": quantus.Infidelity(),
        "Faithfulness Correlation": quantus.FaithfulnessCorrelation(subset_size=100),
        "Region Perturbation": quantus.RegionPerturbation(patch_size=4),
        "MPRT": quantus.MPRT(),
        "Pixel Flipping": quantus.PixelFlipping(features_in_step=28),
    }
    for name, metric in metrics.items():
        seconds = []
        for _ in range(REPETITIONS):
            start = time.process_time()
            metric(**call)
            seconds.append((time.process_time() - start) / len(x_batch))
        print(f"| {name} | {statistics.median(seconds):.3f} |")


def blob(model, inputs, targets, **kwargs):
    """A map that sees neither the model nor the input."""
    y, x = np.indices(inputs.shape[-2:]) - inputs.shape[-1] / 2
    one = np.exp(-(x**2 + y**2) / 50) + 1e-3 * y + 1e-4 * x
    return np.broadcast_to(one, (len(inputs), *one.shape))


def noise(model, inputs, targets, **kwargs):
    """A map that is another for every input."""
    generator = np.random.default_rng(abs(int(inputs.sum() * 1e4)))
    return generator.random(inputs[:, 0].shape)


def picture(path: Path) -> None:
    """Draw the scores of some explanations by both estimators."""
    images, labels, x_batch, y_batch = demo.digits()
    model = demo.train(images, labels)
    gradients = {"method": "IntegratedGradients", "n_steps": 10}
    methods = {
        "Integrated\nGradients": (quantus.explain, gradients),
        "Input×\nGradient": (quantus.explain, {"method": "InputXGradient"}),
        "Saliency": (quantus.explain, {"method": "Saliency"}),
        "noise": (noise, {}),
        "the same blob\nfor all inputs": (blob, {}),
    }
    figure, axes = plt.subplots(figsize=(7, 3.2), dpi=110, layout="tight")
    for shift, estimator, colour in (
        (-0.18, "paper", "#999999"),
        (0.18, "regression", "#3366aa"),
    ):
        metric = faithfulness.DataSensitivityConsistency(400, 0.5, estimator)
        for place, (explain_func, kwargs) in enumerate(methods.values()):
            scores = np.sort(
                metric(
                    model,
                    x_batch[:16].numpy(),
                    y_batch[:16].numpy(),
                    explain_func=explain_func,
                    explain_func_kwargs=kwargs,
                )
            )
            centre, label = place + shift, f'estimator="{estimator}"'
            if np.isnan(scores).all():
                axes.text(centre, 0.02, "NaN", ha="center", va="bottom", color=colour)
                continue
            spread = centre + np.linspace(-0.1, 0.1, len(scores))
            axes.scatter(spread, scores, s=8, color=colour, alpha=0.6, lw=0)
            ends, mean = [centre - 0.15, centre + 0.15], [scores.mean()] * 2
            axes.plot(ends, mean, color=colour, lw=2.5, label=None if place else label)
    axes.axhline(0, color="black", lw=0.6)
    axes.set_xticks(range(len(methods)), list(methods))
    axes.set_ylabel("Data Sensitivity Consistency")
    axes.set_ylim(-1, 1.02)
    axes.set_title("16 handwritten digits; lines are means", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower left")
    figure.savefig(path)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    times()
    picture(Path(__file__).with_name("picture.png"))
