"""Explanation methods of many kinds, by name: those of the packages, and those that users write."""

import functools

import quantus
import torch

from quantus_senc import explain, explain_blob, explain_fixed_random, explain_input, explain_random

_BUFFERS = {}


def gradient(model, inputs, targets):
    """The gradient of the explained outputs, times the input."""
    given = inputs.detach().clone().requires_grad_()
    (grads,) = torch.autograd.grad(model(given).gather(1, targets[:, None]).sum(), given)
    return grads * inputs


def summed(model, inputs, targets):
    """Without a channel axis."""
    maps = gradient(model, inputs, targets)
    return maps.sum(1) if maps.ndim > 2 else maps


def as_arrays(model, inputs, targets):
    """As an array, which is reversed twice."""
    maps = gradient(model, inputs, targets).numpy()
    return maps[..., ::-1].copy()[..., ::-1]


def as_type(kind, model, inputs, targets):
    """Rounded to another type."""
    maps = gradient(model, inputs, targets)
    return (50 * maps.nan_to_num()).round().to(kind) if kind is torch.int32 else maps.to(kind)


def in_buffer(model, inputs, targets):
    """A view of memory that the next call writes to again."""
    maps = gradient(model, inputs, targets)
    key = maps.shape[1:], maps.dtype
    if key not in _BUFFERS or len(_BUFFERS[key]) < len(maps):
        _BUFFERS[key] = torch.empty_like(maps)
    _BUFFERS[key][: len(maps)] = maps
    return _BUFFERS[key][: len(maps)]


def forget():
    """Let the next example start as the first."""
    _BUFFERS.clear()


def edits_inputs(model, inputs, targets):
    """Overwrites what it is given."""
    maps = gradient(model, inputs, targets)
    inputs.fill_(7)
    return maps


def edits_targets(model, inputs, targets):
    """Overwrites the classes that it is given."""
    maps = gradient(model, inputs, targets)
    targets.zero_()
    return maps


def trains(model, inputs, targets):
    """Leaves the model in training mode and its weights with gradients."""
    maps = gradient(model, inputs, targets)
    model.train()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    return maps


def sometimes_nan(model, inputs, targets):
    """NaN for inputs whose first value is positive."""
    maps = gradient(model, inputs, targets)
    return maps.masked_fill((inputs.flatten(1)[:, 0] > 0).view(-1, *[1] * (maps.ndim - 1)), torch.nan)


def constant(model, inputs, targets):
    """The same value everywhere."""
    return torch.full_like(inputs, 0.3)


def minus_mean_of_batch(model, inputs, targets):
    """What is particular about an input in its batch."""
    maps = gradient(model, inputs, targets)
    return maps - maps.mean(0, keepdim=True)


def beside_others(model, inputs, targets):
    """A little of what the batch has in common is added."""
    maps = gradient(model, inputs, targets)
    return maps + 0.1 * maps.mean(0, keepdim=True)


def random(model, inputs, targets):
    """Another map at each call."""
    return torch.rand_like(inputs)


OF_USERS = {
    "gradient": gradient,
    "summed": summed,
    "as arrays": as_arrays,
    "half precision": functools.partial(as_type, torch.float16),
    "double precision": functools.partial(as_type, torch.float64),
    "integers": functools.partial(as_type, torch.int32),
    "in a buffer": in_buffer,
    "edits inputs": edits_inputs,
    "edits targets": edits_targets,
    "trains": trains,
    "sometimes NaN": sometimes_nan,
    "constant": constant,
    "minus mean of batch": minus_mean_of_batch,
    "beside others": beside_others,
    "random": random,
    "random by input": explain_random,
    "fixed random": explain_fixed_random,
    "input": explain_input,
    "blob": explain_blob,
}
OF_EXPLAIN = {
    f"explain {name}": functools.partial(explain, method=name)
    for name in ("Saliency", "Gradient", "InputXGradient", "GuidedBackprop", "DeepLift", "LRP", "GradCAM")
} | {
    "explain IntegratedGradients": functools.partial(explain, method="IntegratedGradients", n_steps=4),
    "explain SmoothGrad": functools.partial(explain, method="SmoothGrad", n_samples=3),
}
OF_QUANTUS = {
    f"quantus {name}": functools.partial(quantus.explain, method=name)
    for name in ("Saliency", "InputXGradient", "IntegratedGradients")
}
METHODS = OF_USERS | OF_EXPLAIN | OF_QUANTUS
