"""The features that methods eliminate: by default those of data SenC."""

from typing import Any

from jaxtyping import Int64
from torch import Tensor

from quantus_senc.core.checks import check_integer, check_segment_func
from quantus_senc.core.segment import SegmentFunc, default_kwargs, default_segment_func, segment

N_SAMPLES = 500  # as many as `compare` shows masks, so that both have the same features by default


def features_of(
    inputs: Tensor, segment_func: SegmentFunc, segment_func_kwargs: dict[str, Any] | None, n_samples: int
) -> Int64[Tensor, "B *spatial"]:
    """The features of each input, by default those that data SenC takes for as many masks."""
    check_integer("n_samples", n_samples, 2, 2**31)
    check_segment_func(segment_func, segment_func_kwargs)
    kwargs = default_kwargs(tuple(inputs.shape), n_samples, segment_func, segment_func_kwargs)
    return segment(inputs.detach().cpu(), segment_func or default_segment_func(inputs.ndim), kwargs).to(inputs.device)


def with_channels(labels: Tensor, inputs: Tensor) -> Tensor:
    """Labels with an axis of channels, where inputs have one."""
    return labels[:, None] if inputs.ndim > 2 else labels
