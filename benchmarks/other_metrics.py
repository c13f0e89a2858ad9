"""Metrics of Quantus and Captum that users would run instead.

They are given the explanations of the images. Each prediction or explanation of an unperturbed image counts as a sample.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import quantus
import torch
from captum.metrics import infidelity, sensitivity_max
from torch import Tensor

from benchmarks.rows import Explain, Row
from benchmarks.timing import Task


def max_sensitivity(row: Row, explaining: dict[str, Any]) -> Task:
    """Quantus's MaxSensitivity, which explains perturbed inputs, and predicts none."""
    x, y = row.arrays
    maps = _explained(row, explaining, x, y)

    def run(n: int) -> None:
        metric = quantus.MaxSensitivity(nr_samples=n, disable_warnings=True)
        metric(row.model, x, y, maps(), device=str(row.device), **explaining)

    return Task(run, lambda n: n * len(x))


def faithfulness_correlation(row: Row, explaining: dict[str, Any]) -> Task:
    """Quantus's FaithfulnessCorrelation, which predicts perturbed inputs, and explains none."""
    x, y = row.arrays
    maps = _explained(row, explaining, x, y)

    def run(n: int) -> None:
        metric = quantus.FaithfulnessCorrelation(nr_runs=n, disable_warnings=True, return_aggregate=False)
        metric(row.model, x, y, maps(), device=str(row.device), **explaining)

    return Task(run, lambda n: (n + 1) * len(x))


def mprt(row: Row, explaining: dict[str, Any]) -> Task:
    """Quantus's MPRT, which explains every image by a model with ever more layers at random, and predicts none."""
    n = n_mprt_images(row)
    x, y = (values[:n] for values in row.arrays)
    maps = _explained(row, explaining, x, y)

    def run(_: int) -> None:
        metric = quantus.MPRT(disable_warnings=True)
        metric(row.model, x, y, maps(), device=str(row.device), **explaining)

    return Task(run, lambda _: (n_random_layers(row) + 1) * n)  # also of the model as it is


def _explained(row: Row, explaining: dict[str, Any], x: np.ndarray, y: np.ndarray) -> Callable[[], np.ndarray]:
    """The explanations of images, made at the first call."""
    return cache(lambda: explaining["explain_func"](row.model, x, y, **explaining["explain_func_kwargs"]))


def n_mprt_images(row: Row) -> int:
    """How many images MPRT is given: as many as the others are, unless they are large."""
    return len(row.inputs) if row.inputs.shape[-1] < 100 else 1


def n_random_layers(row: Row) -> int:
    """How many layers MPRT gives new weights."""
    return sum(hasattr(module, "reset_parameters") for module in row.model.modules())


def captum_sensitivity(row: Row, explain: Explain, batch: int) -> Task:
    """Captum's sensitivity_max, which explains perturbed inputs, and predicts none."""

    def method(inputs: tuple[Tensor, ...] | Tensor, target: Tensor) -> tuple[Tensor, ...]:
        return (explain(inputs if isinstance(inputs, Tensor) else inputs[0], target),)

    def run(n: int) -> None:
        sensitivity_max(
            method, row.inputs, target=row.targets, n_perturb_samples=n, max_examples_per_batch=max(batch, len(row.inputs))
        )

    return Task(run, lambda n: (n + 1) * len(row.inputs))


def captum_infidelity(row: Row, explain: Explain, batch: int) -> Task:
    """Captum's infidelity, which predicts perturbed inputs, and explains none; noise as in its documentation."""

    def perturb(inputs: Tensor) -> tuple[Tensor, Tensor]:
        noise = 0.003 * torch.randn_like(inputs)
        return noise, inputs - noise

    maps = cache(lambda: explain(row.inputs, row.targets).expand_as(row.inputs))
    at_once = max(batch, len(row.inputs))

    def run(n: int) -> None:
        infidelity(
            row.model, perturb, row.inputs, maps(), target=row.targets, n_perturb_samples=n, max_examples_per_batch=at_once
        )

    def samples(n: int) -> int:
        n_passes = -(-n // (at_once // len(row.inputs)))  # each predicts the images as they are, too
        return (n + n_passes) * len(row.inputs)

    return Task(run, samples)
