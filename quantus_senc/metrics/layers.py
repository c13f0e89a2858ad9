"""Which layers of a model are masked, and in what order."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from quantus_senc.core.checks import check_known
from quantus_senc.metrics.units import is_maskable, n_units, zeroed_weights
from quantus_senc.model.module_order import order_of_use

Layers = str | list[str] | Callable[[str, nn.Module], bool] | None
_SHORT_FORMS = ("first_conv", "conv", "linear")


def chosen_layers(
    model: nn.Module, layers: Layers, predict: Callable[[], Tensor]
) -> tuple[dict[str, nn.Module], dict[str, str]]:
    """Layers by name, in the order in which the forward pass first uses them, and those left out, with the reason.

    Parameters
    ----------
    layers
        None for every convolution and fully connected layer; names, a predicate of name and module, or "first_conv",
        "conv", "linear".
    predict
        Runs the model.

    Raises
    ------
    ValueError
        If a name is unknown, a layer that was asked for cannot be masked, or none is left.
    """
    order = order_of_use(model, predict)
    maskable = {name: module for name, module in model.named_modules() if is_maskable(module)}
    maskable = dict(sorted(maskable.items(), key=lambda item: _position(item[0], order)))
    chosen = {name: maskable[name] for name in _names(maskable, layers)}
    unfit = {name: reason for name, module in chosen.items() if (reason := _unfit(name, module, order, predict))}
    if unfit and layers is not None:
        name, reason = next(iter(unfit.items()))
        raise ValueError(f"layer {name!r} {reason}; leave it out of layers={layers!r}")
    if len(unfit) == len(chosen):
        reasons = "".join(f"; {name!r} {reason}" for name, reason in unfit.items())
        raise ValueError(f"layers={layers!r} leaves no convolution or fully connected layer to mask{reasons}")
    return {name: module for name, module in chosen.items() if name not in unfit}, unfit


def _position(name: str, order: dict[str, int]) -> int:
    """Its own place, or that of the closest module around it: attention uses layers that it does not call."""
    while name and name not in order:
        name = name.rpartition(".")[0]
    return order[name] if name else len(order)


def _names(maskable: dict[str, nn.Module], layers: Layers) -> Iterator[str]:
    if layers is None:
        yield from maskable
    elif callable(layers):
        yield from (name for name, module in maskable.items() if layers(name, module))
    else:
        asked = [layers] if isinstance(layers, str) else list(layers)
        for name in asked:
            check_known("layer", name, [*maskable, *_SHORT_FORMS])
        wanted = {name for one in asked for name in (_short(maskable, one) if one not in maskable else [one])}
        yield from (name for name in maskable if name in wanted)


def _short(maskable: dict[str, nn.Module], form: str) -> list[str]:
    """The layers that a short form stands for."""
    kind = nn.Linear if form == "linear" else _ConvNd
    names = [name for name, module in maskable.items() if isinstance(module, kind)]
    return names[:1] if form == "first_conv" else names


def _unfit(name: str, module: nn.Module, order: dict[str, int], predict: Callable[[], Tensor]) -> str:
    """Why a layer cannot be masked, or an empty string."""
    if n_units(module) < 2:
        return "has one unit, and ranks need two"
    if "weight" not in module._parameters:
        return "computes its weight from other parameters (weight norm, spectral norm), which masks would miss"
    weight: Tensor = module.weight  # type: ignore[assignment]
    if any(size > 1 and not stride for size, stride in zip(weight.shape, weight.stride(), strict=True)):
        return "has a weight of which several places share one number"
    if name not in order and not _matters(module, predict):
        return "is not reached by the forward pass"
    return ""


def _matters(module: nn.Module, predict: Callable[[], Tensor]) -> bool:
    """Whether zeroing a layer's weights changes the prediction."""
    with zeroed_weights(module) as keep:
        before = predict()
        keep(torch.zeros(n_units(module), dtype=torch.bool, device=before.device))
        return not torch.equal(before, predict())


def check_layers(layers: Any) -> None:
    """Raise ValueError unless layers are None, names, or a predicate."""
    predicate = callable(layers) and not isinstance(layers, nn.Module | type)
    names = [layers] if isinstance(layers, str) else layers if isinstance(layers, list | tuple | set) else []
    if layers is not None and not predicate and not (names and all(isinstance(name, str) for name in names)):
        raise ValueError(
            f"layers={layers!r} must be None, a list of names, a predicate of name and module, or one of "
            f"{', '.join(map(repr, _SHORT_FORMS))}"
        )
