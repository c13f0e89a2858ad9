"""Parameter SenC of a network of which the units are known that reach its output."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.reproduction.known_explanations import explain_effect, lineup
from benchmarks.reproduction.known_networks import N_PATCHES, Known, two_patch_network
from benchmarks.reproduction.known_scores import score_values, standing
from benchmarks.reproduction.values import sample_values
from quantus_senc import ParameterSensitivityConsistency, Sensitivity
from quantus_senc.comparison.named_methods import named_methods
from quantus_senc.core.consistency import consistency

LAYERS = {"convolution": "0", "fully connected layer": "3"}  # of `two_patch_network`
_BLIND = ("fixed random", "blob", "input", "blurred noise")  # Sobel and random stand for them


def relevant_units(model: nn.Module) -> dict[str, list[int]]:
    """Units of the convolution and of the first fully connected layer whose outgoing weights are not all 0."""
    read = model.get_submodule(LAYERS["fully connected layer"]).weight.abs().sum(0)  # type: ignore[operator, union-attr]
    by_layer = {"convolution": read.view(-1, N_PATCHES).sum(1), "fully connected layer": read}
    return {layer: torch.nonzero(one).flatten().tolist() for layer, one in by_layer.items()}


def parameter_values(known: Known, **masks: Any) -> dict[str, Any]:
    """For each layer: the relevant units, the scores of each explanation, and where the faithful one stands.

    Parameters
    ----------
    known
        Of `two_patch_network`.
    masks
        `n_masks`, `mask_rate` and `seed`. The convolution gets no more than the masks that there are.
    """
    methods = {name: method for name, method in lineup(has_convolution=True).items() if name not in _BLIND}
    values = {}
    for layer, units in relevant_units(known.model).items():
        records = _records(known, layer, methods, **masks)
        scores = {name: unit_values(one, units) for name, one in records.items()}
        values[layer] = {"relevant units": units, "scores": scores, "standing": {"effect": standing(records, "effect")}}
    return values


def unit_sweeps(n: int, **masks: Any) -> dict[str, dict[str, Callable[[], dict[str, Any]]]]:
    """SenC of the exact effect for the fully connected layer, by its units (8 are relevant), masks, and seed of the masks."""

    def measure(n_channels: int, **changed: Any) -> dict[str, Any]:
        known, layer = two_patch_network(n, masks["seed"], n_channels=n_channels), "fully connected layer"
        records = _records(known, layer, {"effect": explain_effect}, **masks | changed)
        return unit_values(records["effect"], relevant_units(known.model)[layer])

    return {
        "units": {str(c * N_PATCHES): partial(measure, c) for c in (4, 10, 20)},
        "masks": {str(k * masks["n_masks"]): partial(measure, 10, n_masks=k * masks["n_masks"]) for k in (1, 4, 16)},
        "seed of masks": {str(seed): partial(measure, 10, seed=seed) for seed in range(1, 6)},
    }


def unit_values(records: list[Sensitivity], units: list[int]) -> dict[str, Any]:
    """Values of scores, and the rank correlation of the two sensitivities among the relevant units alone."""
    among = [consistency(one.prediction[units], one.explanation[units], one.tie_tolerance).item() for one in records]
    return score_values(records, len(units), same_masks=True) | {"among relevant units": sample_values(among)}


def _records(known: Known, layer: str, methods: Mapping[str, Any], **masks: Any) -> dict[str, list[Sensitivity]]:
    name = LAYERS[layer]
    metric = ParameterSensitivityConsistency(estimator="regression", layers=[name], disable_warnings=True, **masks)
    records = {}
    for method_name, method in named_methods(methods).items():
        how = {"explain_func": method.explain_func, "explain_func_kwargs": method.explain_func_kwargs}
        metric(known.model, known.x, known.y, channel_first=True, **how)
        records[method_name] = metric.sensitivities[name]
    return records
