"""Perturbed samples of parameter SenC: models in which units of one layer are masked.

Units are masked in two ways. Zeroed weights are what the paper does: one mask a pass. Hooks mask the layer's output (or
input) for each sample of a pass by itself, so that many masks go in one pass.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from quantus_senc.core.ranks import select_rows
from quantus_senc.core.similarity import Differences
from quantus_senc.core.weight_table import Pairs
from quantus_senc.metrics.image_batch import Batch, join_weights
from quantus_senc.metrics.units import masked_units, n_units, zeroed_weights
from quantus_senc.model.explained_model import Outputs
from quantus_senc.model.layers_once import LayersOnce
from quantus_senc.model.pass_size import is_out_of_memory

_FEWEST_COPIES = 4  # of an input, on average, so that running layers once saves more time than it takes
_MASK_ENTRIES = 2**20  # of zeroed weights, made at a time


@dataclass(frozen=True)
class Failure:
    """Why hooks cannot mask a layer.

    Attributes
    ----------
    reason
        In words.
    disproved
        Whether hooks give something else than zeroed weights; otherwise it cannot be told what they give.
    """

    reason: str
    disproved: bool


@dataclass(frozen=True, eq=False)
class MaskedLayer:
    """A layer of the model, and what models with masked units of it predict and explain for the images of a batch."""

    batch: Batch
    module: nn.Module

    @cached_property
    def layers_once(self) -> LayersOnce:
        """The layers before this one that are run once for an image."""
        explained = self.batch.explained
        return LayersOnce(explained.model, self.module, lambda: explained.predict_classes(self.batch.inputs[:1]))

    def run(self, images: Int64[Tensor, " p"]) -> Outputs:
        """Predictions and flattened maps of images, by the model as it is."""
        targets = self.batch.targets[images]
        predictions, maps = self.batch.shared_pass.run(lambda: select_rows(self.batch.inputs, images), targets)
        return predictions, maps.flatten(1)

    def zeroed(
        self, images: Int64[Tensor, " n"], masks: Bool[Tensor, "k m"]
    ) -> tuple[Float[Tensor, "n k"], Float[Tensor, "n k v"]]:
        """Predictions and maps of every image under every mask, by zeroed weights, one mask a pass."""
        runs = []
        with zeroed_weights(self.module) as keep:

            def step(mask: Bool[Tensor, " m"], some: slice) -> Outputs:
                keep(mask)  # here, because a pass that ran out of memory puts the whole model back
                return self.run(images[some])

            for mask in masks:
                passes = zip(*self.batch.limit.run(partial(step, mask), len(images)), strict=True)
                runs.append([torch.cat(values) for values in passes])
        predictions, maps = zip(*runs, strict=True)
        return torch.stack(predictions, 1), torch.stack(maps, 1)

    def hooked(self, images: Int64[Tensor, " p"], masks: Bool[Tensor, "p m"], layout: str | None) -> Outputs | Failure:
        """Predictions and maps of pairs of image and mask, by hooks, in one pass.

        Parameters
        ----------
        images
            On the host, with equal images beside one another.
        layout
            See `masked_units`; without one, a method that repeats samples is a failure.
        """
        there, source, counts = images.unique_consecutive(return_inverse=True, return_counts=True)
        images = images.to(masks.device, non_blocking=True)
        if self.layers_once.active and layout and _FEWEST_COPIES * len(there) <= len(images):
            first = (counts.cumsum(0) - counts).to(masks.device, non_blocking=True)
            try:
                with self.layers_once.for_copies(source.to(masks.device, non_blocking=True), first, layout):
                    return self._hooked(images, masks, layout)
            except RuntimeError as error:  # such as of methods that derive twice; the method's errors are raised again below
                if is_out_of_memory(error):
                    raise
                self.layers_once.stop()
                self.batch.limit.recover()  # the method may have left the model altered
        return self._hooked(images, masks, layout)

    def _hooked(self, images: Int64[Tensor, " p"], masks: Bool[Tensor, "p m"], layout: str | None) -> Outputs | Failure:
        with masked_units(self.module, masks, layout or "tiled") as calls:
            try:
                outputs = self.run(images)
            except Exception as error:
                if not calls.misfit and not isinstance(error, ValueError):
                    raise
                return Failure(calls.misfit or f"the explanation method does not take hooks ({error})", disproved=True)
        if calls.misfit:
            return Failure(calls.misfit, disproved=True)
        if not calls.repeats:
            return Failure("the layer's weights are used without the layer being called", disproved=True)
        if layout is None and max(calls.repeats) > 1:
            return Failure("in what order the explanation method repeats samples cannot be checked", disproved=False)
        return outputs

    def compare(self, images: Int64[Tensor, " p"], outputs: Outputs) -> Differences:
        """Compare perturbed samples of these images with their originals."""
        predictions, maps = outputs
        images = images.to(maps.device, non_blocking=True)
        return self.batch.originals.compare(images, predictions, self.batch.explained.attributions(maps))


@dataclass(frozen=True, eq=False)
class ZeroedWeights:
    """Masks a layer by zeroed weights.

    Attributes
    ----------
    layer
        The layer.
    """

    layer: MaskedLayer

    def weigh(self, pairs: Pairs, told: Callable[[int], object]) -> tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]:
        """Weights of masked models, and whether their attributions are constant."""
        order = pairs.numbers.argsort(stable=True)
        ordered, limit, results = pairs.select(order), self.layer.batch.limit, []
        _, counts = ordered.numbers.unique_consecutive(return_counts=True)
        first, groups = counts.cumsum(0) - counts, ordered.images.split(counts.tolist())
        with zeroed_weights(self.layer.module) as keep:

            def step(mask: Bool[Tensor, " m"], images: Int64[Tensor, " n"], some: slice) -> Differences:
                keep(mask)  # here, because a pass that ran out of memory puts the whole model back
                return self.layer.compare(images[some], self.layer.run(images[some].to(mask.device)))

            for chunk in torch.arange(len(groups)).split(max(_MASK_ENTRIES // n_units(self.layer.module), 1)):
                masks = ordered.select(first[chunk]).masks()
                for mask, images in zip(masks, groups[chunk[0] : chunk[-1] + 1], strict=True):
                    results += limit.run(partial(step, mask, images), len(images), told)
        weights, constant = join_weights(results)
        back = order.argsort()
        return weights[back], constant[back]
