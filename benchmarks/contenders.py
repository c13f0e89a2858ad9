"""SenC as this package computes it and as the paper writes it, and the time of model and explanation method alone."""

from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.calls import DATA, call, masked_layer
from benchmarks.rows import Explain, Row
from benchmarks.timing import Task
from quantus_senc.core.masks import keep_masks
from quantus_senc.metrics.units import layer_stream, n_units
from quantus_senc.model.retain_heap import retain_heap
from tests import reference

_SEED, _MASK_RATE = 42, 0.8  # the defaults of the metrics


def data_senc(row: Row, explaining: dict[str, Any]) -> Task:
    """Data SenC with its defaults. The labels are given, because they are made once for an image, not once for a mask."""
    arrays, n_images = row.arrays, len(row.inputs)
    counts = [int(labels.max()) + 1 for labels in row.labels]

    @cache
    def n_distinct(n_masks: int) -> int:
        masks = (_masks(image, n_masks, max(counts)) for image in range(n_images))
        return sum(len(drawn[:, :count].unique(dim=0)) for drawn, count in zip(masks, counts, strict=True))

    def run(n_masks: int) -> None:
        call(row.model, arrays, DATA, n_masks, explaining, row.labels)

    return Task(run, lambda n_masks: n_masks * n_images, n_distinct)


def parameter_senc(row: Row, target: str, explaining: dict[str, Any], notes: set[str], strategy: str = "auto") -> Task:
    """Parameter SenC of one layer with its defaults, for one image; `notes` gets how the layer was masked."""
    arrays, layer = row.arrays, masked_layer(row.model, target)
    stream, width = layer_stream(layer), n_units(row.model.get_submodule(layer))

    def run(n_masks: int) -> None:
        metric = call(row.model, arrays, target, n_masks, explaining, strategy=strategy)
        masked = metric.strategies[layer]
        if strategy == "auto" and masked.name != "hooks":
            notes.add(f"masked by {masked.name}: {masked.why}")

    return Task(run, lambda n_masks: n_masks, cache(lambda n_masks: len(_masks(stream, n_masks, width).unique(dim=0))))


def paper_data(row: Row, explaining: dict[str, Any]) -> Task:
    """Algorithm 1 to the letter, for one image: one mask a pass."""
    (x, *_), (y, *_) = row.arrays
    labels = row.labels[0].numpy()

    def run(n_masks: int) -> None:
        masks = _masks(0, n_masks, labels.max() + 1).numpy()
        with _new_tensors_on(row.device):
            reference.data_senc(row.model, x, y, labels, lambda x, y: _explain_one(row.model, x, y, explaining), masks)

    return Task(run, lambda n_masks: n_masks)


def paper_parameter(row: Row, target: str, explaining: dict[str, Any]) -> Task:
    """Algorithm 2 to the letter, for one image and layer: one copy of the model a mask."""
    (x, *_), (y, *_) = row.arrays
    layer = masked_layer(row.model, target)
    stream, width = layer_stream(layer), n_units(row.model.get_submodule(layer))

    def run(n_masks: int) -> None:
        masks = _masks(stream, n_masks, width).numpy()
        with _new_tensors_on(row.device):
            reference.parameter_senc(row.model, x, y, lambda *given: _explain_one(*given, explaining), layer, masks)

    return Task(run, lambda n_masks: n_masks)


def bare_passes(row: Row, explain: Explain, inputs: Tensor, targets: Tensor, batch: int) -> Task:
    """Predict and explain ready-made inputs, so many batches, on a heap that is retained as SenC retains it."""

    @retain_heap()
    def run(n_batches: int) -> None:
        for number in range(n_batches):
            start = number * batch % (len(inputs) - batch + 1)
            x, y = inputs[start : start + batch], targets[start : start + batch]
            with torch.no_grad():
                row.model(x).softmax(-1).gather(1, y[:, None])
            explain(x, y)

    return Task(run, lambda n_batches: n_batches * batch)


def masked_copies(row: Row, n: int) -> tuple[Tensor, Tensor]:
    """So many images in which random superpixels are 0, and their classes."""
    images = torch.arange(n) % len(row.inputs)
    keep = torch.rand(n, int(row.labels.max()) + 1) > _MASK_RATE
    keep_pixels = keep.gather(1, row.labels[images].flatten(1)).view(n, 1, *row.labels.shape[1:])
    images = images.to(row.device)
    return row.inputs[images] * keep_pixels.to(row.device), row.targets[images]


def _masks(stream: int, n_masks: int, n_features: int) -> Tensor:
    return keep_masks(_SEED, torch.tensor(stream), torch.arange(n_masks), n_features, _MASK_RATE)


def _new_tensors_on(device: torch.device) -> AbstractContextManager[object]:
    """The reference makes tensors on the default device. To set it slows each operation down, so a CPU goes without."""
    return nullcontext() if device.type == "cpu" else device


def _explain_one(model: nn.Module, x: np.ndarray, y: int, explaining: dict[str, Any]) -> np.ndarray:
    """The attribution of one input."""
    inputs, targets = x[None], np.array([y])
    return explaining["explain_func"](model=model, inputs=inputs, targets=targets, **explaining["explain_func_kwargs"])[0]
