"""Predictions of masked inputs, which one explanation method after the other needs."""

from collections.abc import Callable, Hashable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

_MOST = 2**25  # values that are kept


class Predictions:
    """Confidences of the masked inputs of one call, kept for calls with another explanation method or estimator.

    Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self.key: Hashable = None
        self.originals: dict[int, Tensor] = {}  # of each image
        self.values = torch.empty(2, 0, 0)  # of masks that are drawn, and of those that are listed
        self.known = torch.zeros(2, 0, 0, dtype=torch.bool)  # on the host

    def recall(self, key: Hashable, n_images: int) -> None:
        """Forget all, unless it was found for the same key."""
        if key != self.key:
            self.key = key
            self._forget(n_images)

    def compare(self, first: int, originals: Float[Tensor, " b"]) -> None:
        """Forget all, unless images from the `first` on predict what they did: a model may depend on more than the key."""
        own = dict(enumerate(originals, first))
        known = torch.stack([self.originals.get(image, original) for image, original in own.items()])
        if not torch.allclose(known, originals, rtol=1e-5, atol=1e-7, equal_nan=True):
            self._forget(self.known.shape[1])
        self.originals |= own

    def of(
        self,
        images: Int64[Tensor, " b"],
        numbers: tuple[int, int],
        listed: Bool[Tensor, " b"],
        predict: Callable[[], Float[Tensor, " N"]],
    ) -> Float[Tensor, " N"]:
        """Confidences under a range of masks, as they are known or as `predict` returns them.

        Parameters
        ----------
        images
            Which images of the call; on the host.
        numbers
            First mask, and the one after the last.
        listed
            Of which images all masks are tried, so that their masks have other numbers; on the host.
        predict
            Confidences of every pair of image and mask.
        """
        kind, masks = listed.long(), slice(*numbers)
        if 2 * self.known.shape[1] * masks.stop > _MOST:
            return predict()
        if masks.stop <= self.known.shape[2] and self.known[kind, images, masks].all():
            return self.values[kind, images, masks].flatten()
        found = predict()
        more = max(masks.stop, 2 * self.known.shape[2]) - self.known.shape[2] if masks.stop > self.known.shape[2] else 0
        self.known = nn.functional.pad(self.known, (0, more))
        self.values = nn.functional.pad(self.values.to(found), (0, more))
        self.known[kind, images, masks] = True
        self.values[kind, images, masks] = found.view(len(images), -1)
        return found

    def _forget(self, n_images: int) -> None:
        self.originals = {}
        self.values = torch.empty(2, n_images, 0)
        self.known = torch.zeros(2, n_images, 0, dtype=torch.bool)

    def __reduce__(self) -> tuple[type["Predictions"], tuple[()]]:
        return Predictions, ()
