"""Controls that are noise: new for every input and model, or the same for all."""

from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from quantus_senc._arguments import check_integer
from quantus_senc._hash import hash_rows, mix
from quantus_senc._host import for_arrays_too
from quantus_senc._philox import random_uniform


@for_arrays_too
def explain_random(model: nn.Module, inputs: Tensor, targets: Tensor, *, seed: int = 0, **kwargs: Any) -> Tensor:
    """Random maps, uniform in [0, 1): the baseline of the paper, as an `explain_func`.

    A map is a function of the seed, the model's weights and buffers, the input (in single precision) and the target, to
    the last bit of each: the same whenever and in whatever batch it is asked for, and unrelated to the map of an input
    or of weights that differ at all.

    Parameters
    ----------
    model
        Only its weights and buffers count.
    inputs
        (B, C, \\*spatial), or (B, F) for tables.
    targets
        (B,).
    seed
        In [0, 2^64).
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        (B, 1, \\*spatial), or (B, F) for tables; what the inputs are, and on their device.

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
    for tensor in (*model.parameters(), *model.buffers()):
        streams = mix(streams + hash_rows(tensor.detach().reshape(1, -1)).to(inputs.device))
    return _noise(inputs, streams, seed)


@for_arrays_too
def explain_fixed_random(
    model: nn.Module, inputs: Tensor, targets: Tensor, *, seed: int = 0, per_class: bool = False, **kwargs: Any
) -> Tensor:
    """One random map, uniform in [0, 1), for all: the fixed noise of Binder et al., as an `explain_func`.

    A map is a function of the seed and the position alone, or of the class too: however an input is perturbed or a model
    masked, the map stays. An `explain_func` cannot know which image a perturbed copy comes from, so that images share
    their map as well, where Binder et al. draw one for each image; scores of one image are those of their map.

    Parameters
    ----------
    model
        Ignored.
    inputs, targets
        As for `explain_random`; of the inputs only the shape counts.
    seed
        In [0, 2^64).
    per_class
        Whether every class has a map of its own.
    kwargs
        Ignored.

    Returns
    -------
    array or Tensor
        As `explain_random` does.

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
    return _noise(inputs, mix(classes), seed)[places]


def _noise(inputs: Tensor, streams: Int64[Tensor, " N"], seed: int) -> Float[Tensor, "N *_"]:
    shape = inputs.shape[1:] if inputs.ndim == 2 else (1, *inputs.shape[2:])
    return random_uniform(int(seed), streams, torch.Size(shape).numel()).view(len(streams), *shape)
