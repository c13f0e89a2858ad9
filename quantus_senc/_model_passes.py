"""Passes of models in which units of one layer are masked: with weights really zeroed, or by hooks that mask each sample."""

from dataclasses import dataclass
from functools import cached_property, partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from quantus_senc._batch import Batch
from quantus_senc._chunks import is_out_of_memory
from quantus_senc._copies import copies
from quantus_senc._reuse import Reuse
from quantus_senc._units import masked_units, zeroed_weights

_FEWEST_COPIES = 4  # of an input, on average, so that to spare layers takes less time than it saves
Outputs = tuple[Float[Tensor, "N 1"], Float[Tensor, "N n"]]


class Undecided(Exception):
    """Whether masking by hooks gives what zeroed weights give cannot be told; the message says why."""


class Disproved(Exception):
    """Masking by hooks gives something else than zeroed weights; the message says what."""


@dataclass(frozen=True)
class Pairs:
    """Some pairs of an image and a mask: those of the first image with all masks, then those of the next.

    Attributes
    ----------
    images, masks
        Of each pair.
    which, first
        Which of the images in these pairs it has, and where each of them comes first.
    there
        These images, by number.
    """

    images: Int64[Tensor, " N"]
    masks: Bool[Tensor, "N m"]
    which: Int64[Tensor, " N"]
    first: Int64[Tensor, " u"]
    there: list[int]

    @classmethod
    def of(cls, images: Int64[Tensor, " b"], numbers: list[int], masks: Bool[Tensor, "k m"], some: slice) -> "Pairs":
        """A range of all pairs of images and masks; `numbers` are the images on the host, so that it need not wait."""
        k, device = len(masks), masks.device
        begin, end = some.start // k, -(-some.stop // k)
        places = torch.arange(some.start, some.stop, device=device)
        which = places // k - begin
        first = (torch.arange(begin, end, device=device) * k - some.start).clamp_(min=0)
        return cls(images[begin:end][which], masks[places % k], which, first, numbers[begin:end])


@dataclass(frozen=True)
class ModelPasses:
    """What models with masked units predict and explain.

    Attributes
    ----------
    batch
        The images, by place in which the methods are told what to explain.
    module
        The layer.
    """

    batch: Batch
    module: nn.Module

    @cached_property
    def inputs(self) -> Float[Tensor, "B *shape"]:
        """The images, on the model's device."""
        return self.batch.subject.inputs(self.batch.x_batch)

    @cached_property
    def targets(self) -> Int64[Tensor, " B"]:
        """The classes to explain, on the model's device."""
        return self.batch.subject.targets(self.batch.y_batch)

    def run(self, images: Int64[Tensor, " N"], *, parts: bool = True) -> Outputs:
        """Predictions for the explained classes, and attributions as they come: normalising may mix the samples."""
        inputs, targets = copies(self.inputs, images), self.targets[images]
        confidence, maps = self.batch.passes.both(inputs.clone, targets, parts=parts)
        return confidence[:, None], maps.flatten(1)

    def zeroed(self, images: Int64[Tensor, " N"], masks: Bool[Tensor, "k m"]) -> list[Float[Tensor, "N k _"]]:
        """Both for every image under every mask, by zeroed weights, one mask a pass."""
        runs = []
        with zeroed_weights(self.module) as keep:

            def step(mask: Bool[Tensor, " m"], some: slice) -> Outputs:
                keep(mask)  # here, because a pass that ran out of memory puts the whole model back
                return self.run(images[some])

            for mask in masks:
                parts = zip(*self.batch.limit.run(partial(step, mask), len(images)), strict=True)
                runs.append([torch.cat(part) for part in parts])
        return [torch.stack(part, 1) for part in zip(*runs, strict=True)]

    def hooked(self, pairs: "Pairs", layout: str | None) -> Outputs:
        """Both for pairs of image and mask, by hooks, in one pass.

        Parameters
        ----------
        layout
            See `masked_units`; without one, repeated samples are an error.

        Raises
        ------
        Undecided, Disproved
            If hooks cannot do it.
        """
        if self.reuse.active and layout and _FEWEST_COPIES * len(pairs.first) <= len(pairs.images):
            try:
                with self.reuse.of(pairs.which, pairs.first, layout):
                    return self._hooked(pairs, layout)
            except RuntimeError as error:  # as of methods that derive twice; the method's own it will raise again
                if is_out_of_memory(error):
                    raise
                self.reuse.stop()
                self.batch.limit.recover()  # the method may have left the model altered
        return self._hooked(pairs, layout)

    @cached_property
    def reuse(self) -> Reuse:
        """How layers before the masked one are spared."""
        subject = self.batch.subject
        return Reuse(subject.model, self.module, lambda: subject.outputs(self.inputs[:1]))

    def _hooked(self, pairs: "Pairs", layout: str | None) -> Outputs:
        with masked_units(self.module, pairs.masks, layout or "tiled") as calls:
            try:
                found = self.run(pairs.images, parts=layout != "interleaved")  # where equal samples have other masks
            except Exception as error:
                if not calls.misfit and not isinstance(error, ValueError):
                    raise
                raise Disproved(calls.misfit or f"the explanation method does not take hooks ({error})") from error
        if calls.misfit:
            raise Disproved(calls.misfit)
        if not calls.repeats:
            raise Disproved("the layer's weights are used without the layer being called")
        if layout is None and max(calls.repeats) > 1:
            raise Undecided("in what order the explanation method repeats samples cannot be checked")
        return found

    def compared(self, images: Int64[Tensor, " N"], outputs: Outputs) -> Float[Tensor, "3 N"]:
        """Confidence change, explanation similarity, and 1 where the attribution has no ranks."""
        confidence, maps = outputs
        similarity, constant = self.batch.originals.similarity(images, self.batch.subject.ready(maps))
        change = self.batch.originals.change(images, confidence[:, 0]).to(similarity)
        self.batch.progress.update(len(images))
        return torch.stack([change, similarity, constant.to(similarity)])
