"""Predictions and explanations of images in which features are masked, compared with those of the unmasked images."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._batch import Batch
from quantus_senc._copies import copies
from quantus_senc._perturb import changed_features, eliminate
from quantus_senc._similarity import same_values

T = TypeVar("T")
_REPEATED = 0.75  # of masked images must give the same again


@dataclass(frozen=True)
class Images:
    """The images of a batch, and what masks make of them, on the model's device.

    Attributes
    ----------
    batch
        The images as they came.
    inputs, targets
        The images, and the classes to explain.
    labels, baselines
        See `eliminate`.
    """

    batch: Batch
    inputs: Float[Tensor, "B *shape"]
    targets: Int64[Tensor, " B"]
    labels: Int64[Tensor, "B *spatial"]
    baselines: Float[Tensor, "B *_"]

    def differing(self, n_features: int) -> Bool[Tensor, "B m"]:
        """Which features differ from the baseline: masks that agree in these give the same masked image."""
        return changed_features(self.inputs, self.labels, self.baselines, n_features)

    def perturbed(self, images: Int64[Tensor, " N"], masks: Bool[Tensor, "N m"]) -> Float[Tensor, "N *shape"]:
        """Images with a mask each."""
        inputs, labels, baselines = (copies(each, images) for each in (self.inputs, self.labels, self.baselines))
        return eliminate(inputs, labels, masks[:, None], baselines)[:, 0]

    def repeat(self, masks: Bool[Tensor, "b k m"]) -> bool:
        """Whether the first images give the same again under some masks, at other places of a pass.

        If not, prediction or explanation is random. Rounding may put single ones on the other side of a ReLU's kink.
        """
        subject, flat = self.batch.subject, masks.flatten(0, 1)
        images = torch.arange(len(masks), device=masks.device).repeat_interleave(masks.shape[1])

        def both(order: Int64[Tensor, " N"]) -> Float[Tensor, "N _"]:
            def step(some: slice) -> Float[Tensor, "_ _"]:
                own = order[some]
                inputs, classes = self.perturbed(images[own], flat[own]), self.targets[images[own]]
                confidence = subject.confidence(inputs, classes)
                return torch.cat([confidence[:, None], subject.explain(inputs, classes).flatten(1)], 1)

            return torch.cat(self.batch.limit.run(step, len(order)))

        order = torch.arange(len(flat), device=masks.device)
        first, again = both(order), both(order.flip(0)).flip(0)
        same = same_values(first[:, :1], again[:, :1]) & same_values(first[:, 1:], again[:, 1:])
        return bool(same.double().mean() >= _REPEATED)


@dataclass(frozen=True)
class MaskedImages:
    """Every pair of some images and their masks: what masking does.

    Methods are given pairs by their places in the flattened (b, k).
    """

    whole: Images
    images: Int64[Tensor, " b"]
    masks: Bool[Tensor, "b k m"]

    def change(self, pairs: Int64[Tensor, " p"]) -> Float[Tensor, "p 1"]:
        """Confidence change."""
        return torch.cat(self._run(self._change, pairs))[:, None]

    def similarity(self, pairs: Int64[Tensor, " p"]) -> Float[Tensor, "p 2"]:
        """Explanation similarity, and 1 where the attribution has no ranks."""
        return torch.cat(self._run(self._similarity, pairs))

    def both(self, pairs: Int64[Tensor, " p"]) -> tuple[Float[Tensor, "p 1"], Float[Tensor, "p 2"]]:
        """`change` and `similarity`."""
        changes, similarities = zip(*self._run(self._both, pairs), strict=True)
        return torch.cat(changes)[:, None], torch.cat(similarities)

    def _run(self, step: Callable[[Int64[Tensor, " p"]], T], pairs: Int64[Tensor, " p"]) -> list[T]:
        """What a step returns for the pairs of each pass."""
        batch = self.whole.batch

        def run(some: slice) -> T:
            found = step(pairs[some])
            batch.progress.update(some.stop - some.start)
            return found

        return batch.limit.run(run, len(pairs))

    def _change(self, pairs: Int64[Tensor, " p"]) -> Float[Tensor, " p"]:
        batch, images = self.whole.batch, self._images(pairs)
        confidence = batch.subject.confidence(self._perturbed(pairs), self.whole.targets[images])
        return batch.originals.change(images, confidence)

    def _similarity(self, pairs: Int64[Tensor, " p"]) -> Float[Tensor, "p 2"]:
        batch, images = self.whole.batch, self._images(pairs)
        attribution = batch.subject.attribution(self._perturbed(pairs), self.whole.targets[images])
        return torch.stack(batch.originals.similarity(images, attribution), -1)

    def _both(self, pairs: Int64[Tensor, " p"]) -> tuple[Float[Tensor, " p"], Float[Tensor, "p 2"]]:
        batch, images = self.whole.batch, self._images(pairs)
        confidence, maps = batch.passes.both(lambda: self._perturbed(pairs), self.whole.targets[images])
        similarity = batch.originals.similarity(images, batch.subject.ready(maps))
        return batch.originals.change(images, confidence), torch.stack(similarity, -1)

    def _images(self, pairs: Int64[Tensor, " p"]) -> Int64[Tensor, " p"]:
        return self.images[pairs // self.masks.shape[1]]

    def _perturbed(self, pairs: Int64[Tensor, " p"]) -> Float[Tensor, "p *shape"]:
        return self.whole.perturbed(self._images(pairs), self.masks.flatten(0, 1)[pairs])
