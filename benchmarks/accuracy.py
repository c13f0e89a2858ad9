"""Errors of data SenC's two estimators, against masks and against seconds, where every mask can be tried for the truth.

    python -m benchmarks.accuracy mnist.npz --figure accuracy.png

The file holds `x_train`, `y_train`, `x_test` and `y_test`, as Keras distributes MNIST. A LeNet is trained; for each image the
weights of all masks are tabulated once, and the estimators are then given masks' weights from these tables, for many seeds.
"""

import argparse
import json
import time
import warnings
from collections.abc import Callable
from functools import partial
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

from benchmarks.contenders import literal_data
from benchmarks.timing import environment
from quantus_senc import DataSensitivityConsistency
from quantus_senc._masks import every_mask
from quantus_senc._perturb import changed_features, eliminate
from quantus_senc._plan import Plan
from quantus_senc._segment import segment
from quantus_senc._similarity import centred_ranks, rank_correlation
from quantus_senc._survey import Survey

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
    """The weight of every mask of the free features, for the prediction and each method."""

    def outputs(inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        classes = y.expand(len(inputs))
        with torch.no_grad():
            confidence = model(inputs).softmax(-1)[:, y[0]]
        return confidence, {name: explain(inputs.clone(), classes).detach().flatten(1) for name, explain in methods.items()}

    confidence, maps = outputs(x)
    ranks = {name: centred_ranks(found) for name, found in maps.items()}
    found: dict[str, list[Tensor]] = {name: [] for name in ("prediction", *methods)}
    for numbers in torch.arange(2 ** int(free.sum())).split(256):
        masks = every_mask(free, numbers)[None]
        changed, maps = outputs(eliminate(x, labels, masks, torch.full_like(x, baseline))[0])
        found["prediction"].append(1 - (confidence - changed).abs().double())
        for name in methods:
            found[name].append(rank_correlation(ranks[name], maps[name])[0].double())
    return {name: torch.cat(weights) for name, weights in found.items()}


def scores(tables: list[dict[str, Tensor]], free: Tensor, counts: list[int], method: str, plan: Plan) -> tuple[np.ndarray, ...]:
    """What data SenC finds for images of which the weights of every mask are known: scores and standard errors."""
    exists = torch.arange(free.shape[1]) < torch.tensor(counts)[:, None]
    design = plan.design(torch.arange(len(tables)), free if plan.tells_changes else exists)
    zeros = torch.zeros(len(tables), dtype=torch.float64)
    survey = Survey(plan, design, own_labels(counts), zeros, zeros.bool(), ROUNDING)
    place = 2 ** (free.cumsum(1) - 1).clamp(min=0) * free
    for images, numbers in survey.rounds(tqdm(total=0, disable=True)):
        for start in range(*numbers, 512):
            part = start, min(start + 512, numbers[1])
            masks = survey.masks(images, part)
            entries = (masks * place[images, None]).sum(-1)
            looked_up = [
                torch.stack([tables[image]["prediction"][entry], tables[image][method][entry]])
                for image, entry in zip(images.tolist(), entries, strict=True)
            ]
            survey.add(images, part, masks, torch.stack(looked_up), torch.zeros(masks.shape[:2], dtype=torch.bool))
    records = survey.records()
    return np.array([record.score for record in records]), np.array([record.standard_error for record in records])


def own_labels(counts: list[int]) -> Tensor:
    """Labels of features, of so many for each image, as if each were a single pixel."""
    return torch.arange(max(counts)).minimum(torch.tensor(counts)[:, None] - 1)


def errors(found: np.ndarray, standard_errors: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Root mean square error, bias, mean standard error, and how often two of them reach the truth; seeds by images."""
    known = ~np.isnan(truth)
    off, width = (found - truth)[:, known], standard_errors[:, known]
    return {
        "rmse": float(np.sqrt(np.nanmean(off**2))),
        "bias": float(np.nanmean(off)),
        "standard_error": float(np.nanmean(width)),
        "covered": float(np.mean(np.abs(off[width > 0]) <= 2 * width[width > 0])),  # no error where every mask was tried
    }


def accuracy(
    tables: list[dict[str, Tensor]], free: Tensor, counts: list[int], methods: list[str], n_seeds: int
) -> dict[tuple[float, str, str, int], dict[str, float]]:
    """Errors for each mask rate, method, estimator and number of masks."""
    found = {}
    for rate, method in product(RATES, methods):
        truth, _ = scores(tables, free, counts, method, Plan(0, rate, "all", "regression", None, False))
        for estimator, numbers in MASKS.items():
            for n_masks in numbers:
                plans = [Plan(seed, rate, n_masks, estimator, None, False) for seed in range(n_seeds)]
                runs = [scores(tables, free, counts, method, plan) for plan in plans]
                found[rate, method, estimator, n_masks] = errors(*map(np.stack, zip(*runs, strict=True)), truth)
    return found


def controls(tables: list[dict[str, Tensor]], free: Tensor, counts: list[int]) -> None:
    """Print what a fixed blob and independent random maps get."""
    generator = torch.Generator().manual_seed(0)
    names = [f"random {draw}" for draw in range(10)]
    for own in tables:
        own["blob"] = torch.ones_like(own["prediction"])
        for name in names:
            own[name] = torch.randn(own["prediction"].shape, dtype=torch.float64, generator=generator) / 28
    print("| eliminated | estimator | masks | fixed blob | random maps, mean ± error of the mean |\n|---|---|---|---|---|")
    for rate, (estimator, n_masks) in product(RATES, (("paper", 500), ("paper", 5000), ("regression", 500))):
        plans = [Plan(seed, rate, n_masks, estimator, None, False) for seed in range(len(names))]
        blob = scores(tables, free, counts, "blob", plans[0])[0]
        random = np.concatenate([scores(tables, free, counts, *one)[0] for one in zip(names, plans, strict=True)])
        shown = f"{blob.mean():.2f}" if np.isfinite(blob).any() else f"NaN for {np.isnan(blob).sum()} of {len(blob)}"
        error = np.nanstd(random, ddof=1) / np.sqrt(np.isfinite(random).sum())
        print(f"| {rate} | {estimator} | {n_masks} | {shown} | {np.nanmean(random):+.3f} ± {error:.3f} |")


def seconds(model: nn.Module, explain: Explain, x: Tensor, y: Tensor, labels: Tensor, baseline: float) -> dict[str, float]:
    """Seconds an image that the metric takes for some numbers of masks; the median of three runs."""
    found = {}
    for estimator, numbers in MASKS.items():
        for n_masks in numbers:
            metric = DataSensitivityConsistency(
                n_masks, estimator=estimator, perturb_baseline=baseline, disable_warnings=True, max_batch_size="auto"
            )
            times = []
            for _ in range(3):
                start = time.perf_counter()
                metric(
                    model, x, y,
                    explain_func=lambda model, inputs, targets, **_: explain(inputs, targets), custom_batch=labels,
                )  # fmt: skip
                times.append((time.perf_counter() - start) / len(x))
            found[f"{estimator} {n_masks}"] = float(np.median(times))
    return found


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

    few = slice(0, 4)
    start = time.perf_counter()
    saliency = partial(quantus.explain, method="Saliency", device="cpu")
    n_literal = literal_data(model, x[:1].numpy(), y[:1].numpy(), labels[0].numpy(), saliency, 300)
    a_mask = (time.perf_counter() - start) / n_literal
    results = {}
    for name, baseline in BASELINES.items():
        free = changed_features(x, labels, torch.full_like(x[:, :, :1, :1], baseline), max(counts))
        differ = free.sum(1)
        print(f"\n## Baseline {name}: {differ.min()} to {differ.max()} superpixels differ from it", end=", ")
        print(f"{sum(2**differ > 500)} images have more than 500 masks, {sum(2**differ > 2000)} more than 2,000\n")
        ones = [slice(i, i + 1) for i in range(len(x))]
        tables = [table(model, methods, x[i], y[i], labels[i], free[i][0], baseline) for i in tqdm(ones, disable=None)]
        found = accuracy(tables, free, counts, list(methods), options.seeds)
        times = seconds(model, methods["Saliency"], x[few].numpy(), y[few].numpy(), labels[few].numpy(), baseline)
        print_accuracy(found)
        print_seconds(found, times, 5000 * a_mask)
        controls(tables, free, counts)
        results[name] = found, times
    if options.json:
        plain = {name: [{str(key): value for key, value in found.items()}, times] for name, (found, times) in results.items()}
        options.json.write_text(json.dumps({"environment": environment(torch.device("cpu")), "results": plain}, indent=1))
    if options.figure:
        draw(results, 5000 * a_mask).savefig(options.figure, dpi=150)


def print_accuracy(found: dict[tuple[float, str, str, int], dict[str, float]]) -> None:
    """Print the errors of both estimators, and the coverage of the regression's standard errors."""
    print("| eliminated | method | paper, 500 | paper, 5000 | regression, 500 | ± 2 errors cover, 500 | 2000 |")
    print("|---|---|---|---|---|---|---|")
    for rate, method in dict.fromkeys(key[:2] for key in found):
        cells = [
            f"{found[rate, method, estimator, n]['rmse']:.3f} ({found[rate, method, estimator, n]['bias']:+.2f})"
            for estimator, n in (("paper", 500), ("paper", 5000), ("regression", 500))
        ]
        cells += [f"{found[rate, method, 'regression', n]['covered']:.0%}" for n in (500, 2000)]
        print(f"| {rate} | {method} | {' | '.join(cells)} |")


def print_seconds(
    found: dict[tuple[float, str, str, int], dict[str, float]], times: dict[str, float], literal_seconds: float
) -> None:
    """Print how much sooner the regression has the literal loop's error at 5,000 masks, for Saliency."""
    print("\n| eliminated | error of the literal loop, 5,000 masks | its seconds | regression: masks | seconds | times fewer |")
    print("|---|---|---|---|---|---|")
    for rate in RATES:
        aim = found[rate, "Saliency", "paper", 5000]["rmse"]
        reached = [n for n in MASKS["regression"] if found[rate, "Saliency", "regression", n]["rmse"] <= aim]
        own = times[f"regression {reached[0]}"] if reached else np.nan
        cells = f"{aim:.3f} | {literal_seconds:.2f} | {reached[0] if reached else 'never'} | {own:.3f}"
        print(f"| {rate} | {cells} | {literal_seconds / own:.0f} |")
    print(f"\nSeconds an image: {', '.join(f'{name} {value:.3f}' for name, value in times.items())}\n")


def draw(results: dict[str, tuple[dict, dict[str, float]]], literal_seconds: float) -> plt.Figure:
    """Errors against masks and against seconds: Saliency, both baselines, all mask rates."""
    figure, axes = plt.subplots(len(results), 2, figsize=(10, 4 * len(results)), sharey=True, layout="constrained")
    for (name, (found, times)), (by_masks, by_seconds) in zip(results.items(), axes, strict=True):
        for (estimator, numbers), rate in product(MASKS.items(), RATES):
            values = [found[rate, "Saliency", estimator, n]["rmse"] for n in numbers]
            style = {"linestyle": "-" if estimator == "regression" else "--", "marker": "o^s"[RATES.index(rate)]}
            colour = {"color": str(0.15 + 0.25 * RATES.index(rate))}
            by_masks.plot(numbers, values, label=f"{estimator}, {rate} eliminated", **style, **colour)
            by_seconds.plot([times[f"{estimator} {n}"] for n in numbers], values, **style, **colour)
            if estimator == "paper":
                aim = found[rate, "Saliency", "paper", 5000]["rmse"]
                by_seconds.plot(literal_seconds, aim, "x", **colour)
        by_masks.set(xscale="log", xlabel="masks", ylabel=f"root mean square error, {name} baseline")
        by_seconds.set(xscale="log", xlabel="seconds an image")
    axes[0, 0].legend(fontsize=8)
    axes[0, 1].plot([], [], "kx", label="literal loop, 5,000 masks")
    axes[0, 1].legend(fontsize=8)
    return figure


if __name__ == "__main__":
    main()
