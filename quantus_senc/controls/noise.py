"""Controls that are noise: new for every input and model, the same for all, or blurred."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from quantus_senc.core.checks import check_integer, check_neighbours
from quantus_senc.core.hashing import hash_rows, mix
from quantus_senc.core.philox import random_uniform
from quantus_senc.model.arrays import for_arrays_too

_MANY = 2**16  # values of a tensor that is hashed by itself


@for_arrays_too
def explain_random(model: nn.Module, inputs: Tensor, targets: Tensor, *, seed: int = 0, **kwargs: Any) -> Tensor:
    """Random maps, uniform in [0, 1): the baseline of the paper, as an `explain_func`.

    A map is a function of the seed, the model's weights and buffers, the input (in single precision) and the target. It
    does not depend on the batch. If one bit of these changes, the new map is unrelated to the old one.

    Parameters
    ----------
    model
        Only its weights and buffers are used.
    inputs
        Images or series (B, C, \\*spatial), or tables (B, F); arrays or tensors.
    targets
        Classes (B,).
    seed
        In [0, 2^64).
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), or (B, F) for tables. An array for arrays; for a tensor, a tensor on its device.

    References
    ----------
    Tan, WACV 2025, Section 3.3.

    Examples
    --------
    >>> model, inputs = nn.Linear(4, 2), torch.eye(4)
    >>> maps = explain_random(model, inputs, torch.zeros(4))
    >>> maps.shape, torch.equal(maps[2:], explain_random(model, inputs[2:], torch.zeros(2)))
    (torch.Size([4, 4]), True)
    """
    check_integer("seed", seed, 0, 2**64 - 1)
    streams = hash_rows(inputs.float().flatten(1)) + mix(targets.long())
    for values in _weights(model):
        streams = mix(streams + hash_rows(values[None]).to(inputs.device))
    return _uniform_maps(inputs, streams, seed)


@for_arrays_too
def explain_fixed_random(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, seed: int = 0, per_class: bool = False, **kwargs: Any
) -> Tensor:
    """One random map for all inputs, uniform in [0, 1), as an `explain_func`.

    The map is a function of the seed alone, or of the seed and the class. It stays the same however an input is perturbed
    or a model is masked. Binder et al. draw one map for each image. An `explain_func` cannot do this, because it does not
    know the image that a perturbed copy comes from.

    Parameters
    ----------
    model
        Ignored.
    inputs, targets
        As for `explain_random`; of the inputs only the shape is used.
    seed
        In [0, 2^64).
    per_class
        Whether every class has a map of its own.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        As for `explain_random`.

    References
    ----------
    Binder et al., "Shortcomings of top-down randomization-based sanity checks for evaluations of deep neural network
    explanations", CVPR 2023.

    Examples
    --------
    >>> maps = explain_fixed_random(nn.Identity(), torch.eye(4), torch.tensor([0, 1, 1, 2]), per_class=True)
    >>> torch.equal(maps[1], maps[2]), torch.equal(maps[2], maps[3])
    (True, False)
    """
    check_integer("seed", seed, 0, 2**64 - 1)
    classes, places = torch.unique(targets.long() if per_class else torch.zeros_like(targets.long()), return_inverse=True)
    return _uniform_maps(inputs, mix(classes), seed)[places]


@for_arrays_too
def explain_blurred_noise(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, width: float | None = None, seed: int = 0, **kwargs: Any
) -> Tensor:
    """The maps of `explain_random` after a Gaussian blur, as an `explain_func`: noise with similar neighbours.

    The blur is periodic at the borders, so that all pixels have the same distribution.

    Parameters
    ----------
    model, targets, seed
        As for `explain_random`.
    inputs
        Images or series (B, C, \\*spatial); arrays or tensors.
    width
        Standard deviation of the Gaussian in pixels (time steps), from 0 (no blur) to half the longest side. By default
        an eighth of the longest side.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        As for `explain_random`. The values approach 1/2 as the width grows.

    Raises
    ------
    ValueError
        If the inputs are a table, or the width is out of range.

    References
    ----------
    Binder et al., CVPR 2023: the covariance of a random map decides how well it does in randomisation tests.

    Examples
    --------
    >>> maps = explain_blurred_noise(nn.Identity(), torch.rand(5, 3, 16, 16), torch.zeros(5), width=2)
    >>> maps.shape, bool(maps.diff(dim=-1).std() < maps.std())
    (torch.Size([5, 1, 16, 16]), True)
    """
    check_neighbours("explain_blurred_noise", inputs.shape)
    longest = max(inputs.shape[2:])
    width = longest / 8 if width is None else width
    if not 0 <= width <= longest / 2:
        raise ValueError(
            f"width={width!r} must lie between 0 and {longest / 2}, half the longest side of inputs of shape "
            f"{tuple(inputs.shape)}: a wider blur leaves nothing"
        )
    # In double precision, because the last bits of a matrix product depend on the batch.
    maps = explain_random(model, inputs, targets, seed=seed).double()
    for axis, size in enumerate(maps.shape[2:], start=2):
        blur = torch.as_tensor(gaussian_filter(np.eye(size), (width, 0), mode="wrap"), device=maps.device)
        maps = (maps.movedim(axis, -1) @ blur.T).movedim(-1, axis)
    return maps.float().contiguous()


def _weights(model: nn.Module) -> Iterator[Tensor]:
    """All weights and buffers (n,). Small ones are put together, since hashing each of them takes far longer."""
    small: dict[tuple[torch.dtype, torch.device], list[Tensor]] = {}
    for tensor in (*model.parameters(), *model.buffers()):
        values = tensor.detach().flatten()
        if len(values) < _MANY:
            small.setdefault((values.dtype, values.device), []).append(values)
        else:
            yield values
    yield from map(torch.cat, small.values())


def _uniform_maps(inputs: Tensor, streams: Int64[Tensor, " N"], seed: int) -> Float[Tensor, "N *_"]:
    shape = inputs.shape[1:] if inputs.ndim == 2 else (1, *inputs.shape[2:])
    return random_uniform(int(seed), streams, torch.Size(shape).numel()).view(len(streams), *shape)
