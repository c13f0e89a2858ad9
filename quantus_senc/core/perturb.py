"""Inputs in which the eliminated features take a baseline."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from scipy.ndimage import gaussian_filter
from torch import Tensor

from quantus_senc.core.philox import random_uniform

Baseline = float | str | Callable[[Tensor], Any]


def _per_image(reduce: Callable[..., Tensor]) -> Callable[[Tensor, int, Tensor], Tensor]:
    def baseline(inputs: Tensor, seed: int, image_ids: Tensor) -> Tensor:
        return reduce(inputs, dim=tuple(range(1, inputs.ndim)), keepdim=True)

    return baseline


def _uniform(inputs: Tensor, seed: int, image_ids: Tensor) -> Tensor:
    return random_uniform(seed, image_ids, inputs[0].numel(), inputs.dtype).view_as(inputs)


def _blur(inputs: Tensor, seed: int, image_ids: Tensor) -> Tensor:
    spatial = inputs.shape[2:]
    sigma = (0, 0, *[max(spatial) / 8] * len(spatial))
    blurred = gaussian_filter(inputs.double().cpu().numpy(), sigma, mode="nearest")
    return torch.as_tensor(blurred).to(inputs)


BASELINES = {
    "black": _per_image(torch.amin),
    "white": _per_image(torch.amax),
    "mean": _per_image(torch.mean),
    "uniform": _uniform,
    "blur": _blur,
}


def baseline_values(
    inputs: Float[Tensor, "B *shape"], perturb_baseline: Baseline, seed: int, image_ids: Int64[Tensor, " B"]
) -> Float[Tensor, "B *_"]:
    """What an eliminated feature of each input shows instead, in a shape that broadcasts with `inputs`.

    Parameters
    ----------
    inputs
        Images (B, C, \\*spatial), series (B, C, T) or tables (B, F).
    perturb_baseline
        A number; the input's own minimum ("black"), maximum ("white") or mean ("mean"); noise in [0, 1), one
        draw an input ("uniform"); the input after a Gaussian blur with a standard deviation of an eighth of its
        longest side ("blur"); or a callable from one input to values that broadcast with it.
    seed, image_ids
        The noise is a function of the seed, the input's number in the whole data set and the position.

    Raises
    ------
    ValueError
        If a callable returns values that do not broadcast with its input, or a table is to be blurred.
    """
    inputs = inputs.contiguous()  # the same baselines whichever way images lie in memory
    if isinstance(perturb_baseline, str):
        if perturb_baseline == "blur" and inputs.ndim < 3:
            raise ValueError(
                f"perturb_baseline='blur' needs neighbours, but inputs of shape {tuple(inputs.shape)} are a table; "
                "use 'mean' or a number"
            )
        return BASELINES[perturb_baseline](inputs, seed, image_ids)
    if callable(perturb_baseline):
        return torch.stack([_called_baseline(perturb_baseline, one) for one in inputs])
    return torch.full_like(inputs[(slice(None), *[slice(1)] * (inputs.ndim - 1))], perturb_baseline)


def _called_baseline(perturb_baseline: Callable[[Tensor], Any], one: Tensor) -> Tensor:
    returned = perturb_baseline(one.clone())
    try:
        return torch.as_tensor(returned).to(one).expand_as(one)
    except (RuntimeError, TypeError, ValueError) as error:
        found = f"shape {tuple(returned.shape)}" if hasattr(returned, "shape") else type(returned).__name__
        raise ValueError(
            f"perturb_baseline returned {found}, which does not broadcast with an input of shape {tuple(one.shape)}; "
            "return a number, or values of the input's own shape"
        ) from error


def changed_features(
    inputs: Float[Tensor, "B *shape"], labels: Int64[Tensor, "B *spatial"], baselines: Float[Tensor, "B *_"], n_features: int
) -> Bool[Tensor, "B m"]:
    """Which features differ from the baseline anywhere, so that their elimination changes the input. See `eliminate`.

    Examples
    --------
    >>> table, columns = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0, 1, 1]])
    >>> changed_features(table, columns, torch.zeros(1, 1), n_features=2)
    tensor([[ True, False]])
    """
    differs = (inputs != baselines).reshape(len(inputs), -1, *labels.shape[1:]).any(1)
    counts = torch.zeros(len(inputs), n_features, dtype=torch.int64, device=inputs.device)
    return counts.scatter_add_(1, labels.flatten(1), differs.flatten(1).long()) > 0


def eliminate(
    inputs: Float[Tensor, "B *shape"],
    labels: Int64[Tensor, "B *spatial"],
    masks: Bool[Tensor, "B K m"],
    baselines: Float[Tensor, "B *_"],
) -> Float[Tensor, "B K *shape"]:
    """Every input under each of its masks: kept features as they are, eliminated ones at the baseline.

    Parameters
    ----------
    inputs
        (B, C, \\*spatial), or (B, F) for tables.
    labels
        The feature, in [0, m), that each position belongs to.
    masks
        True keeps, False eliminates.
    baselines
        What eliminated positions show; broadcasts with `inputs`.

    References
    ----------
    Tan, WACV 2025, Algorithm 1, line 6, where the baseline is 0.

    Examples
    --------
    >>> table, columns = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[0, 1, 1]])
    >>> eliminate(table, columns, torch.tensor([[[True, False], [False, True]]]), torch.zeros(1, 1))
    tensor([[[1., 0., 0.],
             [0., 2., 3.]]])
    """
    positions = labels.flatten(1)[:, None].expand(-1, masks.shape[1], -1)
    channel = [1] * (inputs.ndim - labels.ndim)
    keep = masks.gather(2, positions).view(*masks.shape[:2], *channel, *labels.shape[1:])
    return torch.where(keep, inputs[:, None], baselines[:, None])
