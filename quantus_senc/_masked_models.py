"""Predictions and explanations of models in which units of one layer are masked, by the fastest way that is proved right."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from quantus_senc._batch import Batch
from quantus_senc._chunks import Chunk
from quantus_senc._explain import Subject
from quantus_senc._sensitivity import Sums
from quantus_senc._similarity import centred_ranks, has_no_ranks, rank_correlation
from quantus_senc._units import MaskedCalls, masked_units, n_units, zeroed_weights

_LAYOUTS = ("tiled", "interleaved")
_PROBES = 4  # pairs of each size of chunk that are compared with really zeroed weights


class Unproved(Exception):
    """Masking by hooks is not known to give what zeroed weights give; the message says why."""


class RandomMethod(Unproved):
    """The explanation method gives different attributions for the same input, and so nothing can be compared."""


@dataclass
class Strategy:
    """How one layer is masked in a call, and why.

    Attributes
    ----------
    name
        "hooks": many masks in one pass; "weights": one mask a pass, its weights really zeroed.
    why
        What was found, in words.
    layouts
        In which orders the explanation method may repeat samples; one, once it is known.
    proved
        Sizes of chunks, images and masks, for which hooks were compared with zeroed weights.
    """

    name: str
    why: str
    layouts: tuple[str, ...] = _LAYOUTS
    proved: set[tuple[int, int]] = field(default_factory=set)


@dataclass(frozen=True)
class MaskedModels:
    """Models in which units of one layer are masked, on some images.

    Attributes
    ----------
    batch
        The images.
    module
        The layer.
    masks
        From a range of mask indices to the masks, which are the same for every image.
    strategy
        How to mask; settled here, and kept for the next images.
    forced
        Whether the user asked for the strategy.
    """

    batch: Batch
    module: nn.Module
    masks: Callable[[tuple[int, int]], Bool[Tensor, "k m"]]
    strategy: Strategy
    forced: bool

    def sums(self, n_masks: int) -> Sums:
        """Sums over all masks, by hooks where they are proved right, else by zeroed weights."""
        if self.strategy.name == "hooks":
            done = self.batch.progress.n
            try:
                return self._by_hooks(n_masks)
            except Unproved as reason:
                if self.forced:
                    raise ValueError(f"strategy='hooks' cannot be used: {reason}; take 'auto' or 'weights'") from reason
                self.strategy.name, self.strategy.why = "weights", str(reason)
                self.batch.progress.update(done - self.batch.progress.n)
        return self._by_weights(n_masks)

    def _by_weights(self, n_masks: int) -> Sums:
        """One mask a pass, all images in it."""
        subject, limit = self.batch.subject, self.batch.limit
        inputs, targets = subject.inputs(self.batch.x_batch), subject.targets(self.batch.y_batch)
        sums = Sums.zeros(len(inputs), n_units(self.module))

        def weigh(chunk: Chunk) -> None:
            images, masks = slice(*chunk.images), self.masks(chunk.masks)
            keep(masks[0])
            confidence = subject.confidence(inputs[images], targets[images])
            attribution = subject.attribution(inputs[images].clone(), targets[images].clone())
            sums.add(chunk, masks, *self.batch.originals.compare(chunk, confidence, attribution))
            self.batch.progress.update(chunk.n_pairs)

        with zeroed_weights(self.module) as keep:
            for mask in range(n_masks):
                limit.run(weigh, Chunk((0, len(inputs)), (mask, mask + 1)))
        return sums

    def _by_hooks(self, n_masks: int) -> Sums:
        """Many pairs of image and mask a pass."""
        subject = self.batch.subject
        inputs, targets = subject.inputs(self.batch.x_batch), subject.targets(self.batch.y_batch)
        sums = Sums.zeros(len(inputs), n_units(self.module))

        def weigh(chunk: Chunk) -> None:
            images, masks = slice(*chunk.images), self.masks(chunk.masks)
            copies = inputs[images].repeat_interleave(chunk.n_masks, 0)
            classes = targets[images].repeat_interleave(chunk.n_masks)
            pairs = _Pairs(subject, self.module, copies, classes, masks.repeat(chunk.n_images, 1))
            size = chunk.n_images, chunk.n_masks
            known = size in self.strategy.proved
            found = pairs.masked(self.strategy.layouts[0])[:2] if known else self._proved(pairs)
            self.strategy.proved.add(size)
            sums.add(chunk, masks, *self.batch.originals.compare(chunk, *found))
            self.batch.progress.update(chunk.n_pairs)

        self.batch.limit.run(weigh, Chunk((0, len(inputs)), (0, n_masks)))
        return sums

    def _proved(self, pairs: "_Pairs") -> tuple[Tensor, Tensor]:
        """Predictions and explanations by hooks that agree with zeroed weights, in the layout that makes them agree."""
        failures: list[Unproved] = []
        for layout in self.strategy.layouts:
            confidence, attribution, repeats = pairs.masked(layout)
            try:
                pairs.check(confidence, attribution)
                self.strategy.why = f"agrees with zeroed weights (samples repeated up to {repeats} times, {layout})"
            except RandomMethod as failure:
                if not (self.forced and repeats == 1):
                    raise
                self.strategy.why = f"asked for; not checked, because {failure}"
            except Unproved as failure:
                failures.append(failure)
                continue
            self.strategy.layouts = (layout,)
            return confidence, attribution
        raise failures[0]


@dataclass(frozen=True)
class _Pairs:
    """Pairs of an input and a mask of one layer's units."""

    subject: Subject
    module: nn.Module
    inputs: Float[Tensor, "N *shape"]
    targets: Int64[Tensor, " N"]
    masks: Bool[Tensor, "N m"]

    def masked(self, layout: str) -> tuple[Tensor, Tensor, int]:
        """Predictions (N,) and explanations (N, n) by hooks, and how often the explanation method repeats samples."""
        with masked_units(self.module, self.masks, layout) as calls:
            try:
                confidence = self.subject.confidence(self.inputs, self.targets)
                attribution = self.subject.attribution(self.inputs.clone(), self.targets)
            except Exception as error:
                if calls.misfit is None:
                    raise
                raise Unproved(self._misfit(calls)) from error
        if calls.misfit is not None:
            raise Unproved(self._misfit(calls))
        if not calls.repeats:
            raise Unproved("the layer's weights are used without the layer being called")
        return confidence, attribution, max(calls.repeats)

    def _misfit(self, calls: MaskedCalls) -> str:
        return f"the layer is given {calls.misfit} samples where {len(self.inputs)} inputs are explained"

    def check(self, confidence: Float[Tensor, " N"], attribution: Float[Tensor, "N n"]) -> None:
        """Raise Unproved unless some of the pairs agree with really zeroed weights."""
        tolerance = 1e-4 if self.inputs.dtype.itemsize >= 4 else 2e-2
        rows = sorted({round(i * (len(self.inputs) - 1) / (_PROBES - 1)) for i in range(_PROBES)})
        with zeroed_weights(self.module) as keep:
            for row in rows:
                keep(self.masks[row])
                one = slice(row, row + 1)
                expected = self.subject.attribution(self.inputs[one].clone(), self.targets[one])
                if not _same(attribution[one], expected, tolerance):
                    if not _same(self.subject.attribution(self.inputs[one].clone(), self.targets[one]), expected, tolerance):
                        raise RandomMethod("explain_func gives different attributions for the same input")
                    raise Unproved("explanations differ from those with zeroed weights")
                prediction = self.subject.confidence(self.inputs[one], self.targets[one])
                if not torch.allclose(confidence[one], prediction, rtol=tolerance, atol=tolerance, equal_nan=True):
                    raise Unproved("predictions differ from those with zeroed weights")


def _same(found: Float[Tensor, "1 n"], expected: Float[Tensor, "1 n"], tolerance: float) -> bool:
    """Whether attributions are equal up to rounding, and in their ranks."""
    if found.isnan().any() or expected.isnan().any():
        return torch.equal(found.isnan(), expected.isnan())
    rho, constant = rank_correlation(centred_ranks(expected), found)
    alike = bool(constant) if has_no_ranks(centred_ranks(expected)) else bool(rho > 1 - tolerance)
    return alike and bool((found - expected).abs().max() <= tolerance * expected.abs().max())
