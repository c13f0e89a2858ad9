"""Experiment 8: does SenC rank an explanation first that is right by construction?"""

from functools import partial
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.reproduction.known_causes import Settings, sweeps
from benchmarks.reproduction.known_explanations import FAITHFUL, lineup
from benchmarks.reproduction.known_networks import N_PATCHES, Known, linear_model, shortcut_network, two_patch_network
from benchmarks.reproduction.known_parameter_senc import parameter_values, unit_sweeps
from benchmarks.reproduction.known_scores import data_records, halves, score_values, standing
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import rounded
from quantus_senc.plot.style import QUIET, look, panels, wrapped

MASK_RATE = 0.8


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC of four networks of which the truth is known, and parameter SenC of one.

    Returns
    -------
    dict
        "data SenC" holds, for each network, the relevant patches, and for all masks ("limit") and drawn ones, by estimator:
        scores of each explanation, where the faithful one stands, and how the two sensitivities rank the truth.
    """
    n, n_masks = setup.size(quick=60, full=200, smoke=2), setup.size(quick=500, full=500, smoke=60)
    n_causes = setup.size(quick=24, full=200, smoke=2)
    networks, reliance = _networks(setup, n)
    return {
        "settings": {
            "images": n, "masks": {"limit": 2**N_PATCHES, "drawn": n_masks}, "mask rate": MASK_RATE, "seed": setup.seed,
            "patches": N_PATCHES, "baseline": 0, "explained class": "the predicted one", "images for causes": n_causes,
        },
        "shortcut": {what: rounded(share) for what, share in reliance.items()},
        "data SenC": {
            name: setup.part("known_truth", name, partial(_data_values, known, n_masks, setup.seed))
            for name, known in list(networks.items())[: setup.size(quick=4, full=4, smoke=1)]
        },
        "parameter SenC": _parameter_values(setup),
        "causes": {
            name: _parts(setup, name, settings)
            for name, settings in sweeps(networks["shortcut"].first(n_causes), n_causes, setup.seed).items()
        },
    }  # fmt: skip


def _parts(setup: Setup, name: str, settings: Settings) -> dict[str, Any]:
    """The values for each setting of a sweep; at the scale "smoke" for the first alone."""
    tried = list(settings.items())[: setup.size(quick=9, full=9, smoke=1)]
    return {setting: setup.part("known_truth", f"{name}, {setting}", measure) for setting, measure in tried}


def _networks(setup: Setup, n: int) -> tuple[dict[str, Known], dict[str, float]]:
    shortcut, reliance = shortcut_network(n, setup.seed, steps=setup.size(quick=150, full=150, smoke=20))
    networks = {
        "linear, evidence for the class": linear_model(n, setup.seed),
        "linear, evidence for and against": linear_model(n, setup.seed, n_against=N_PATCHES // 2),
        "two patches": two_patch_network(n, setup.seed),
        "shortcut": shortcut,
    }
    return networks, reliance


def _parameter_values(setup: Setup) -> dict[str, Any]:
    n, n_masks = setup.size(quick=16, full=60, smoke=2), setup.size(quick=1024, full=4096, smoke=210)
    masks = {"n_masks": n_masks, "mask_rate": MASK_RATE, "seed": setup.seed}
    known = two_patch_network(n, setup.seed)
    layers = setup.part("known_truth", "parameters", partial(parameter_values, known, **masks))
    swept = {name: _parts(setup, name, settings) for name, settings in unit_sweeps(n, **masks).items()}
    return {"images": n, "masks": n_masks, "layers": layers, "fully connected layer by": swept}


def _data_values(known: Known, n_masks: int, seed: int) -> dict[str, Any]:
    methods = lineup(has_convolution=any(isinstance(module, torch.nn.Conv2d) for module in known.model.modules()))
    masks = {"mask_rate": MASK_RATE, "seed": seed}
    limit = data_records(known, methods, n_masks="all", **masks)["regression"]
    drawn = data_records(known, methods, n_masks=n_masks, estimators=("regression", "paper"), **masks)
    parts = {"limit": limit, "regression, drawn masks": drawn["regression"], "paper's sums, drawn masks": drawn["paper"]}
    return {"relevant patches": list(known.relevant)} | {
        part: {
            "scores": {name: score_values(one, known.k) for name, one in records.items()},
            "standing": {name: standing(records, name) for name in FAITHFUL},
            "the two sensitivities": halves(known, records["effect"]),
        }
        for part, records in parts.items()
    }


def figure(values: dict[str, Any]) -> Figure:
    """SenC of each explanation of each network, by all masks, with two standard errors over the images."""
    tables = {name: network["limit"]["scores"] for name, network in values["data SenC"].items()}
    methods = max(tables.values(), key=len)
    drawing, axes = panels(len(tables), len(tables), (2.2, 3.6), sharey=True)
    for place, (name, table) in zip(axes.flat, tables.items(), strict=True):
        place.set_title(wrapped(name))
        for row, method in enumerate(methods):
            _bar(place, row, table.get(method))
        place.set(xlim=(-0.3, 1.05), ylim=(len(methods) - 0.5, -0.5), yticks=range(len(methods)), yticklabels=methods)
        place.axvline(0, color=QUIET, linewidth=0.6)
    drawing.supxlabel("data SenC, all masks")
    return drawing


def _bar(axes: Axes, row: int, cell: dict[str, Any] | None) -> None:
    if cell is None or cell["mean"] is None:
        axes.text(0.02, row, "does not apply" if cell is None else "no score", color=QUIET, va="center", fontsize=7)
        return
    axes.barh(row, cell["mean"], 0.75, xerr=2 * (cell["error"] or 0), color=look(0).colour, capsize=2)
