"""What masks have shown: a table of weights for each image, and the pairs of image and mask that are still to be weighed."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc.core.distinct_masks import mask_keys
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.record import Sensitivity


@dataclass(eq=False)
class WeightTable:
    """The weights of the masks that one image has had: a row for each mask, by number.

    Attributes
    ----------
    weights
        1 - confidence change, and explanation similarity.
    constant
        Whether the attribution was constant, so that its similarity counted as 0.
    """

    weights: Float64[Tensor, "K 2"]
    constant: Bool[Tensor, " K"]

    @classmethod
    def empty(cls) -> "WeightTable":
        """The table of no masks."""
        return cls(torch.empty(0, 2, dtype=torch.float64), torch.empty(0, dtype=torch.bool))

    def extend(self, n_masks: int) -> None:
        """Add rows up to so many masks."""
        n_new = n_masks - len(self.weights)
        self.weights = torch.cat([self.weights, self.weights.new_full((n_new, 2), torch.nan)])
        self.constant = torch.cat([self.constant, self.constant.new_zeros(n_new)])

    def put(self, numbers: Int64[Tensor, " n"], weights: Float64[Tensor, "n 2"], constant: Bool[Tensor, " n"]) -> None:
        """Fill rows."""
        self.weights[numbers], self.constant[numbers] = weights, constant

    def repeat(self, first: Int64[Tensor, " k"]) -> None:
        """Fill the last rows with the rows of masks that leave the same sample."""
        self.weights[-len(first) :], self.constant[-len(first) :] = self.weights[first], self.constant[first]


@dataclass(frozen=True, eq=False)
class KnownWeights:
    """Weights of one image that an earlier run has shown, for a run that needs them again.

    Attributes
    ----------
    keys
        Of the earlier run's masks, in ascending order; see `mask_keys`.
    weights, constant
        As in a `WeightTable`.
    of_same_method
        Whether the explanation similarities hold, too. Otherwise only the confidence changes do.
    """

    keys: Int64[Tensor, " k"]
    weights: Float64[Tensor, "k 2"]
    constant: Bool[Tensor, " k"]
    of_same_method: bool

    @classmethod
    def from_record(cls, record: Sensitivity, differing: Bool[Tensor, " m"], *, of_same_method: bool) -> "KnownWeights":
        """Read the table of a record; `differing` are the features that differ from the baseline."""
        n_features = len(record.prediction)
        differing = differing[:n_features].cpu()
        masks = record.design.row_masks(0, 0, record.n_masks)
        ordered, order = torch.cat([mask_keys(one[:, :n_features] & differing) for one in masks]).sort()
        return cls(ordered, record.weights[order], record.constant[order], of_same_method)

    def lookup(self, keys: Int64[Tensor, " n"]) -> tuple[Bool[Tensor, " n"], Int64[Tensor, " n"]]:
        """Say for which keys there are weights, and in which rows."""
        rows = torch.searchsorted(self.keys, keys).clamp_(max=len(self.keys) - 1)
        return self.keys[rows] == keys, rows


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of an image and a mask, each of which is one perturbed sample.

    Attributes
    ----------
    images, numbers
        The image and the number of the mask of each pair, on the host.
    changes
        The confidence changes that are known already, on the host; NaN for the others.
    design
        Makes the masks, on the model's device.
    """

    images: Int64[Tensor, " p"]
    numbers: Int64[Tensor, " p"]
    changes: Float64[Tensor, " p"]
    design: MaskDesign

    @classmethod
    def from_grid(
        cls, images: list[int], numbers: Int64[Tensor, " k"], changes: Float64[Tensor, " k"], design: MaskDesign
    ) -> "Pairs":
        """Pair every image with every mask."""
        n_images = len(images)
        each = torch.tensor(images).repeat_interleave(len(numbers))
        return cls(each, numbers.repeat(n_images), changes.repeat(n_images), design)

    @classmethod
    def join(cls, several: "list[Pairs]") -> "Pairs":
        """All pairs of several."""
        images, numbers, changes = (
            torch.cat([getattr(pairs, name) for pairs in several]) for name in ("images", "numbers", "changes")
        )
        return cls(images, numbers, changes, several[0].design)

    def __len__(self) -> int:
        return len(self.images)

    def select(self, chosen: slice | Tensor) -> "Pairs":
        """Some of the pairs."""
        return Pairs(self.images[chosen], self.numbers[chosen], self.changes[chosen], self.design)

    def blocks(self, pass_size: int) -> "Iterator[tuple[Pairs, Bool[Tensor, 'p m']]]":
        """Pairs and their masks, in blocks of whole passes that are large enough to make masks efficiently."""
        size = max(self.design.chunk_size // pass_size, 1) * pass_size
        for start in range(0, len(self), size):
            block = self.select(slice(start, start + size))
            yield block, block.masks()

    @stage("masks")
    def masks(self) -> Bool[Tensor, "p m"]:
        """The mask of each pair, on the model's device; True keeps."""
        device = self.design.streams.device
        rows = self.images if len(self.design.n_masks) > 1 else torch.zeros_like(self.images)
        return self.design.masks(rows.to(device), self.numbers.to(device))
