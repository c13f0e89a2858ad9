"""The features of every image of a call: where they are, and which of them masks can change."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from quantus_senc.core.checks import check_segment_func
from quantus_senc.core.perturb import Baseline, baseline_values, changed_features
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.record import Sensitivity
from quantus_senc.core.segment import SegmentFunc, default_segment_func, number_labels, segment
from quantus_senc.metrics.image_batch import Images
from quantus_senc.model.explained_model import ExplainedModel

_AT_ONCE = 64  # images that are on the model's device


@dataclass(frozen=True, eq=False)
class Features:
    """The features of every image, on the host.

    Attributes
    ----------
    labels
        The feature at each position.
    free
        Whether the sensitivity of a feature is estimated.
    known
        For each image, a record whose table an earlier run has filled; None if there is none.
    of_same_method
        Whether the explanation similarities of these tables hold, too.
    """

    labels: Int64[Tensor, "B *spatial"]
    free: Bool[Tensor, "B m"]
    known: list[Sensitivity] | None
    of_same_method: bool


@stage("segment")
def label_features(
    x_batch: np.ndarray, given: np.ndarray | None, segment_func: SegmentFunc, segment_func_kwargs: dict[str, Any] | None
) -> Int64[Tensor, "B *spatial"]:
    """Return the feature at each position of every image: as given, or by a segmentation.

    Raises
    ------
    ValueError
        If labels do not fit the images, or no image has two features.
    """
    inputs = torch.tensor(x_batch, dtype=None if x_batch.dtype.kind == "f" else torch.float32)
    if given is None:
        chosen = segment_func or default_segment_func(inputs.ndim)
        check_segment_func(chosen, segment_func_kwargs)
        labels = segment(inputs, chosen, segment_func_kwargs)
    else:
        if given.dtype.kind not in "iub":
            raise ValueError(f"custom_batch of type {given.dtype} must hold labels, one integer a position")
        labels = number_labels(torch.as_tensor(given), inputs)
    if labels.max() == 0:
        raise ValueError(
            f"every image has a single feature, with segment_func={segment_func!r} and "
            f"segment_func_kwargs={segment_func_kwargs!r}; pass segment_func_kwargs={{'pixels_per_segment': 4}}, or another "
            "smaller size ('patch_size' of 'grid', 'window_size' of 'window'), or labels as custom_batch"
        )
    return labels


def existing_features(labels: Int64[Tensor, "B *spatial"]) -> Bool[Tensor, "B m"]:
    """Return which features each image has."""
    return torch.arange(int(labels.max()) + 1) <= labels.flatten(1).amax(1, keepdim=True)


def differing_features(
    explained: ExplainedModel, images: Images, labels: Int64[Tensor, "B *spatial"], baseline: Baseline, seed: int
) -> Bool[Tensor, "B m"]:
    """Return which features of each image differ from the baseline, so that eliminating them changes something."""
    n_features, differing = int(labels.max()) + 1, []
    for start in range(0, len(labels), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        inputs = explained.inputs(images.x[some])
        baselines = baseline_values(inputs, baseline, seed, images.image_ids[some].to(inputs.device))
        differing.append(changed_features(inputs, labels[some].to(inputs.device), baselines, n_features).cpu())
    return torch.cat(differing)
