"""Errors of the two estimators of data SenC, by masks and by seconds, on images for which all masks can be run.

    python -m benchmarks.accuracy mnist.npz --figure accuracy.png

The file holds `x_train`, `y_train`, `x_test` and `y_test`, as Keras distributes MNIST. A LeNet is trained. For each image a
table of the weights of all masks is computed once. The estimators then read the weights of drawn masks from the tables, for
many seeds.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import quantus
import torch
from captum.attr import DeepLift, GuidedBackprop, LayerGradCam, Saliency
from matplotlib import pyplot as plt
from quantus.helpers.model.models import LeNet
from torch import Tensor, nn
from tqdm.auto import tqdm

from benchmarks.timing import environment
from quantus_senc import DataSensitivityConsistency
from quantus_senc.core.mask_loop import MaskRun, Unperturbed
from quantus_senc.core.masks import exhaustive_masks, keep_masks
from quantus_senc.core.perturb import changed_features, eliminate
from quantus_senc.core.plan import Plan
from quantus_senc.core.ranks import centred_ranks, rank_correlation
from quantus_senc.core.segment import segment
from quantus_senc.core.weight_table import Pairs
from tests import reference

RATES = (0.2, 0.5, 0.8)
MASKS = {"paper": (500, 1000, 2000, 5000), "regression": (100, 200, 500, 1000, 2000)}
BASELINES = {"black": 0.0, "mean grey": 0.1307}
ROUNDING = 4 * torch.finfo(torch.float32).eps
Explain = Callable[[Tensor, Tensor], Tensor]


def trained(path: Path) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A LeNet for images in [0, 1], and the test images it has not seen."""
    with np.load(path, allow_pickle=False) as data:
        x, y, x_test, y_test = (torch.tensor(data[name]) for name in ("x_train", "y_train", "x_test", "y_test"))
    torch.manual_seed(0)
    scale = nn.BatchNorm2d(1, affine=False, momentum=None)  # brings images to mean 0 and deviation 1
    model = nn.Sequential(scale, LeNet())
    x, x_test = x.reshape(-1, 1, 28, 28).float() / 255, x_test.reshape(-1, 1, 28, 28).float() / 255
    scale(x)
    scale.eval()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(2):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch].long()).backward()
            optimizer.step()
    model.eval()
    with torch.no_grad():
        accuracy = (model(x_test[:2000]).argmax(1) == y_test[:2000]).double().mean().item()
    print(f"LeNet with {accuracy:.1%} on 2,000 test images")
    return model, x_test, y_test.long()


def explainers(model: nn.Sequential) -> dict[str, Explain]:
    """The methods, as functions of inputs and classes."""
    cam = LayerGradCam(model, model[1].conv_2)
    return {
        "Saliency": lambda x, y: Saliency(model).attribute(x.requires_grad_(), y),
        "Guided Backprop": lambda x, y: GuidedBackprop(model).attribute(x.requires_grad_(), y),
        "Grad-CAM": lambda x, y: nn.functional.interpolate(cam.attribute(x, y), (28, 28), mode="bilinear"),
        "DeepLift": lambda x, y: DeepLift(model).attribute(x, torch.zeros_like(x), y),
    }


def table(
    model: nn.Module, methods: dict[str, Explain], x: Tensor, y: Tensor, labels: Tensor, free: Tensor, baseline: float
) -> dict[str, Tensor]:
    """The weight of every mask of the free features, for the prediction and for each method."""

    def outputs(inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        classes = y.expand(len(inputs))
        with torch.no_grad():
            confidence = model(inputs).softmax(-1)[:, y[0]]
        return confidence, {name: explain(inputs.clone(), classes).detach().flatten(1) for name, explain in methods.items()}

    confidence, maps = outputs(x)
    ranks = {name: centred_ranks(one) for name, one in maps.items()}
    weights: dict[str, list[Tensor]] = {name: [] for name in ("prediction", *methods)}
    for numbers in torch.arange(2 ** int(free.sum())).split(256):
        masks = exhaustive_masks(free, numbers)[None]
        changed, maps = outputs(eliminate(x, labels, masks, torch.full_like(x, baseline))[0])
        weights["prediction"].append(1 - (confidence - changed).abs().double())
        for name in methods:
            weights[name].append(rank_correlation(ranks[name], maps[name])[0].double())
    return {name: torch.cat(chunks) for name, chunks in weights.items()}


def scores(tables: list[dict[str, Tensor]], free: Tensor, counts: list[int], method: str, plan: Plan) -> tuple[np.ndarray, ...]:
    """Scores and standard errors of data SenC, for images of which the weights of every mask are known."""
    exists = torch.arange(free.shape[1]) < torch.tensor(counts)[:, None]
    design = plan.design(torch.arange(len(tables)), free if plan.knows_inert_features else exists)
    zeros = torch.zeros(len(tables), dtype=torch.float64)
    weights = torch.cat([torch.stack([one["prediction"], one[method]], -1) for one in tables])
    first = torch.tensor([0, *(len(one["prediction"]) for one in tables[:-1])]).cumsum(0)  # row of each image
    bits = 2 ** (free.cumsum(1) - 1).clamp(min=0) * free

    def weigh(pairs: Pairs, told: Callable[[int], object]) -> tuple[Tensor, Tensor]:
        rows = first[pairs.images] + (pairs.masks() * bits[pairs.images]).sum(-1)
        return weights[rows], torch.zeros(len(pairs), dtype=torch.bool)

    unperturbed = Unperturbed(zeros, zeros.bool(), ROUNDING, single_pixels(counts))
    records = MaskRun(plan, design, unperturbed, tqdm(total=0, disable=True), free).records(weigh)
    return np.array([record.score for record in records]), np.array([record.standard_error for record in records])


def single_pixels(counts: list[int]) -> Tensor:
    """Labels of so many features for each image, as if each feature were a single pixel."""
    return torch.arange(max(counts)).minimum(torch.tensor(counts)[:, None] - 1)


def errors(estimates: np.ndarray, standard_errors: np.ndarray, limit: np.ndarray) -> dict[str, float]:
    """Root mean square error, bias, mean standard error, and how often two of these reach the limit; seeds by images."""
    defined = ~np.isnan(limit)
    off, width = (estimates - limit)[:, defined], standard_errors[:, defined]
    return {
        "rmse": float(np.sqrt(np.nanmean(off**2))),
        "bias": float(np.nanmean(off)),
        "standard_error": float(np.nanmean(width)),
        "covered": float(np.mean(np.abs(off[width > 0]) <= 2 * width[width > 0])),  # no error where all masks were run
    }


def accuracy(
    tables: list[dict[str, Tensor]], free: Tensor, counts: list[int], methods: list[str], n_seeds: int
) -> dict[tuple[float, str, str, int], dict[str, float]]:
    """Errors for each mask rate, method, estimator and number of masks."""
    results = {}
    for rate, method in product(RATES, methods):
        limit, _ = scores(tables, free, counts, method, Plan(0, rate, "all", "regression", None))
        for estimator, numbers in MASKS.items():
            for n_masks in numbers:
                plans = [Plan(seed, rate, n_masks, estimator, None) for seed in range(n_seeds)]
                runs = [scores(tables, free, counts, method, plan) for plan in plans]
                results[rate, method, estimator, n_masks] = errors(*map(np.stack, zip(*runs, strict=True)), limit)
    return results


def controls(tables: list[dict[str, Tensor]], free: Tensor, counts: list[int]) -> None:
    """Print the scores of a fixed blob and of independent random maps."""
    generator = torch.Generator().manual_seed(0)
    names = [f"random {draw}" for draw in range(10)]
    for one in tables:
        one["blob"] = torch.ones_like(one["prediction"])
        for name in names:
            one[name] = torch.randn(one["prediction"].shape, dtype=torch.float64, generator=generator) / 28
    print("| eliminated | estimator | masks | fixed blob | random maps, mean ± error of the mean |\n|---|---|---|---|---|")
    for rate, (estimator, n_masks) in product(RATES, (("paper", 500), ("paper", 5000), ("regression", 500))):
        plans = [Plan(seed, rate, n_masks, estimator, None) for seed in range(len(names))]
        blob = scores(tables, free, counts, "blob", plans[0])[0]
        random = np.concatenate([scores(tables, free, counts, *run)[0] for run in zip(names, plans, strict=True)])
        cell = f"{blob.mean():.2f}" if np.isfinite(blob).any() else f"NaN for {np.isnan(blob).sum()} of {len(blob)}"
        error = np.nanstd(random, ddof=1) / np.sqrt(np.isfinite(random).sum())
        print(f"| {rate} | {estimator} | {n_masks} | {cell} | {np.nanmean(random):+.3f} ± {error:.3f} |")


def seconds(model: nn.Module, explain: Explain, x: Tensor, y: Tensor, labels: Tensor, baseline: float) -> dict[str, float]:
    """Seconds of an image in a call of the metric, by estimator and number of masks; the median of three runs."""
    medians = {}
    for estimator, numbers in MASKS.items():
        for n_masks in numbers:
            metric = DataSensitivityConsistency(n_masks, estimator=estimator, perturb_baseline=baseline, disable_warnings=True)
            times = []
            for _ in range(3):
                start = time.perf_counter()
                metric(
                    model, x, y,
                    explain_func=lambda model, inputs, targets, **_: explain(inputs, targets), custom_batch=labels,
                )  # fmt: skip
                times.append((time.perf_counter() - start) / len(x))
            medians[f"{estimator} {n_masks}"] = float(np.median(times))
    return medians


def paper_seconds(model: nn.Module, x: np.ndarray, y: np.ndarray, labels: np.ndarray, n_masks: int = 300) -> float:
    """Seconds of a mask in Algorithm 1 to the letter, for Saliency on the first image."""
    masks = keep_masks(0, torch.tensor(0), torch.arange(n_masks), int(labels[0].max()) + 1, 0.8).numpy()

    def explain(x: np.ndarray, y: int) -> np.ndarray:
        return quantus.explain(model, x[None], np.array([y]), method="Saliency", device="cpu")[0]

    start = time.perf_counter()
    reference.data_senc(model, x[0], y[0], labels[0], explain, masks)
    return (time.perf_counter() - start) / n_masks


def main() -> None:
    """Tabulate, estimate, print tables, draw the figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    model, x, y = trained(options.mnist)
    methods = explainers(model)
    labels = segment(x[: 4 * options.images], "slic", {"n_segments": 15, "compactness": 0.1})
    sizes = labels.flatten(1).amax(1) + 1
    chosen = ((sizes >= 12) & (sizes <= 16)).nonzero()[: options.images, 0]
    x, y, labels, counts = x[chosen], y[chosen], labels[chosen], sizes[chosen].tolist()
    print(f"{len(x)} images with {min(counts)} to {max(counts)} superpixels; {environment(torch.device('cpu'))}")

    few = [one[:4].numpy() for one in (x, y, labels)]
    seconds_of_loop = 5000 * paper_seconds(model, *few)
    results = {}
    for name, baseline in BASELINES.items():
        free = changed_features(x, labels, torch.full_like(x[:, :, :1, :1], baseline), max(counts))
        differ = free.sum(1)
        print(f"\n## Baseline {name}: {differ.min()} to {differ.max()} superpixels differ from it", end=", ")
        print(f"{sum(2**differ > 500)} images have more than 500 masks, {sum(2**differ > 2000)} more than 2,000\n")
        ones = [slice(i, i + 1) for i in range(len(x))]
        tables = [table(model, methods, x[i], y[i], labels[i], free[i][0], baseline) for i in tqdm(ones, disable=None)]
        by_masks = accuracy(tables, free, counts, list(methods), options.seeds)
        times = seconds(model, methods["Saliency"], *few, baseline)
        print_accuracy(by_masks)
        print_seconds(by_masks, times, seconds_of_loop)
        controls(tables, free, counts)
        results[name] = by_masks, times
    if options.json:
        plain = {name: [{str(key): one for key, one in by_masks.items()}, times] for name, (by_masks, times) in results.items()}
        options.json.write_text(json.dumps({"environment": environment(torch.device("cpu")), "results": plain}, indent=1))
    if options.figure:
        draw(results, seconds_of_loop).savefig(options.figure, dpi=150)


def print_accuracy(results: dict[tuple[float, str, str, int], dict[str, float]]) -> None:
    """Print the errors of both estimators, and the coverage of the regression's standard errors."""
    print("| eliminated | method | paper, 500 | paper, 5000 | regression, 500 | ± 2 errors cover, 500 | 2000 |")
    print("|---|---|---|---|---|---|---|")
    for rate, method in dict.fromkeys(key[:2] for key in results):
        cells = [
            f"{results[rate, method, estimator, n]['rmse']:.3f} ({results[rate, method, estimator, n]['bias']:+.2f})"
            for estimator, n in (("paper", 500), ("paper", 5000), ("regression", 500))
        ]
        cells += [f"{results[rate, method, 'regression', n]['covered']:.0%}" for n in (500, 2000)]
        print(f"| {rate} | {method} | {' | '.join(cells)} |")


def print_seconds(
    results: dict[tuple[float, str, str, int], dict[str, float]], times: dict[str, float], seconds_of_loop: float
) -> None:
    """Print how soon the regression has the error of the paper's loop with 5,000 masks, for Saliency."""
    print("\n| eliminated | error of the paper's loop, 5,000 masks | its seconds | regression: masks | seconds | times fewer |")
    print("|---|---|---|---|---|---|")
    for rate in RATES:
        aim = results[rate, "Saliency", "paper", 5000]["rmse"]
        reached = [n for n in MASKS["regression"] if results[rate, "Saliency", "regression", n]["rmse"] <= aim]
        taken = times[f"regression {reached[0]}"] if reached else np.nan
        cells = f"{aim:.3f} | {seconds_of_loop:.2f} | {reached[0] if reached else 'never'} | {taken:.3f}"
        print(f"| {rate} | {cells} | {seconds_of_loop / taken:.0f} |")
    print(f"\nSeconds an image: {', '.join(f'{name} {value:.3f}' for name, value in times.items())}\n")


def draw(results: dict[str, tuple[dict, dict[str, float]]], seconds_of_loop: float) -> plt.Figure:
    """Errors against masks and against seconds: Saliency, both baselines, all mask rates."""
    figure, axes = plt.subplots(len(results), 2, figsize=(10, 4 * len(results)), sharey=True, layout="constrained")
    for (name, (errors_of, times)), (by_masks, by_seconds) in zip(results.items(), axes, strict=True):
        for (estimator, numbers), rate in product(MASKS.items(), RATES):
            values = [errors_of[rate, "Saliency", estimator, n]["rmse"] for n in numbers]
            style = {"linestyle": "-" if estimator == "regression" else "--", "marker": "o^s"[RATES.index(rate)]}
            colour = {"color": str(0.15 + 0.25 * RATES.index(rate))}
            by_masks.plot(numbers, values, label=f"{estimator}, {rate} eliminated", **style, **colour)
            by_seconds.plot([times[f"{estimator} {n}"] for n in numbers], values, **style, **colour)
            if estimator == "paper":
                aim = errors_of[rate, "Saliency", "paper", 5000]["rmse"]
                by_seconds.plot(seconds_of_loop, aim, "x", **colour)
        by_masks.set(xscale="log", xlabel="masks", ylabel=f"root mean square error, {name} baseline")
        by_seconds.set(xscale="log", xlabel="seconds an image")
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].plot([], [], "kx", label="the paper's loop, 5,000 masks")
    axes[0, 1].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
