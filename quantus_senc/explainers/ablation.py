"""Methods that eliminate one window or feature of the input at a time. They take any model."""

from typing import Any

from captum import attr
from torch import Tensor, nn

from quantus_senc.core.checks import check_integer
from quantus_senc.core.segment import SegmentFunc
from quantus_senc.explainers.features import N_SAMPLES, features_of, with_channels
from quantus_senc.explainers.gradients import as_baseline
from quantus_senc.explainers.passes import copies_of
from quantus_senc.model.outputs import explained_outputs


def occlusion(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    window: int | tuple[int, ...] | None = None,
    strides: int | tuple[int, ...] | None = None,
    baseline: Any = 0.0,
) -> Tensor:
    """How much the output falls where a window over all channels shows the baseline: the mean of the windows over a place.

    By default a window is an eighth as long as each side of an image (a twentieth of a series, one column of a table), and
    moves by half of that.

    References
    ----------
    Zeiler and Fergus, "Visualizing and understanding convolutional networks", ECCV 2014.
    """
    spatial = inputs.shape[2:] if inputs.ndim > 2 else inputs.shape[1:]
    part = {2: len(inputs[0]), 3: 20}.get(inputs.ndim, 8)
    sides = _by_axis("window", window, tuple(-(-size // part) for size in spatial), spatial)
    steps = _by_axis("strides", strides, tuple(-(-side // 2) for side in sides), sides)
    channels = inputs.shape[1:2] if inputs.ndim > 2 else ()
    return attr.Occlusion(explained_outputs(model)).attribute(
        inputs,
        sliding_window_shapes=(*channels, *sides),
        strides=(*channels, *steps),
        baselines=as_baseline(baseline, inputs),
        additional_forward_args=targets,
        perturbations_per_eval=copies_of(inputs),
    )


def feature_ablation(
    model: nn.Module,
    inputs: Tensor,
    targets: Tensor,
    *,
    segment_func: SegmentFunc = None,
    segment_func_kwargs: dict[str, Any] | None = None,
    baseline: Any = 0.0,
) -> Tensor:
    """How much the output falls when a feature shows the baseline, at every place of the feature."""
    labels = features_of(inputs, segment_func, segment_func_kwargs, N_SAMPLES)
    return attr.FeatureAblation(explained_outputs(model)).attribute(
        inputs,
        baselines=as_baseline(baseline, inputs),
        additional_forward_args=targets,
        feature_mask=with_channels(labels, inputs),
        perturbations_per_eval=copies_of(inputs),
    )


def _by_axis(
    name: str, given: int | tuple[int, ...] | None, default: tuple[int, ...], most: tuple[int, ...]
) -> tuple[int, ...]:
    """One size for each spatial axis."""
    sizes = default if given is None else given if isinstance(given, tuple) else (given,) * len(most)
    if len(sizes) != len(most):
        raise ValueError(f"{name}={given!r} must be an integer, or one for each of {len(most)} axes")
    for size, largest in zip(sizes, most, strict=True):
        check_integer(name, size, 1, largest)
    return sizes
