"""Explanation methods as functions of tensors on the model's device, by Captum."""

import re
from collections.abc import Callable
from typing import Any

import torch
from captum import attr
from torch import Tensor, nn

from quantus_senc._arguments import check_integer, check_known, check_number
from quantus_senc._grad_cam import grad_cam
from quantus_senc._outputs import output_sum
from quantus_senc._philox import random_uniform
from quantus_senc._twin import Twin


def saliency(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient's absolute value."""
    return gradient(model, inputs, targets).abs()


def gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient."""
    return attr.Saliency(output_sum(model)).attribute(inputs, additional_forward_args=targets, abs=False)


def input_x_gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient times the input."""
    return attr.InputXGradient(output_sum(model)).attribute(inputs, additional_forward_args=targets)


def integrated_gradients(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    baseline: Any = 0.0,
    n_steps: int = 10,
    internal_batch_size: int | None = None,
    integration: str = "riemann_trapezoid",
) -> Tensor:
    """The gradient's mean on the way from a baseline, times the difference; steps and rule are by default Quantus's."""
    check_integer("n_steps", n_steps, 1, 2**31)
    check_known("integration", integration, _INTEGRATIONS)
    return attr.IntegratedGradients(output_sum(model)).attribute(
        inputs,
        _baseline(baseline, inputs),
        additional_forward_args=targets,
        n_steps=n_steps,
        method=integration,
        internal_batch_size=internal_batch_size,
    )


_INTEGRATIONS = ("riemann_trapezoid", "riemann_left", "riemann_middle", "riemann_right", "gausslegendre")


def smooth_grad(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, n_samples: int = 16, noise_level: float = 0.15, seed: int = 0
) -> Tensor:
    """Saliency's mean over noisy copies of the input; the noise's standard deviation is a share of the input's range.

    The noise is the same for every input, so that the map is a function of the input alone.
    """
    check_integer("n_samples", n_samples, 1, 2**31)
    check_integer("seed", seed, 0, 2**64 - 1)
    check_number("noise_level", noise_level)
    streams = torch.arange(n_samples, device=inputs.device)
    uniform = random_uniform(int(seed), streams, inputs[0].numel()).double().clamp(2**-33, 1 - 2**-33)
    noise = torch.special.ndtri(uniform).to(inputs.dtype).view(-1, 1, *inputs.shape[1:])
    low, high = inputs.detach().flatten(1).aminmax(dim=1)
    width = noise_level * (high - low).view(-1, *[1] * (inputs.ndim - 1))
    mean = torch.zeros_like(inputs)
    for one in noise:
        mean += saliency(model, (inputs.detach() + width * one).requires_grad_(), targets) / n_samples
    return mean


def guided_backprop(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient, of which only positive parts pass back through a ReLU."""
    twin = Twin.of(model, "GuidedBackprop", inputs)
    if not twin.has(nn.ReLU):
        twin.warn("GuidedBackprop: the model has no ReLU, so that this is the plain gradient.")
    with twin.ready(model) as whole:
        return attr.GuidedBackprop(whole).attribute(inputs, targets)


def deep_lift(model: nn.Module, inputs: Tensor, targets: Tensor, *, baseline: Any = 0.0) -> Tensor:
    """What each input contributes to the difference from the output for a baseline (Rescale rule)."""
    twin = Twin.of(model, "DeepLift", inputs)
    for name in twin.without_multipliers:
        twin.warn(f"DeepLift: Captum has no rule for {name}, whose gradient is used instead.")
    with twin.ready(model) as whole:
        return attr.DeepLift(whole).attribute(inputs, _baseline(baseline, inputs), targets)


def lrp(model: nn.Module, inputs: Tensor, targets: Tensor, *, composite: Any = None) -> Tensor:
    """Relevance by Captum's default rules (the z-rule), or by a composite of zennit's, which may be its name."""
    if composite is not None:
        from quantus_senc._zennit import relevance

        return relevance(model, inputs, targets, composite)
    with Twin.of(model, "LRP", inputs).ready(model) as whole:
        return attr.LRP(whole).attribute(inputs, targets)


METHODS: dict[str, Callable[..., Tensor]] = {
    "Saliency": saliency,
    "Gradient": gradient,
    "InputXGradient": input_x_gradient,
    "IntegratedGradients": integrated_gradients,
    "SmoothGrad": smooth_grad,
    "GuidedBackprop": guided_backprop,
    "DeepLift": deep_lift,
    "LRP": lrp,
    "GradCAM": grad_cam,
}
_OTHER_NAMES = {"layergradcam": "GradCAM", "ig": "IntegratedGradients", "vanillagradients": "Gradient"}


def method_named(name: str) -> str:
    """The name in METHODS that somebody means: case, blanks and hyphens do not count.

    Raises
    ------
    ValueError
        If there is none; the message offers the nearest.

    Examples
    --------
    >>> method_named("Integrated Gradients"), method_named("LayerGradCam"), method_named("Grad-CAM")
    ('IntegratedGradients', 'GradCAM', 'GradCAM')
    """
    plain = re.sub(r"[\W_]", "", str(name)).lower()
    known = {one.lower(): one for one in METHODS} | _OTHER_NAMES
    if plain not in known:
        check_known("method", str(name), METHODS)
    return known[plain]


def _baseline(baseline: Any, inputs: Tensor) -> Tensor | float:
    if isinstance(baseline, int | float):
        return float(baseline)
    return torch.as_tensor(baseline).to(inputs).expand_as(inputs)
