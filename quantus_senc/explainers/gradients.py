"""Methods by gradients alone, which take any differentiable model."""

from typing import Any

import torch
from captum import attr
from torch import Tensor, nn

from quantus_senc.core.checks import check_integer, check_known, check_number
from quantus_senc.core.philox import random_uniform
from quantus_senc.explainers.passes import largest_pass
from quantus_senc.model.outputs import output_sum

_INTEGRATIONS = ("riemann_trapezoid", "riemann_left", "riemann_middle", "riemann_right", "gausslegendre")


def saliency(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The absolute value of the gradient."""
    return gradient(model, inputs, targets).abs()


def gradient(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    """The gradient of the explained outputs with respect to the inputs."""
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
    """The mean gradient on the line from a baseline to the input, times their difference. Defaults are those of Quantus.

    The steps run in passes of at most `internal_batch_size` samples, by default those of `largest_pass`.
    """
    check_integer("n_steps", n_steps, 1, 2**31)
    size = internal_batch_size or largest_pass(inputs)
    check_known("integration", integration, _INTEGRATIONS)
    return attr.IntegratedGradients(output_sum(model)).attribute(
        inputs,
        as_baseline(baseline, inputs),
        additional_forward_args=targets,
        n_steps=n_steps,
        method=integration,
        internal_batch_size=size if size < n_steps * len(inputs) else None,
    )


def smooth_grad(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, n_samples: int = 16, noise_level: float = 0.15, seed: int = 0
) -> Tensor:
    """The mean saliency of noisy copies of an input. The standard deviation of the noise is a share of the input's range.

    All inputs have the same noise, so that a map is a function of its input alone.
    """
    check_integer("n_samples", n_samples, 1, 2**31)
    check_integer("seed", seed, 0, 2**64 - 1)
    check_number("noise_level", noise_level)
    streams = torch.arange(n_samples, device=inputs.device)
    uniform = random_uniform(int(seed), streams, inputs[0].numel()).double().clamp(2**-33, 1 - 2**-33)
    noise = torch.special.ndtri(uniform).to(inputs.dtype).view(-1, 1, *inputs.shape[1:])
    low, high = inputs.detach().flatten(1).aminmax(dim=1)
    scale = noise_level * (high - low).view(-1, *[1] * (inputs.ndim - 1))
    mean = torch.zeros_like(inputs)
    for sample in noise:
        mean += saliency(model, (inputs.detach() + scale * sample).requires_grad_(), targets) / n_samples
    return mean


def as_baseline(baseline: Any, inputs: Tensor) -> Tensor | float:
    """A baseline in the form that Captum takes: a number, or a tensor of the inputs' shape, type and device."""
    if isinstance(baseline, int | float):
        return float(baseline)
    values = torch.as_tensor(baseline).detach()
    return (values.clone() if values.is_inference() else values).to(inputs).expand_as(inputs)
