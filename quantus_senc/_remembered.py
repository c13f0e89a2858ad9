"""What is found for masked inputs, and needed by the next explanation method or estimator."""

from collections.abc import Hashable

import torch
from jaxtyping import Float
from torch import Tensor

from quantus_senc._distinct import Known

_MOST = 2**24  # masked inputs of which something is known, after which all is forgotten


class Remembered:
    """Values of the masked inputs of one call, for calls that need the same again.

    Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self.key: Hashable = None
        self.originals: dict[int, Tensor] = {}  # of each image
        self.known: dict[tuple[int, int], Known] = {}  # of each batch of images

    def recall(self, key: Hashable) -> None:
        """Forget all, unless it was found for the same key."""
        if key != self.key:
            self.key, self.originals, self.known = key, {}, {}

    def of(self, images: slice, originals: Float[Tensor, "b d"]) -> Known:
        """What is known of some images under masks.

        Nothing, if their unmasked originals, or those of other images, are not what they were: a key may not say everything.
        """
        own = dict(enumerate(originals, images.start))
        before = torch.stack([self.originals.get(image, original) for image, original in own.items()])
        same = torch.allclose(before, originals, rtol=1e-5, atol=1e-7, equal_nan=True)
        if not same or sum(map(len, self.known.values())) > _MOST:
            self.originals, self.known = {}, {}
        self.originals |= own
        return self.known.setdefault((images.start, images.stop), Known())

    def __reduce__(self) -> tuple[type["Remembered"], tuple[()]]:
        return Remembered, ()
