"""Why SenC of a faithful explanation is not always 1: one thing is varied at a time, and every mask is tried."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reproduction.known_explanations import explain_effect
from benchmarks.reproduction.known_networks import N_PATCHES, Known, as_image, linear_model
from benchmarks.reproduction.known_scores import data_records, halves, sample_values
from quantus_senc.core.consistency import consistency
from quantus_senc.core.masks import probability

METHODS: dict[str, Any] = {
    "effect": (explain_effect, {}),
    "size of effect": (explain_effect, {"part": "size"}),
    "positive part of effect": (explain_effect, {"part": "positive"}),
    "input": "input",
    "Sobel": "Sobel",
    "random": "random",
}
_EVERY_MASK = {"mask_rate": 0.8, "n_masks": "all"}


def sweeps(shortcut: Known, n: int, seed: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Experiments by name, each of which returns values by what it varies."""
    signed, against = partial(linear_model, n, seed), N_PATCHES // 2
    rates, margins = (0.1, 0.2, 0.5, 0.8, 0.9), (0.3, 3.0, 10.0, 30.0)
    return {
        "patches against the class, of 10": lambda: {str(k): causes(signed(n_against=k)) for k in (0, 1, 2, 3, 5)},
        "mask rate, evidence for": lambda: {str(rate): causes(signed(), mask_rate=rate) for rate in rates},
        "mask rate, evidence for and against": lambda: {
            str(rate): causes(signed(n_against=against), mask_rate=rate) for rate in rates
        },
        "softmax, evidence for and against": lambda: {
            str(softmax): causes(signed(n_against=against), softmax=softmax) for softmax in (True, False)
        },
        "margin, evidence for": lambda: {str(one): causes(signed(margin=one)) for one in margins},
        "relevant patches, all masks": lambda: {str(k): causes(signed(n_relevant=k)) for k in (1, 2, 4, 6, 10)},
        "relevant patches, 100 masks": lambda: {
            str(k): causes(signed(n_relevant=k), n_masks=100) for k in (1, 2, 4, 6, 10)
        },
        "shortcut, mask rate": lambda: {str(rate): causes(shortcut, mask_rate=rate) for rate in (0.2, 0.5, 0.8)},
        "shortcut, other patches": lambda: {
            "as they are": causes(shortcut), "hidden from the network": causes(hidden(shortcut))
        },
        "similarity": lambda: {
            "linear, evidence for and against": similarities(signed(n_against=against)),
            "shortcut": similarities(shortcut),
        },
    }  # fmt: skip


def causes(known: Known, *, softmax: bool = True, **masks: Any) -> dict[str, Any]:
    """Mean scores of a few explanations, and how the two sensitivities of the faithful one rank the truth."""
    methods = {
        name: (method[0], method[1] | {"softmax": softmax}) if isinstance(method, tuple) else method
        for name, method in METHODS.items()
    }
    records = data_records(known, methods, softmax=softmax, **(_EVERY_MASK | masks))["regression"]
    scores = {name: sample_values([record.score for record in one]) for name, one in records.items()}
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


def similarities(known: Known) -> dict[str, Any]:
    """SenC of the exact effect with three similarities of maps: of ranks (the paper's), of values, and of their sizes."""
    records = data_records(known, {"effect": explain_effect}, **_EVERY_MASK)["regression"]["effect"]
    scores: dict[str, list[float]] = {"ranks": [], "values": []}
    for record, image, target in zip(records, known.x, known.y, strict=True):
        masks = record.masks()
        inputs = image * as_image(masks.float())
        maps = explain_effect(known.model, torch.cat([image[None], inputs]), target.expand(1 + len(masks))).flatten(1)
        near = 1 - (maps[1:] - maps[0]).abs().sum(1) / maps[0].abs().sum()
        kept = masks.double() - 0.2
        chance = probability(masks, 0.8)
        sensitivity = (chance * near.double()) @ kept
        scores["ranks"].append(record.score)
        scores["values"].append(consistency(record.prediction, sensitivity, record.tie_tolerance).item())
    return {name: sample_values(one) for name, one in scores.items()}
