"""Parameters of metrics and calls."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

_NAMED = {  # by the number of axes
    2: [(None, None), ("column", None)],
    3: [(None, None), ("window", None), ("window", {"window_size": 3})],
    4: [(None, None), ("slic", {"pixels_per_segment": 6}), ("slic", {"n_segments": 5}), ("grid", {"patch_size": 2})],
    5: [(None, None), ("slic", {"pixels_per_segment": 9}), ("grid", {"patch_size": 2})],
}
_NAMED[4] += [("grid", {"patch_size": 3}), ("grid", None)]


@dataclass(frozen=True)
class Features:
    """How inputs are divided: `how` is "given" or "called" for labels of so many kinds, or an index of a named function."""

    how: str | int
    kinds: int
    kind_of_labels: str
    seed: int

    def labels(self, inputs):
        """Of any values, some of which no position has."""
        draw = np.random.default_rng(self.seed)
        values = draw.permutation(2 * self.kinds)[: self.kinds] * 3 + (0 if self.kind_of_labels == "uint8" else -4)
        labels = values[draw.integers(self.kinds, size=(inputs.shape[0], *inputs.spatial))]
        if self.kind_of_labels == "tensor":
            return torch.tensor(labels)
        return labels > 0 if self.kind_of_labels == "bool" else labels.astype(self.kind_of_labels)

    def parameters(self, inputs):
        """Of the metric, and of its call."""
        if self.how == "given":
            return {}, {"custom_batch": self.labels(inputs)}
        if self.how == "called":
            return {"segment_func": lambda one: self.labels(inputs)[0]}, {}
        named = _NAMED[len(inputs.shape)]
        name, kwargs = named[self.how % len(named)]
        return {"segment_func": name, "segment_func_kwargs": kwargs}, {}


features = st.builds(
    Features,
    how=st.one_of(st.integers(0, 5), st.sampled_from(["given", "called"])),
    kinds=st.integers(1, 5),
    kind_of_labels=st.sampled_from(["int64", "int32", "uint8", "bool", "tensor"]),
    seed=st.integers(0, 2**32 - 1),
)


def parameters(most_masks):
    """Of both metrics."""
    return st.fixed_dictionaries(
        {
            "n_masks": st.one_of(st.integers(2, most_masks), st.sampled_from([most_masks, "all"])),
            "mask_rate": st.sampled_from([0.5, 0.8, 0.3]),
            "estimator": st.sampled_from(["paper", "regression"]),
            "tolerance": st.sampled_from([None, None, 0.05]),
            "seed": st.sampled_from([0, 42, 2**64 - 1]),
            "abs": st.sampled_from([False, False, True]),
            "normalise": st.sampled_from([False, False, True]),
            "return_aggregate": st.just(False),
        }
    )


sizes = st.tuples(st.sampled_from([1, 2, 64]), st.sampled_from([1, 3, 16, "auto"]))  # batch_size and max_batch_size
second_sizes = st.one_of(st.none(), st.none(), sizes)
baselines = st.sampled_from([0.0, 0.0, -0.5, 1, "black", "white", "mean", "uniform", "blur", "called"])


def image_ids(n_images):
    """Of a call: the numbers of its images in the whole data set, or None."""
    return st.none() | st.lists(st.integers(0, 2**63 - 1), min_size=n_images, max_size=n_images, unique=True)


def called_baseline(one):
    """Another image in place of what is eliminated."""
    return one.flip(-1)
