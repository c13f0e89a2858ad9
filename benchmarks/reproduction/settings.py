"""Experiment 5: do the settings decide the scores and the ranking of methods?"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64

from benchmarks.reproduction.settings_figure import figure as figure
from benchmarks.reproduction.settings_ranking import ranking_agreement
from benchmarks.reproduction.settings_scores import (
    CONTROL,
    ESTIMATORS,
    METHODS,
    STEPS,
    Explained,
    Features,
    Masks,
    Scores,
    scores,
)
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import mask_error, rounded, sample_values

RATES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.9)
PAPER_RATE, PAPER_NUMBER = 0.8, 5000
_TOGETHER = 20  # images of a part
NUMBERS = (50, 300, 1000, PAPER_NUMBER, "all")
USUAL = Features(n_segments=15, compactness=0.1)
OTHERS = {  # what is varied besides, and by which name `Features` has it
    "compactness": ("compactness", (0.01, 1.0, 10.0)),
    "superpixels": ("n_segments", (8, 25, 40)),
    "baseline": ("perturb_baseline", ("mean", "blur")),
}


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC of each method on MNIST while one setting is varied, and how the ranking of methods changes.

    With the usual features, all masks of each image are run, once for all mask rates and numbers of masks: most superpixels are
    black, and a mask of these changes nothing, so there are few hundred.

    Parameters
    ----------
    setup
        With the network "mnist".

    Returns
    -------
    dict
        By what is varied, estimator and setting: `scores` of each method; `tau` of the ranking of methods with that of the same
        estimator at the paper's mask rate, with as many masks as the setting has where it is the features that are varied, and
        else with the paper's number; and `tau to all masks`, with that of all masks at this rate,
        which is the same by both estimators.
    """
    network = setup.network("mnist")
    x, y = setup.test_images("mnist", setup.size(quick=60, full=1000, smoke=2), network.model)
    few = setup.size(quick=300, full=PAPER_NUMBER, smoke=50)
    methods = METHODS if setup.scale != "smoke" else {name: METHODS[name] for name in ("VB", "Grad-CAM", "random", *CONTROL)}
    masks, few_masks, parts = _masks(setup.seed), _drawn(few), {}

    def add(name: str, features: Features, n_masks: int | str, others: Mapping[str, Masks]) -> None:
        first, chunks = Masks(PAPER_RATE, n_masks, setup.seed), []
        for ids in torch.arange(len(x)).split(_TOGETHER):
            print(f"settings: {name}, from image {ids[0]} of {len(x)}", flush=True)
            explained = Explained(network.model, x[ids], y[ids], ids)
            compute = partial(scores, explained, methods, features, first, others)
            chunks.append(setup.part("settings", f"{name}, {ids[0]}", compute))
        parts[name] = chunks

    add("usual", USUAL, "all", masks)
    for varied, (parameter, values) in OTHERS.items():
        for value in values[:1] if setup.scale == "smoke" else values:
            add(f"{varied} {value}", replace(USUAL, **{parameter: value}), few, {few_masks: masks[few_masks]})
    settings = _settings(list(methods), len(x), network.accuracy, few, setup.seed)
    return {"settings": settings} | _curves(parts, few_masks, setup.seed)


def _drawn(number: int | str) -> str:
    """The name of so many masks at the paper's rate."""
    return f"rate {PAPER_RATE}" if number == PAPER_NUMBER else f"{number} masks"


def _masks(seed: int) -> dict[str, Masks]:
    """How masks are drawn for the usual features, by name."""
    rates = {f"rate {rate}": Masks(rate, PAPER_NUMBER, seed) for rate in RATES}
    numbers = {_drawn(number): Masks(PAPER_RATE, number, seed) for number in NUMBERS}
    return rates | numbers | {"other masks": Masks(PAPER_RATE, PAPER_NUMBER, seed + 1)}


def _settings(methods: list[str], n_images: int, accuracy: float, few: int, seed: int) -> dict[str, Any]:
    return {
        "data": "mnist",
        "accuracy": rounded(accuracy),
        "images": n_images,
        "explained class": "the predicted one",
        "masks": {"mask rate and reference of tau": PAPER_NUMBER, "superpixels, compactness and baseline": few},
        "mask rate": PAPER_RATE,
        "superpixels": USUAL.n_segments,
        "compactness": USUAL.compactness,
        "baseline": USUAL.perturb_baseline,
        "steps of IG": STEPS,
        "methods in the ranking": _ranked(methods),
        "control": list(CONTROL),
        "seed": seed,
    }


def _places(few: str) -> dict[str, dict[str, tuple[str, str]]]:
    """By what is varied and by setting: the part and the name of the masks that have its scores."""
    reference = _drawn(PAPER_NUMBER)
    places = {
        "mask rate": {str(rate): ("usual", f"rate {rate}") for rate in RATES},
        "reading of a mask rate of 0.8": {"eliminated": ("usual", reference), "kept": ("usual", "rate 0.2")},
        "number of masks": {str(number): ("usual", _drawn(number)) for number in NUMBERS},
        "seed of the masks": {"the same": ("usual", reference), "another": ("usual", "other masks")},
    }
    for varied, (parameter, values) in OTHERS.items():
        own = getattr(USUAL, parameter)
        ordered = [own, *values] if varied == "baseline" else sorted({own, *values})
        places[varied] = {str(value): ("usual" if value == own else f"{varied} {value}", few) for value in ordered}
    return places


def _curves(parts: Mapping[str, list[Scores]], few_masks: str, seed: int) -> dict[str, Any]:
    """By what is varied and by estimator: what each setting gives."""
    return {
        varied: {
            estimator: {
                setting: _point(
                    parts[part], parts["usual"], estimator, masks, few_masks if varied in OTHERS else _drawn(PAPER_NUMBER), seed
                )
                for setting, (part, masks) in settings.items()
                if part in parts
            }
            for estimator in ESTIMATORS
        }
        for varied, settings in _places(few_masks).items()
    }


def _point(part: list[Scores], usual: list[Scores], estimator: str, masks: str, reference: str, seed: int) -> dict[str, Any]:
    """What one setting gives by one estimator; its ranking is compared with that of the usual features' reference masks."""
    by_method = {method: _array(part, method, estimator, masks) for method in part[0]}
    ranked, paper, limit = (
        np.stack([_array(scores_of, method, estimator, name)[0] for method in _ranked(by_method)])
        for scores_of, name in ((part, masks), (usual, reference), (usual, _drawn("all")))
    )
    return {
        "scores": {
            method: sample_values(values) | {"mask_error": mask_error(errors)}
            for method, (values, errors, _) in by_method.items()
        },
        "all three in common": {method: _share(agreements) for method, (_, _, agreements) in by_method.items()},
        "tau": ranking_agreement(ranked, paper, seed),
        "tau to all masks": ranking_agreement(ranked, limit, seed),
    }


def _ranked(methods: Iterable[str]) -> list[str]:
    return [method for method in methods if method not in CONTROL]


def _array(part: list[Scores], method: str, estimator: str, masks: str) -> Float64[np.ndarray, "3 images"]:
    """Scores, standard errors and top-3 agreement."""
    return np.concatenate([np.asarray(chunk[method][estimator][masks], dtype=float) for chunk in part]).T


def _share(agreements: Float64[np.ndarray, " images"]) -> dict[str, float | None]:
    """The share of the images whose three most sensitive features are the same."""
    known = agreements[np.isfinite(agreements)]
    return {"mean": rounded(np.mean(known == 1)) if len(known) else None}
