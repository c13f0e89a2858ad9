"""Why SenC of a faithful explanation is not always 1: one thing is varied at a time, and every mask is tried."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reproduction.known_explanations import FAITHFUL, explain_effect
from benchmarks.reproduction.known_networks import N_PATCHES, Known, as_image, linear_model
from benchmarks.reproduction.known_scores import data_records, halves, score_values
from benchmarks.reproduction.methods import PAPER_METHODS
from quantus_senc import Sensitivity
from quantus_senc.core.consistency import consistency
from quantus_senc.core.masks import probability
from quantus_senc.core.ranks import spearman

METHODS: dict[str, Any] = {**FAITHFUL, "input": "input", "random": "random"}
_SIGNED: dict[str, Any] = {"effect": (explain_effect, {})} | {name: PAPER_METHODS[name] for name in ("IG", "LRP", "DeepLift")}
_BLIND_TOO: dict[str, Any] = {"effect": (explain_effect, {}), "IG": PAPER_METHODS["IG"], "blob": "blob"}
_RATES = (0.8, 0.5, 0.2, 0.01)
Settings = dict[str, Callable[[], dict[str, Any]]]


def sweeps(shortcut: Known, n: int, seed: int) -> dict[str, Settings]:
    """Experiments by name: for each setting of the one thing that is varied, what returns its values.

    Parameters
    ----------
    shortcut
        The network of `shortcut_network`; the others are linear.
    n
        The number of images.
    seed
        Of images and weights.
    """
    linear = partial(linear_model, n, seed)
    both = linear(n_against=N_PATCHES // 2)
    return {
        "patches against the class": _settings((0, 1, 2, 3, 5), lambda k: causes(linear(n_against=k))),
        "mask rate, evidence for and against": _settings(_RATES, lambda rate: causes(both, mask_rate=rate)),
        "mask rate, shortcut": _settings(_RATES, lambda rate: causes(shortcut, mask_rate=rate)),
        "softmax, evidence for and against": _settings((True, False), lambda softmax: causes(both, softmax=softmax)),
        "margin, evidence for the class": _settings((0.3, 3.0, 10.0, 30.0), lambda margin: causes(linear(margin=margin))),
        "relevant patches": _settings((1, 2, 5, 10), lambda k: causes(linear(n_relevant=k))),
        "relevant patches, 60 masks": _settings((1, 2, 5, 10), lambda k: causes(linear(n_relevant=k), n_masks=60, seed=seed)),
        "paper's sums, number of masks": _settings(
            (500, 5000, 50_000),
            lambda k: causes(linear(), methods=_BLIND_TOO, estimator="paper", n_masks=k, seed=seed),
        ),
        "other patches of the shortcut": {"seen": lambda: causes(shortcut), "hidden": lambda: causes(hidden(shortcut))},
        "abs=True, evidence for and against": _settings((False, True), lambda size: causes(both, methods=_SIGNED, abs=size)),
        "abs=True, shortcut": _settings((False, True), lambda size: causes(shortcut, methods=_SIGNED, abs=size)),
        "similarity of maps": {
            "evidence for the class": lambda: similarities(linear()),
            "evidence for the class, logits": lambda: similarities(linear(), softmax=False),
            "evidence for and against": lambda: similarities(both),
            "evidence for and against, logits": lambda: similarities(both, softmax=False),
            "shortcut": lambda: similarities(shortcut),
        },
    }


def _settings(varied: Iterable[Any], measure: Callable[[Any], dict[str, Any]]) -> Settings:
    return {str(one): partial(measure, one) for one in varied}


def causes(
    known: Known,
    *,
    methods: Mapping[str, Any] = METHODS,
    softmax: bool = True,
    estimator: str = "regression",
    **kwargs: Any,
) -> dict[str, Any]:
    """Mean scores of a few explanations, and how the two sensitivities of the faithful one rank the truth.

    Parameters
    ----------
    known, methods
        "effect" is among the methods.
    softmax
        Whether effects, too, are those on the probability.
    estimator
        Of the metric.
    kwargs
        Of `DataSensitivityConsistency`; by default all masks, and a mask rate of 0.8.
    """
    methods = {
        name: (method[0], method[1] | {"softmax": softmax}) if isinstance(method, tuple) else method
        for name, method in methods.items()
    }
    masks = {"n_masks": "all", "mask_rate": 0.8} | kwargs
    records = data_records(known, methods, softmax=softmax, estimators=(estimator,), **masks)[estimator]
    scores = {name: score_values(one, known.k) for name, one in records.items()}
    return {"scores": scores, "the two sensitivities": halves(known, records["effect"], softmax=softmax)}


class _Hidden(nn.Module):
    """A network that sees some patches, and grey in the place of the others."""

    def __init__(self, model: nn.Module, seen: Tensor) -> None:
        super().__init__()
        self.model, self.seen = model, seen

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x * self.seen + 0.6 * (1 - self.seen))


def hidden(known: Known) -> Known:
    """The same network, which no longer sees any but the relevant patches."""
    seen = torch.zeros(1, N_PATCHES)
    seen[0, list(known.relevant)] = 1
    return Known(_Hidden(known.model, as_image(seen)).eval(), known.x, known.relevant)


def similarities(known: Known, *, softmax: bool = True) -> dict[str, Any]:
    """SenC and top-k agreement of the exact effect, with similarity weighed in three ways.

    "ranks" is Spearman's rho, as in the paper. "values" is 1 - sum |e° - e| / sum |e°|. "ranks, nothing else changes" is
    Spearman's rho of the map of the original and the same map with 0 for eliminated patches: the effects of the others stay.
    """
    explained, rate = partial(explain_effect, known.model, softmax=softmax), 0.8
    methods = {"effect": (explain_effect, {"softmax": softmax})}
    records = data_records(known, methods, softmax=softmax, n_masks="all", mask_rate=rate)["regression"]["effect"]
    others: dict[str, list[Sensitivity]] = {"values": [], "ranks, nothing else changes": []}
    for record, image, target in zip(records, known.x, known.y, strict=True):
        masks = record.masks()
        pixels = as_image(masks.float())
        original, *_ = maps = explained(torch.cat([image[None], image * pixels]), target.expand(1 + len(masks))).flatten(1)
        differences = (maps[1:] - original).abs().sum(1) / original.abs().sum()
        frozen = spearman((original * pixels.flatten(1)).double(), original.expand_as(maps[1:]).double()).nan_to_num()
        for name, near in zip(others, (1 - differences.double(), frozen), strict=True):
            covariance = (probability(masks, rate) * near) @ (masks.double() - (1 - rate))
            score = consistency(record.prediction, covariance, record.tie_tolerance).item()
            others[name].append(replace(record, explanation=covariance, score=score))
    return {name: score_values(one, known.k) for name, one in ({"ranks": records} | others).items()}
