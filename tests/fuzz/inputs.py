"""Inputs of every kind that users have: tables, series, images, volumes; of any type and layout; with anything in them."""

from dataclasses import dataclass

import numpy as np
import torch
from hypothesis import strategies as st

_TYPES = ("<f4", "<f8", "<f2", ">f4", ">f8", "<i8", ">i4", "u1")
_LAYOUTS = ("plain", "fortran", "reversed", "every second", "tensor", "channels last")
_VALUES = ("normal", "tied", "sparse", "constant", "zeros", *["normal"] * 8)
_ODD = (*[None] * 8, np.nan, np.inf, -np.inf, 0.0)


@dataclass(frozen=True)
class Inputs:
    """Some inputs; `odd` is a value that the first image holds at one place, or throughout if it is 0."""

    shape: tuple
    values: str
    type: str
    layout: str
    odd: float | None
    seed: int

    def array(self):
        """Of their type, channels first."""
        draw = np.random.default_rng(self.seed)
        values = draw.normal(size=self.shape)
        if self.values == "tied":
            values = values.round()
        if self.values == "sparse":
            values *= draw.random(self.shape) < 0.3
        if self.values in ("zeros", "constant"):
            values = np.full(self.shape, 0.0 if self.values == "zeros" else 0.7)
        if self.type[-2] in "iu":
            values = np.abs(3 * values).round()
        elif self.odd is not None:
            values[0].flat[slice(None) if self.odd == 0 else slice(1)] = self.odd
        return values.astype(self.type)

    def given(self):
        """As a user gives them, and the value of `channel_first`, which is left out where the shape tells it."""
        array, last = self.array(), self.layout == "channels last" and len(self.shape) > 2
        if last:
            return np.ascontiguousarray(np.moveaxis(array, 1, -1)), False
        inferred = self.layout == "plain" and len(self.shape) < 5 and self.shape[1] < min(self.spatial, default=0)
        return _LAID_OUT.get(self.layout, np.asarray)(array), None if inferred else True

    def targets(self, n_classes):
        """One class an input."""
        classes = np.random.default_rng(self.seed).integers(n_classes, size=self.shape[0])
        return torch.tensor(classes) if self.layout == "tensor" else classes

    @property
    def spatial(self):
        """The axes that labels have."""
        return self.shape[1:] if len(self.shape) == 2 else self.shape[2:]


def _every_second(array):
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    spread[..., ::2] = array
    return spread[..., ::2]


_LAID_OUT = {
    "fortran": np.asfortranarray,
    "reversed": lambda array: np.ascontiguousarray(array[..., ::-1])[..., ::-1],
    "every second": _every_second,
    "tensor": lambda array: torch.tensor(array.astype(array.dtype.newbyteorder("="))),
}


@st.composite
def shapes(draw, most_images):
    """(B, F), (B, C, T), (B, C, H, W) or (B, C, D, H, W); sides down to 1."""
    n, channels = draw(st.integers(1, most_images)), draw(st.sampled_from([1, 2, 3]))
    largest = draw(st.sampled_from([(9,), (16,), (7, 7), (7, 7), (4, 3, 4)]))
    spatial = tuple(draw(st.integers(1, most)) for most in largest)
    return (n, *spatial) if largest == (9,) else (n, channels, *spatial)


def some_inputs(most_images=3):
    """Inputs of any kind."""
    return st.builds(
        Inputs,
        shape=shapes(most_images),
        values=st.sampled_from(_VALUES),
        type=st.sampled_from(_TYPES),
        layout=st.sampled_from(_LAYOUTS),
        odd=st.sampled_from(_ODD),
        seed=st.integers(0, 2**32 - 1),
    )
