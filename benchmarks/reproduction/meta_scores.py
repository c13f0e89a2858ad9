"""Scores of explanation methods by metrics, for the images and the model as they are, and for perturbed copies."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reproduction.meta_perturbations import PERTURBATIONS, Perturbation
from benchmarks.reproduction.setup import Setup
from quantus_senc.comparison.named_methods import Method
from quantus_senc.model.arrays import model_device

Scored = dict[str, Any]  # "scores": a list of methods of a list of images, by metric; "counts": a list of images
Metrics = Callable[[nn.Module, tuple[int, ...], int], dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Trial:
    """What is perturbed, and what is scored.

    Attributes
    ----------
    name
        Of the files of its parts.
    model, x, y
        A model, images (N, C, H, W), and the classes that are explained, (N,): those that the model predicts.
    methods
        The explanation methods, by name.
    metrics
        The function from the model, the shape of the images and a seed to metrics by name, which return a score for each image.
    n_copies
        How many perturbed copies there are of each perturbation.
    arguments
        More arguments of the metrics' calls.
    """

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    methods: dict[str, Method]
    metrics: Metrics
    n_copies: int
    arguments: tuple[tuple[str, Any], ...] = ()

    def run(
        self, setup: Setup, *, with_equal_draws: bool = True
    ) -> tuple[Scored, dict[str, list[Scored]], dict[str, list[Scored]]]:
        """Scores without noise; with noise, by perturbation, copy by copy; and of minor noise with equal draws, likewise."""
        of_copies = {noise.name: [self.scores(setup, noise, copy) for copy in range(self.n_copies)] for noise in PERTURBATIONS}
        minor = [noise for noise in PERTURBATIONS if noise.is_minor and with_equal_draws]
        equal = {
            noise.name: [self.scores(setup, noise, copy, equal_draws=True) for copy in range(self.n_copies)] for noise in minor
        }
        return self.scores(setup, None, 0), of_copies, equal

    def scores(self, setup: Setup, perturbation: Perturbation | None, copy: int, *, equal_draws: bool = False) -> Scored:
        """The scores (L, N) by metric, and which images count; kept in a file.

        Parameters
        ----------
        setup
            Its seed decides the noise, and its folder keeps the files.
        perturbation
            None for the images and the model as they are.
        copy
            The number of the copy.
        equal_draws
            Whether metrics draw what they drew for the images and the model as they are: masks, subsets of pixels, classes.
        """
        name = "as they are" if perturbation is None else f"{perturbation.name}, {copy}"
        name = f"{self.name}, {name}{', equal draws' if equal_draws else ''}"
        return setup.part("meta_evaluation", name, lambda: self._scored(setup.seed, perturbation, copy, equal_draws))

    def _scored(self, seed: int, perturbation: Perturbation | None, copy: int, equal_draws: bool) -> Scored:
        model, x, counts, draws = self.model, self.x, torch.ones(len(self.x), dtype=torch.bool), seed
        if perturbation is not None:
            number = 1 + PERTURBATIONS.index(perturbation) + len(PERTURBATIONS) * copy
            model, x = perturbation.apply(model, x, seed + number)
            counts = (_predicted(model, x) == self.y) == perturbation.is_minor
            draws = seed if equal_draws else seed + number
        # MetaQuantus gives metrics the maps of the images without noise; a metric that makes maps by itself sees the noise.
        maps = {name: _maps(model, self.x, self.y, method) for name, method in self.methods.items()}
        scores: dict[str, list[list[float]]] = {}
        metrics = self.metrics(model, tuple(x.shape), draws)
        for name, method in self.methods.items():
            for metric_name, metric in metrics.items():
                call = {
                    "model": model,
                    "x_batch": x.numpy().copy(),
                    "y_batch": self.y.numpy().copy(),
                    "a_batch": maps[name].copy(),
                }
                call |= {"explain_func": method.explain_func, "explain_func_kwargs": dict(method.explain_func_kwargs)}
                scores.setdefault(metric_name, []).append(
                    list(map(float, metric(s_batch=None, **call, **dict(self.arguments))))
                )
        return {"counts": counts.tolist(), "scores": scores}


def _predicted(model: nn.Module, x: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([model(part.to(model_device(model))).argmax(1).cpu() for part in x.split(64)])


def _maps(model: nn.Module, x: Tensor, y: Tensor, method: Method) -> np.ndarray:
    maps = method.explain_func(model=model, inputs=x.numpy(), targets=y.numpy(), **method.explain_func_kwargs)
    return np.asarray(maps)
