"""What data SenC finds for one set of images, and need not find again for the next explanation method or estimator."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._batch import Originals
from quantus_senc._distinct import Known, first_of_each
from quantus_senc._remembered import Remembered
from quantus_senc._runs import Latest

Pairs = Int64[Tensor, " p"]
Find = Callable[[Pairs], Float[Tensor, "p v"]]


@dataclass(frozen=True)
class Found:
    """Confidence changes, and explanation similarities with whether attributions have no ranks, of a batch's masked images."""

    changes: Known
    similarities: Known

    def weights(
        self,
        keys: Int64[Tensor, "b k"],
        change: Find,
        similarity: Find,
        both: Callable[[Pairs], tuple[Float[Tensor, "p 1"], Float[Tensor, "p 2"]]],
    ) -> tuple[Float[Tensor, "b 2 k"], Bool[Tensor, "b k"]]:
        """Weights of masks, 1 - confidence change and explanation similarity, and which attributions have no ranks.

        Parameters
        ----------
        keys
            Equal for pairs of image and mask that are the same masked image.
        change, similarity, both
            Find what is not known of pairs, which are given as places in the flattened keys.
        """
        flat = keys.flatten()
        pairs = first_of_each(flat)
        new_change, new_similarity = (~known.has(flat[pairs]) for known in (self.changes, self.similarities))
        if len(new := pairs[new_change & new_similarity]):
            changes, similarities = both(new)
            self.changes.put(flat[new], changes)
            self.similarities.put(flat[new], similarities)
        if len(new := pairs[new_change & ~new_similarity]):
            self.changes.put(flat[new], change(new))
        if len(new := pairs[new_similarity & ~new_change]):
            self.similarities.put(flat[new], similarity(new))
        similar, constant = self.similarities.get(keys).unbind(-1)
        return torch.stack([1 - self.changes.get(keys)[..., 0].to(similar), similar], 1), constant > 0


@dataclass
class Findings:
    """Features, confidence changes and explanation similarities; the last are of one method."""

    features: Latest[Tensor] = field(default_factory=Latest)
    changes: Remembered = field(default_factory=Remembered)
    similarities: Remembered = field(default_factory=Remembered)

    def recall(self, images: Hashable, method: Hashable) -> None:
        """Keep what was found for the same images, model and masks, and of it what was found for the same method."""
        self.changes.recall(images)
        self.similarities.recall((images, method))

    def of(self, images: slice, originals: Originals) -> Found:
        """What was found for some images, if unmasked they are predicted and explained as they were then."""
        changes = self.changes.of(images, originals.confidence[:, None])
        return Found(changes, self.similarities.of(images, originals.digests()))
