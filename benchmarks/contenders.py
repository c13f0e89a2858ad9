"""SenC as this package computes it, as the paper writes it, and the time that model and explanation method take anyway."""

import copy
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn

from benchmarks.stages import ONCE, Stopwatch
from benchmarks.subjects import Bare, Row
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from quantus_senc._allocator import kept_memory
from quantus_senc._masks import keep_masks
from quantus_senc._units import layer_stream, n_units

Run = Callable[[int], tuple[int, float]]  # see `Contender.run`
Explain = Callable[[nn.Module, np.ndarray, np.ndarray], np.ndarray]


def data_senc(row: Row, how: dict[str, Any]) -> Run:
    """Data SenC with its defaults; labels are given, because they are made once for an image, not once for a mask.

    Each run has a metric of its own: one remembers what it found for the same arguments.
    """
    (x, y), labels = row.arrays, row.labels.numpy()

    def run(n_masks: int) -> tuple[int, float]:
        with Stopwatch(row.device, ONCE) as watch:
            DataSensitivityConsistency(n_masks, disable_warnings=True)(row.model, x, y, custom_batch=labels, **how)
        return n_masks * len(x), watch.once

    return run


def parameter_senc(row: Row, layer: str, how: dict[str, Any], notes: set[str], strategy: str = "auto") -> Run:
    """Parameter SenC of one layer with its defaults, for one image; `notes` gets how the layer was masked."""
    x, y = (values[:1] for values in row.arrays)

    def run(n_masks: int) -> tuple[int, float]:
        metric = ParameterSensitivityConsistency(n_masks, layers=[layer], strategy=strategy, disable_warnings=True)
        with Stopwatch(row.device, ONCE) as watch:
            metric(row.model, x, y, **how)
        found = metric.strategies[layer]
        if strategy == "auto" and found.name != "hooks":
            notes.add(f"masked by {found.name}: {found.why}")
        return n_masks * len(x), watch.once

    return run


def n_masked_images(row: Row) -> Callable[[int], int]:
    """How many masked images of a row differ, for so many masks an image."""
    counts = (row.labels.flatten(1).amax(1) + 1).tolist()

    @cache
    def count(n_masks: int) -> int:
        streams, width = torch.arange(len(counts)), max(counts)
        masks = (keep_masks(42, stream, torch.arange(n_masks), width, 0.8) for stream in streams)
        return sum(len(drawn[:, :own].unique(dim=0)) for drawn, own in zip(masks, counts, strict=True))

    return count


def n_masked_models(row: Row, layer: str) -> Callable[[int], int]:
    """How many masked models differ, for so many masks of a layer."""
    width, stream = n_units(row.model.get_submodule(layer)), torch.tensor(layer_stream(layer))
    return cache(lambda n_masks: len(keep_masks(42, stream, torch.arange(n_masks), width, 0.8).unique(dim=0)))


def bare_passes(row: Row, explain: Bare, inputs: Tensor, targets: Tensor, batch: int) -> Run:
    """Predict and explain ready-made inputs, so many batches, in memory that is kept as SenC keeps it."""

    @kept_memory()
    def run(n_batches: int) -> tuple[int, float]:
        for number in range(n_batches):
            start = number * batch % (len(inputs) - batch + 1)
            x, y = inputs[start : start + batch], targets[start : start + batch]
            with torch.no_grad():
                row.model(x).softmax(-1).gather(1, y[:, None])
            explain(x, y)
        return n_batches * batch, 0.0

    return run


def masked_copies(row: Row, n: int) -> tuple[Tensor, Tensor]:
    """So many images in which random superpixels are 0, and their classes."""
    images = torch.arange(n) % len(row.inputs)
    keep = torch.rand(n, int(row.labels.max()) + 1) > 0.8
    shown = keep.gather(1, row.labels[images].flatten(1)).view(n, 1, *row.labels.shape[1:])
    images = images.to(row.device)
    return row.inputs[images] * shown.to(row.device), row.targets[images]


def probability(model: nn.Module, x: np.ndarray, y: int) -> float:
    """P of class y for one input."""
    with torch.no_grad():
        return model(torch.as_tensor(x, device=next(model.parameters()).device)).softmax(-1)[0, y].item()


def literal_data(
    model: nn.Module, x: np.ndarray, y: np.ndarray, labels: np.ndarray, explain: Callable[..., np.ndarray], n_masks: int
) -> tuple[int, float]:
    """Algorithm 1 as it stands, for one image: one mask a pass."""
    rng, m = np.random.default_rng(0), labels.max() + 1
    start = time.perf_counter()
    confidence, explanation = probability(model, x, y[0]), explain(model, x, y).ravel()
    once = time.perf_counter() - start
    sensitivities = np.zeros((2, m))
    for _ in range(n_masks):
        keep = rng.random(m) > 0.8
        masked = (x * keep[labels]).astype(x.dtype)
        change = abs(confidence - probability(model, masked, y[0]))
        similarity = spearmanr(explanation, explain(model, masked, y).ravel()).statistic
        sensitivities += np.array([[1 - change], [similarity]]) * keep
    spearmanr(*sensitivities)
    return n_masks, once


def literal_parameter(
    model: nn.Module, x: np.ndarray, y: np.ndarray, layer: str, explain: Callable[..., np.ndarray], n_masks: int
) -> tuple[int, float]:
    """Algorithm 2 as it stands, for one image and layer: one copy of the model a mask, with weights that are 0."""
    rng, m = np.random.default_rng(0), _units(model.get_submodule(layer)).shape[0]
    start = time.perf_counter()
    confidence, explanation = probability(model, x, y[0]), explain(model, x, y).ravel()
    once = time.perf_counter() - start
    sensitivities = np.zeros((2, m))
    for _ in range(n_masks):
        keep = rng.random(m) > 0.8
        masked = copy.deepcopy(model)
        _units(masked.get_submodule(layer))[torch.tensor(~keep)] = 0
        change = abs(confidence - probability(masked, x, y[0]))
        similarity = spearmanr(explanation, explain(masked, x, y).ravel()).statistic
        sensitivities += np.array([[1 - change], [similarity]]) * keep
    spearmanr(*sensitivities)
    return n_masks, once


def _units(module: nn.Module) -> Tensor:
    """The weights of a layer, unit by unit: a view."""
    return module.weight.data.T if isinstance(module, nn.Linear) else module.weight.data
