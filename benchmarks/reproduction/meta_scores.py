"""Scores of explanation methods by metrics, for the images and the model as they are, and for perturbed copies."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reproduction.meta_perturbations import PUBLISHED, Perturbation
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import predicted
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.named_methods import Method

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
    perturbations
        What is tried.
    softmax
        As for `compare`.
    """

    name: str
    model: nn.Module
    x: Tensor
    y: Tensor
    methods: dict[str, Method]
    metrics: Metrics
    n_copies: int
    perturbations: tuple[Perturbation, ...] = PUBLISHED
    softmax: bool | None = None

    def run(
        self, setup: Setup, *, with_equal_draws: bool = True
    ) -> tuple[Scored, dict[str, list[Scored]], dict[str, list[Scored]]]:
        """Scores without noise; with noise, by perturbation, copy by copy; and of minor noise with equal draws, likewise."""
        minor = [noise for noise in self.perturbations if noise.is_minor and with_equal_draws]
        kinds = [*((noise, False) for noise in self.perturbations), *((noise, True) for noise in minor)]
        parts = {self._part(None, 0): partial(self.scores, setup.seed, None, 0)}
        for noise, equal in kinds:
            for copy in range(self.n_copies):
                parts[self._part(noise, copy, equal)] = partial(self.scores, setup.seed, noise, copy, equal_draws=equal)
        scored = setup.parts("meta_evaluation", parts)

        def of_copies(noise: Perturbation, equal: bool) -> list[Scored]:
            return [scored[self._part(noise, copy, equal)] for copy in range(self.n_copies)]

        fresh = {noise.name: of_copies(noise, False) for noise in self.perturbations}
        return scored[self._part(None, 0)], fresh, {noise.name: of_copies(noise, True) for noise in minor}

    def _part(self, perturbation: Perturbation | None, copy: int, equal_draws: bool = False) -> str:
        """The name of the file of a perturbed copy; None for the images and the model as they are."""
        name = "as they are" if perturbation is None else f"{perturbation.name}, {copy}"
        return f"{self.name}, {name}{', equal draws' if equal_draws else ''}"

    def scores(self, seed: int, perturbation: Perturbation | None, copy: int, *, equal_draws: bool = False) -> Scored:
        """The scores (L, N) by metric, and which images count.

        Parameters
        ----------
        seed
            Decides the noise, and what metrics draw.
        perturbation
            None for the images and the model as they are.
        copy
            The number of the copy.
        equal_draws
            Whether metrics draw what they drew for the images and the model as they are: masks, subsets of pixels, classes.
        """
        model, x, counts, draws = self.model, self.x, torch.ones(len(self.x), dtype=torch.bool), seed
        if perturbation is not None:
            number = 1 + self.perturbations.index(perturbation) + len(self.perturbations) * copy
            model, x = perturbation.apply(model, x, seed + number)
            counts = (predicted(model, x) == self.y) == perturbation.is_minor
            draws = seed if equal_draws else seed + number
        without_noise, noisy = (self._evaluation(model, images, draws) for images in (self.x, x))
        metrics = self.metrics(model, tuple(x.shape), draws)
        scores: dict[str, list[list[float]]] = {name: [] for name in metrics}
        failures: dict[str, int] = {}
        for method in self.methods.values():
            # MetaQuantus gives metrics the maps of the images without noise; a metric that makes maps by itself sees the noise.
            maps = without_noise.attributions(method)
            for name, metric in metrics.items():
                cell = noisy.score(method, metric, maps, {})
                scores[name].append(cell.scores)
                for why in filter(None, cell.failures):
                    failures[f"{name}: {why}"] = failures.get(f"{name}: {why}", 0) + 1
        return {"counts": counts.tolist(), "scores": scores, "failures": failures}

    def _evaluation(self, model: nn.Module, x: Tensor, seed: int) -> Evaluation:
        return Evaluation(model, x.numpy(), self.y.numpy(), torch.arange(len(x)), seed, self.softmax)
