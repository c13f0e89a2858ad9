"""Perturbed samples of data SenC: images in which features are masked."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from quantus_senc.core.perturb import changed_features, eliminate
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.ranks import select_rows, widest
from quantus_senc.core.similarity import Differences
from quantus_senc.core.weight_table import Pairs
from quantus_senc.metrics.image_batch import Batch, join_weights


@dataclass(frozen=True, eq=False)
class MaskedInputs:
    """The images of a batch, and what masks make of them, on the model's device.

    Attributes
    ----------
    batch
        The images.
    labels, baselines
        See `eliminate`.
    """

    batch: Batch
    labels: Int64[Tensor, "B *spatial"]
    baselines: Float[Tensor, "B *_"]

    def differing(self, n_features: int) -> Bool[Tensor, "B m"]:
        """Which features differ from the baseline: masks that agree in these leave the same masked image."""
        return changed_features(self.batch.inputs, self.labels, self.baselines, n_features)

    def weigh(self, pairs: Pairs, told: Callable[[int], object]) -> tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]:
        """Weights of masked images, and whether their attributions are constant."""
        weights, constant = torch.empty(len(pairs), 2, dtype=torch.float64), torch.empty(len(pairs), dtype=torch.bool)
        predicted, device = ~pairs.changes.isnan(), self.labels.device
        for chosen in (predicted, ~predicted):
            if chosen.any():
                passes = []
                for block, masks in pairs.select(chosen).blocks(self.batch.limit.size):
                    images = block.images.to(device)
                    changes = block.changes.to(device, widest(device)) if chosen is predicted else None
                    passes += self.batch.limit.run(partial(self._weigh_pass, images, masks, changes), len(block), told)
                weights[chosen], constant[chosen] = join_weights(passes)
        return weights, constant

    def _weigh_pass(
        self, images: Int64[Tensor, " p"], masks: Bool[Tensor, "p m"], changes: Float[Tensor, " p"] | None, some: slice
    ) -> Differences:
        """Explain some of the masked images, and predict them unless their confidence changes are known."""
        images, masks = images[some], masks[some]
        explained, originals, targets = self.batch.explained, self.batch.originals, self.batch.targets[images]
        if changes is None:
            predictions, maps = self.batch.shared_pass.run(lambda: self._perturb(images, masks), targets)
            return originals.compare(images, predictions, explained.attributions(maps))
        maps = explained.explain(self._perturb(images, masks), targets)
        return changes[some], *originals.similarity(images, explained.attributions(maps))

    @stage("perturb")
    def _perturb(self, images: Int64[Tensor, " p"], masks: Bool[Tensor, "p m"]) -> Float[Tensor, "p *shape"]:
        inputs, labels, baselines = (select_rows(each, images) for each in (self.batch.inputs, self.labels, self.baselines))
        return eliminate(inputs, labels, masks[:, None], baselines)[:, 0]
