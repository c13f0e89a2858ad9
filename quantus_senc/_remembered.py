"""What is found for masked inputs, and needed by the next explanation method or estimator."""

from collections.abc import Hashable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

_MOST = 2**25  # values that are kept


class Remembered:
    """Values of the masked inputs of one call, for calls that need the same again.

    Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self.key: Hashable = None
        self.originals: dict[int, Tensor] = {}  # of each image
        self.values = torch.empty(2, 0, 0, 0)  # of masks that are drawn, and of those that are listed
        self.known = torch.zeros(2, 0, 0, dtype=torch.bool)  # on the host

    def recall(self, key: Hashable, n_images: int) -> None:
        """Forget all, unless it was found for the same key."""
        if key != self.key:
            self.key = key
            self._forget(n_images)

    def compare(self, first: int, originals: Float[Tensor, "b d"]) -> None:
        """Forget all, unless unmasked images, from the `first` on, give what they did: a key may not say everything."""
        own = dict(enumerate(originals, first))
        known = torch.stack([self.originals.get(image, original) for image, original in own.items()])
        if not torch.allclose(known, originals, rtol=1e-5, atol=1e-7, equal_nan=True):
            self._forget(self.known.shape[1])
        self.originals |= own

    def get(
        self, images: Int64[Tensor, " b"], numbers: tuple[int, int], listed: Bool[Tensor, " b"]
    ) -> Float[Tensor, "b k v"] | None:
        """Values under a range of masks, if all of them are known.

        Parameters
        ----------
        images
            Which images of the call; on the host.
        numbers
            First mask, and the one after the last.
        listed
            Of which images all masks are tried, so that their masks have other numbers; on the host.
        """
        kind, masks = listed.long(), slice(*numbers)
        known = masks.stop <= self.known.shape[2] and bool(self.known[kind, images, masks].all())
        return self.values[kind, images, masks] if known else None

    def put(
        self,
        images: Int64[Tensor, " b"],
        numbers: tuple[int, int],
        listed: Bool[Tensor, " b"],
        found: Float[Tensor, "b k v"],
    ) -> Float[Tensor, "b k v"]:
        """The values that were found, which are known from now on, unless they are too many."""
        kind, masks, width = listed.long(), slice(*numbers), self.known.shape[2]
        if 2 * self.known.shape[1] * masks.stop * found.shape[2] > _MOST:
            return found
        if masks.stop > width:
            more = max(masks.stop, 2 * width) - width
            values = self.values if width else found.new_empty(2, self.known.shape[1], 0, found.shape[2])
            # Both or none, whatever memory there is.
            self.values, self.known = nn.functional.pad(values, (0, 0, 0, more)), nn.functional.pad(self.known, (0, more))
        self.values[kind, images, masks] = found
        self.known[kind, images, masks] = True
        return found

    def _forget(self, n_images: int) -> None:
        self.originals = {}
        self.values = torch.empty(2, n_images, 0, 0)
        self.known = torch.zeros(2, n_images, 0, dtype=torch.bool)

    def __reduce__(self) -> tuple[type["Remembered"], tuple[()]]:
        return Remembered, ()
