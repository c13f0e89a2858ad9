"""How far scores of data SenC are from their limit, and how far their standard errors say they are.

    python -m benchmarks.calibration images.npz --tables tables.pt

The file holds `x_train`, `y_train`, `x_test` and `y_test`, as Keras distributes CIFAR-10: small colour images, which are
enlarged. A small network is trained. For each image, size and number of superpixels, a table of the weights of many masks is
computed once. Regression on the whole table gives the limit. Draws from the table then stand for runs with other seeds.
"""

import argparse
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from benchmarks.timing import environment
from quantus_senc import DataSensitivityConsistency, explain
from quantus_senc.controls import CONTROLS
from quantus_senc.core.consistency import consistency
from quantus_senc.core.estimators import ESTIMATORS, affords_interactions, regression
from quantus_senc.core.plan import Plan
from quantus_senc.core.record import Sensitivity
from quantus_senc.core.standard_error import limit_interval, standard_error

SIZES = {112: (15, 25, 50), 224: (15, 25, 50)}  # pixels of a side: superpixels, about
METHODS = ("Saliency", "IntegratedGradients", "GradCAM", "Sobel", "random")
MASKS = (120, 256, 500, 1000)
TIES = torch.zeros(2, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Table:
    """The weights of many masks of one image: (methods, masks, 2)."""

    size: int
    mask_rate: float
    masks: Tensor
    weights: Tensor


def trained(path: Path, size: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A small network for enlarged images, and test images whose class it predicts."""
    with np.load(path, allow_pickle=False) as data:
        x, y, x_test, y_test = (torch.tensor(data[name]) for name in ("x_train", "y_train", "x_test", "y_test"))
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 7, 4, 3), nn.ReLU(), nn.Conv2d(16, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(32 * 49, int(y.max()) + 1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(2):
        for batch in torch.randperm(min(len(x), 6000)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(enlarged(x[batch], size)), y[batch].long().flatten()).backward()
            optimizer.step()
    x_test = enlarged(x_test[:100], size)
    with torch.no_grad():
        right = model.eval()(x_test).argmax(1) == y_test[:100].flatten()
    print(f"Network for {size}²: {right.double().mean():.0%} on 100 test images", flush=True)
    return model, x_test[right], y_test[:100].flatten()[right].long()


def enlarged(images: Tensor, size: int) -> Tensor:
    """Images (N, H, W, C) of bytes as (N, C, size, size) in [-1, 1]."""
    channels_first = images.movedim(-1, 1).float() / 127.5 - 1
    return nn.functional.interpolate(channels_first, (size, size), mode="bilinear")


def explainer(method: str) -> Callable[..., Any]:
    """An explain function for the metric."""
    if method in CONTROLS:
        return CONTROLS[method]
    options = {"method": method} | ({"n_steps": 5} if method == "IntegratedGradients" else {})
    return lambda model, inputs, targets, **_: explain(model, inputs, targets, **options)


def table(model: nn.Module, x: Tensor, y: Tensor, n_segments: int, n_masks: int) -> Table:
    """Weights of drawn masks of an image, by all methods."""
    records: list[Sensitivity] = []
    for method in METHODS:
        metric = DataSensitivityConsistency(n_masks, segment_func_kwargs={"n_segments": n_segments}, disable_warnings=True)
        metric(model, x.numpy(), y.numpy(), explain_func=explainer(method))
        records += metric.sensitivities
    weights = torch.stack([record.weights for record in records])
    return Table(x.shape[-1], records[0].design.mask_rate, records[0].masks(), weights)


def tables(path: Path, n_images: int, n_masks: int) -> Iterable[Table]:
    """Tables of all sizes, numbers of superpixels and images."""
    for size, numbers in SIZES.items():
        model, x, y = trained(path, size)
        for place, (n_segments, _) in enumerate(product(numbers, range(n_images))):
            yield table(model, x[place : place + 1], y[place : place + 1], n_segments, n_masks)


def calibrated(one: Table, estimator: str, n_masks: int, n_seeds: int) -> list[dict[str, float]]:
    """For each method: how far scores of drawn masks are from the limit, how far they scatter, and what is claimed."""
    n_all, n_features = one.masks.shape
    interactions = affords_interactions(n_features, n_all, one.mask_rate)
    limits = _scores(regression(one.masks.__getitem__, one.weights, one.mask_rate, interactions=interactions).sensitivities)
    generator = torch.Generator().manual_seed(n_masks)
    plan = Plan(0, one.mask_rate, n_masks, estimator, None)
    scores, errors = torch.empty(2, n_seeds, len(limits), dtype=torch.float64)
    for seed in range(n_seeds):
        drawn = torch.randint(n_all, (n_masks,), generator=generator)
        estimate = plan.estimate(one.masks[drawn].__getitem__, one.weights[:, drawn], n_features, is_exhaustive=False)
        scores[seed] = _scores(estimate.sensitivities)
        intervals = [limit_interval(*pair, TIES) for pair in zip(estimate.steady, estimate.deviations, strict=True)]
        errors[seed] = torch.tensor([standard_error(*pair) for pair in zip(scores[seed].tolist(), intervals, strict=True)])
    off = scores - limits
    columns = {
        "distance": off.square().mean(0).sqrt(),
        "spread": scores.std(0),
        "claimed": errors.mean(0),
        "one": (off.abs() <= errors).double().mean(0),
        "two": (off.abs() <= 2 * errors).double().mean(0),
    }
    return [{name: values[method].item() for name, values in columns.items()} for method in range(len(limits))]


def _scores(sensitivities: Tensor) -> Tensor:
    return consistency(sensitivities[:, 0], sensitivities[:, 1], TIES)


def print_rows(cells: dict[tuple[str, int], list[dict[str, float]]]) -> None:
    """Print a row for each estimator and number of masks: means over cells, and the worst cells."""
    print(
        "| estimator | masks | distance | spread | claimed | claimed / distance | ± 1 covers | ± 2 cover | in the worst cell |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for (estimator, n_masks), rows in cells.items():
        mean = {name: np.mean([row[name] for row in rows]) for name in rows[0]}
        ratios = [row["claimed"] / row["distance"] for row in rows if row["distance"] > 0]
        ratio = f"{np.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        shown = " | ".join(f"{mean[name]:.3f}" for name in ("distance", "spread", "claimed"))
        covered = f"{mean['one']:.0%} | {mean['two']:.0%} | {min(row['two'] for row in rows):.0%}"
        print(f"| {estimator} | {n_masks} | {shown} | {ratio} | {covered} |")


def main() -> None:
    """Compute or read the tables, and print how well errors are calibrated."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--tables", type=Path, help="where the tables are kept, or read from if they are there")
    parser.add_argument("--count", type=int, default=1, help="images of each size and number of superpixels")
    parser.add_argument("--pool", type=int, default=8000, help="masks of a table")
    parser.add_argument("--seeds", type=int, default=60)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.tables and options.tables.exists():
        known = [Table(**members) for members in torch.load(options.tables)]
    else:
        known = list(tqdm(tables(options.images, options.count, options.pool), disable=None))
        if options.tables:
            torch.save([vars(one) for one in known], options.tables)
    sizes = ", ".join(f"{one.size}² with {one.masks.shape[1]}" for one in known)
    print(f"Pixels and superpixels: {sizes}; {environment(torch.device('cpu'))}\n")
    cells = {
        (estimator, n_masks): [row for one in known for row in calibrated(one, estimator, n_masks, options.seeds)]
        for estimator, n_masks in product(ESTIMATORS, MASKS)
    }
    print_rows(cells)


if __name__ == "__main__":
    main()
