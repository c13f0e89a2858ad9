"""The features of every image of a call: where each is, and which of them masks can change."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from quantus_senc._arguments import check_segment_func
from quantus_senc._explain import Subject
from quantus_senc._fingerprint import fingerprint, with_state
from quantus_senc._perturb import Baseline, baseline_values, changed_features
from quantus_senc._runs import Latest
from quantus_senc._segment import SegmentFunc, default_segment_func, number_labels, segment

_AT_ONCE = 64  # images that are on the model's device


@dataclass(frozen=True)
class Features:
    """Where features are, and whether their sensitivity is sought; on the host."""

    labels: Int64[Tensor, "B *spatial"]
    free: Bool[Tensor, "B m"]


def labels_of(
    x_batch: np.ndarray,
    given: np.ndarray | None,
    segment_func: SegmentFunc,
    segment_func_kwargs: dict[str, Any] | None,
    latest: Latest[Tensor],
) -> Int64[Tensor, "B *spatial"]:
    """The feature at each position of every image: as given, or as a segmentation finds them.

    Raises
    ------
    ValueError
        If labels do not fit the images, or no image has two features.
    """
    inputs = torch.tensor(x_batch, dtype=None if x_batch.dtype.kind == "f" else torch.float32)
    if given is None:
        chosen = segment_func or default_segment_func(inputs.ndim)
        check_segment_func(chosen, segment_func_kwargs)
        key = fingerprint([x_batch, with_state(chosen), segment_func_kwargs])
        found = latest.of(key, lambda: segment(inputs, chosen, segment_func_kwargs))
    else:
        if given.dtype.kind not in "iub":
            raise ValueError(f"custom_batch of type {given.dtype} must hold labels, one integer a position")
        found = number_labels(torch.as_tensor(given), inputs)
    if found.max() == 0:
        raise ValueError(
            f"every image has a single feature, with segment_func={segment_func!r} and "
            f"segment_func_kwargs={segment_func_kwargs!r}; ask for smaller features (a smaller "
            "pixels_per_segment, patch_size or window_size) or pass labels as custom_batch"
        )
    return found


def own_features(labels: Int64[Tensor, "B *spatial"]) -> Bool[Tensor, "B m"]:
    """Which features each image has."""
    return torch.arange(int(labels.max()) + 1) <= labels.flatten(1).amax(1, keepdim=True)


def changeable_features(
    subject: Subject, x_batch: np.ndarray, labels: Int64[Tensor, "B *spatial"], baseline: Baseline, seed: int
) -> Bool[Tensor, "B m"]:
    """Which features each image has that differ from the baseline, so that eliminating them changes something."""
    n_features, found = int(labels.max()) + 1, []
    for images in torch.arange(len(labels)).split(_AT_ONCE):
        inputs = subject.inputs(x_batch[images.numpy()])
        baselines = baseline_values(inputs, baseline, seed, images.to(inputs.device))
        found.append(changed_features(inputs, labels[images].to(inputs.device), baselines, n_features).cpu())
    return torch.cat(found)
