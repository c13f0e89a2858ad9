"""Explanations that are right by construction: the exact effect of each patch, on the image that is explained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.reproduction.known_networks import N_PATCHES, as_image
from benchmarks.reproduction.methods import PAPER_METHODS
from quantus_senc import CONTROLS

PARTS: dict[str, Callable[[Tensor], Tensor]] = {"signed": Tensor.clone, "size": Tensor.abs, "positive": Tensor.relu}
_DIGITS = 1e5  # effects are exact to this; the rest is rounding, which would rank patches that have no effect


def explain_effect(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, part: str = "signed", softmax: bool = True, **kwargs: Any
) -> Tensor:
    """How far the confidence falls when a patch alone is black, painted on its pixels, as an `explain_func`.

    Parameters
    ----------
    model
        Returns (B, classes).
    inputs
        Images (B, 1, 8, 20); perturbed ones are explained like any others, so that the effect of a black patch is 0.
    targets
        The explained classes (B,).
    part
        "signed" for the effect as it is, "size" for its absolute value, "positive" for 0 where the confidence rises.
    softmax
        Whether the confidence is the probability, or the logit less the mean of all logits.
    kwargs
        Ignored.

    Returns
    -------
    Tensor
        (B, 1, 8, 20).
    """
    effects = patch_effects(model, inputs, targets, softmax=softmax)
    return as_image(PARTS[part](effects))


@torch.no_grad()
def patch_effects(model: nn.Module, inputs: Tensor, targets: Tensor, *, softmax: bool = True) -> Tensor:
    """The numbers that `explain_effect` paints, (B, 10)."""
    kept = as_image(torch.cat([torch.ones(1, N_PATCHES), 1 - torch.eye(N_PATCHES)]))
    logits = model((kept[:, None] * inputs).flatten(0, 1))  # copy j of image i at j·B + i, a layout that masks by hooks know
    outputs = logits.softmax(1) if softmax else logits - logits.mean(1, keepdim=True)
    confidences = outputs.gather(1, targets.long().repeat(1 + N_PATCHES)[:, None]).view(1 + N_PATCHES, -1)
    return (confidences[:1] - confidences[1:]).mT.mul(_DIGITS).round().div(_DIGITS)


FAITHFUL: dict[str, Any] = {
    "effect": (explain_effect, {}),
    "size of effect": (explain_effect, {"part": "size"}),
    "positive part of effect": (explain_effect, {"part": "positive"}),
}


def lineup(*, has_convolution: bool) -> dict[str, Any]:
    """The faithful explanations, the methods of the paper, and the controls; Grad-CAM needs a convolution."""
    paper = {name: method for name, method in PAPER_METHODS.items() if has_convolution or name != "Grad-CAM"}
    return FAITHFUL | paper | {control: control for control in CONTROLS}
