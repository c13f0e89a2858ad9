"""What data SenC finds for one set of images, and need not find again for the next explanation method or estimator."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._batch import Originals
from quantus_senc._remembered import Remembered
from quantus_senc._runs import Latest


@dataclass
class Findings:
    """Features, confidence changes and explanation similarities; the last are of one method."""

    features: Latest[Tensor] = field(default_factory=Latest)
    changes: Remembered = field(default_factory=Remembered)
    similarities: Remembered = field(default_factory=Remembered)

    def recall(self, images: Hashable, method: Hashable, n_images: int) -> None:
        """Keep what was found for the same images, model and masks, and of it what was found for the same method."""
        self.changes.recall(images, n_images)
        self.similarities.recall((images, method), n_images)

    def compare(self, first: int, originals: Originals) -> None:
        """Forget what was found if unmasked images, from the `first` on, are predicted or explained otherwise now."""
        self.changes.compare(first, originals.confidence[:, None])
        self.similarities.compare(first, originals.digests())

    def weights(
        self,
        images: Int64[Tensor, " b"],
        numbers: tuple[int, int],
        listed: Bool[Tensor, " b"],
        change: Callable[[], Float[Tensor, "b k"]],
        similarity: Callable[[], tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"]]],
        both: Callable[[], tuple[Float[Tensor, "b k"], tuple[Float[Tensor, "b k"], Bool[Tensor, "b k"]]]],
    ) -> tuple[Float[Tensor, "b 2 k"], Bool[Tensor, "b k"]]:
        """Weights of masks, and which attributions have no ranks, as `Originals.compare` returns them.

        For the first parameters see `Remembered.get`; what is not known is found by one of the others.
        """
        which = images, numbers, listed
        changes, similarities = self.changes.get(*which), self.similarities.get(*which)
        if changes is None and similarities is None:
            new_change, new_similarity = both()
            changes = self.changes.put(*which, new_change[..., None])
            similarities = self.similarities.put(*which, torch.stack(new_similarity, -1))
        if changes is None:
            changes = self.changes.put(*which, change()[..., None])
        if similarities is None:
            similarities = self.similarities.put(*which, torch.stack(similarity(), -1))
        similar, constant = similarities.unbind(-1)
        return torch.stack([1 - changes[..., 0].to(similar), similar], 1), constant > 0
