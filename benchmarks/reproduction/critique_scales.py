"""Binder et al., third question: do scales of activations survive when the weights are drawn anew?

Three questions at each depth, all of the channels of one layer's output:

- Top-down, all weights above the layer are random. The activations are unchanged. Do channels with large activations still
  contribute much to the output? This is the claim.
- Top-down, the weights of the layer itself are random, too. Do its channels keep their scale? Only what a shortcut carries
  past the random weights can keep it.
- Bottom-up, the weights of the layer and of all below it are random. Nothing of the trained network reaches it.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.reproduction.critique_channels import Channels, activations, channels
from benchmarks.reproduction.critique_ink import rank_correlation
from benchmarks.reproduction.values import rounded, sample_values


def scale_values(model: nn.Module, layers: Sequence[str], x: Tensor, y: Tensor, n_draws: int, seed: int) -> dict[str, Any]:
    """Correlations over channels, by question and layer: mean and error over images, or over draws of means over images.

    Parameters
    ----------
    layers
        Names of the modules whose output is looked at, from the input to the output.
    x, y
        Images (N, C, H, W), and the classes whose logit is explained (N,).
    n_draws
        How many times the weights are drawn.
    seed
        Of the first draw.
    """
    # Double precision, because with random weights a channel may change the logit by less than the last digit in single.
    model, x = copy.deepcopy(model).double().requires_grad_(False), x.double()
    values: dict[str, Any] = {"channels": [], "share of silent channels": [], "correlations": {}}
    for layer in layers:
        before = channels(model, layer, x, y)
        values["channels"].append(before.audible.shape[1])
        values["share of silent channels"].append(rounded(1 - before.audible.mean()))
        draws = [_one_draw(model, before, layers, layer, x, y, draw) for draw in range(seed, seed + n_draws)]
        cells = _trained(before) | {row: over_draws([draw[row] for draw in draws]) for row in draws[0]}
        for row, cell in cells.items():
            values["correlations"].setdefault(row, {})[layer] = cell
    return values


def _trained(before: Channels) -> dict[str, Any]:
    """What the rows of random weights are to be compared with."""
    measures = {"contribution": before.contribution, "removal": before.removal}
    return {
        f"trained: activation and {name}": sample_values(correlations(before.activation, measure, before.audible))
        for name, measure in measures.items()
    }


def _one_draw(
    model: nn.Module, before: Channels, layers: Sequence[str], layer: str, x: Tensor, y: Tensor, seed: int
) -> dict[str, float]:
    below, itself, above = parts(model, layers, layer)
    after = channels(randomised(model, above, seed), layer, x, y)
    top_down = activations(randomised(model, itself + above, seed), layer, x)
    bottom_up = activations(randomised(model, below + itself, seed), layer, x)
    return _correlations(before, after, top_down, bottom_up, np.random.default_rng(seed))


def _correlations(
    before: Channels, after: Channels, top_down: np.ndarray, bottom_up: np.ndarray, generator: np.random.Generator
) -> dict[str, float]:
    """Of one draw. Silent channels, with activation 0, contribute 0 whatever the weights are: most rows leave them out."""
    audible = before.audible
    shuffle = generator.permutation(audible.shape[1])
    return {
        "random above: activation and contribution": correlation(before.activation, after.contribution, audible),
        "random above: activation and removal": correlation(before.activation, after.removal, audible),
        "random above: contribution before and after": correlation(before.contribution, after.contribution, audible),
        "random above: removal before and after": correlation(before.removal, after.removal, audible),
        "random above: gradient before and after": correlation(before.gradient, after.gradient, audible),
        "random above: activation of shuffled channels and contribution": correlation(
            before.activation[:, shuffle], after.contribution, audible[:, shuffle] & audible
        ),
        "random above, all channels: activation and contribution": correlation(before.activation, after.contribution),
        "random layer and above: activation before and after": correlation(before.activation, top_down),
        "random layer and below: activation before and after": correlation(before.activation, bottom_up),
    }


def parts(model: nn.Module, layers: Sequence[str], layer: str) -> tuple[list[str], list[str], list[str]]:
    """Names of the modules with weights below a layer, of it, and above it. Modules stand in the order of the forward pass.

    A layer reaches from the end of the one before it to its own end.
    """
    names = [name for name, _ in model.named_modules()]

    def end(of: str) -> int:
        return max(place for place, name in enumerate(names) if name == of or name.startswith(f"{of}."))

    index = layers.index(layer)
    start, stop = end(layers[index - 1]) if index else -1, end(layer)
    with_weights = [(place, name) for place, name in enumerate(names) if _resets(model.get_submodule(name))]
    return (
        [name for place, name in with_weights if place <= start],
        [name for place, name in with_weights if start < place <= stop],
        [name for place, name in with_weights if place > stop],
    )


def randomised(model: nn.Module, names: Sequence[str], seed: int) -> nn.Module:
    """A copy in which these modules are as before training: MPRT's randomisation, but no two modules get the same numbers."""
    changed = copy.deepcopy(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for name in names:
            changed.get_submodule(name).reset_parameters()
    return changed


def _resets(module: nn.Module) -> bool:
    return hasattr(module, "reset_parameters")


def correlation(a: np.ndarray, b: np.ndarray, keep: np.ndarray | None = None) -> float:
    """Mean of `correlations` over the images that have one."""
    values = correlations(a, b, keep)
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def correlations(a: np.ndarray, b: np.ndarray, keep: np.ndarray | None = None) -> np.ndarray:
    """Spearman's rho of each image over the channels (N, C), or over those to keep; NaN where one of them is constant."""
    keep = np.ones_like(a, bool) if keep is None else keep
    return np.array([rank_correlation(first[kept], second[kept]) for first, second, kept in zip(a, b, keep, strict=True)])


def over_draws(values: Sequence[float]) -> dict[str, Any]:
    """Mean over draws of weights, its standard error, and how many draws have a value."""
    finite = np.array([value for value in values if np.isfinite(value)])
    error = finite.std(ddof=1) / len(finite) ** 0.5 if len(finite) > 1 else float("nan")
    return {"draws": len(finite), "mean": rounded(finite.mean() if len(finite) else float("nan")), "error": rounded(error)}
