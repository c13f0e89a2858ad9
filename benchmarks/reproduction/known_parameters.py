"""Parameter SenC of a network of which the units are known that reach its output."""

from typing import Any

import torch
from torch import nn

from benchmarks.reproduction.known_explanations import lineup
from benchmarks.reproduction.known_networks import CHANNELS, N_PATCHES, Known
from benchmarks.reproduction.known_scores import Records, score_values, standing
from quantus_senc import ParameterSensitivityConsistency
from quantus_senc.comparison.named_methods import named_methods

CONVOLUTION, HIDDEN = "0", "3"  # of `two_patch_network`
_BLIND = ("fixed random", "blob", "input", "blurred noise")  # Sobel and random stand for them


def relevant_units(model: nn.Sequential) -> dict[str, list[int]]:
    """Units of the convolution and of the first fully connected layer whose outgoing weights are not all 0."""
    read = model.get_submodule(HIDDEN).weight.abs().sum(0)  # type: ignore[operator, union-attr]
    channels = read.view(CHANNELS, N_PATCHES).sum(1)
    return {layer: torch.nonzero(one).flatten().tolist() for layer, one in ((CONVOLUTION, channels), (HIDDEN, read))}


def parameter_values(known: Known, *, n_masks: int, mask_rate: float, seed: int) -> dict[str, Any]:
    """For each layer: the relevant units, the scores of each explanation, and where the faithful one stands.

    Parameters
    ----------
    n_masks
        Of each layer. The convolution gets no more than the 1024 that there are.
    """
    values = {}
    for layer, units in relevant_units(known.model).items():  # type: ignore[arg-type]
        records = _records(known, layer, n_masks=n_masks, mask_rate=mask_rate, seed=seed)
        values[{CONVOLUTION: "convolution", HIDDEN: "fully connected layer"}[layer]] = {
            "relevant units": units,
            "scores": {name: score_values(one, len(units)) for name, one in records.items()},
            "standing": {"effect": standing(records, "effect")},
        }
    return values


def _records(known: Known, layer: str, **masks: Any) -> Records:
    metric = ParameterSensitivityConsistency(estimator="regression", layers=[layer], disable_warnings=True, **masks)
    records: Records = {}
    methods = lineup(has_convolution=True)
    for name in _BLIND:
        del methods[name]
    for name, method in named_methods(methods).items():
        how = {"explain_func": method.explain_func, "explain_func_kwargs": method.explain_func_kwargs}
        metric(known.model, known.x, known.y, channel_first=True, **how)
        records[name] = metric.sensitivities[layer]
    return records
