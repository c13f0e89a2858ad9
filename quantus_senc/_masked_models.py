"""Predictions and explanations of models in which units of one layer are masked, by the fastest way that is proved right."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from quantus_senc._batch import Batch
from quantus_senc._chunks import Chunk
from quantus_senc._masks import keep_masks
from quantus_senc._similarity import centred_ranks, ranked_alike
from quantus_senc._survey import Survey
from quantus_senc._units import masked_units, n_units, zeroed_weights

_LAYOUTS = ("tiled", "interleaved")
_N_PROBES = 3  # masks of the run, and of the first chunk of each size, on which hooks are compared with zeroed weights
_SHARE = 0.01  # how large a difference may be, as a share of what masking changes
_ROUNDING = 1e-6  # and how large in any case, relative to the values


class Undecided(Exception):
    """Whether masking by hooks gives what zeroed weights give cannot be told; the message says why."""


class Disproved(Exception):
    """Masking by hooks gives something else than zeroed weights; the message says what."""


@dataclass(frozen=True)
class MaskedModels:
    """Models in which units of one layer are masked, on some images.

    Attributes
    ----------
    batch
        The images.
    module
        The layer.
    new_survey
        Starts a survey of masks that are the same for every image.
    """

    batch: Batch
    module: nn.Module
    new_survey: Callable[[], Survey]

    def by_weights(self, *, one_by_one: bool) -> Survey:
        """All masks, one mask a pass, its weights really zeroed, on all images at once or one by one."""
        inputs, targets = self._inputs()
        survey = self.new_survey()

        def weigh(active: Int64[Tensor, " b"], chunk: Chunk) -> None:
            images = active[slice(*chunk.images)]
            mask = survey.masks(images, chunk.masks)
            keep(mask[0, 0])  # here, because a pass that ran out of memory puts the whole model back
            self._add(survey, images, chunk, mask, *self._run(inputs[images], targets[images]))

        with zeroed_weights(self.module) as keep:
            for active, numbers in survey.rounds(self.batch.progress):
                for number in range(*numbers):
                    whole = Chunk((0, len(active)), (number, number + 1))
                    for chunk in whole.split(1) if one_by_one else [whole]:
                        self.batch.limit.run(partial(weigh, active), chunk)
        return survey

    def by_hooks(self, *, check: bool = True) -> Survey:
        """All masks, many pairs of image and mask a pass.

        Raises
        ------
        Undecided, Disproved
            Unless hooks agree with zeroed weights wherever the two are compared, for every image: on masks that eliminate
            and keep every unit, on one that keeps a single unit, on the first ones of the run, and on the least common ones
            of the first chunk of each size.
        """
        inputs, targets = self._inputs()
        survey = self.new_survey()
        layout, effects = self._proved_layout(inputs, targets) if check else (None, torch.zeros(2, len(inputs)))
        checked: set[tuple[tuple[int, ...], int]] = set()

        def weigh(active: Int64[Tensor, " b"], chunk: Chunk) -> None:
            images = active[slice(*chunk.images)]
            masks = survey.masks(images, chunk.masks)
            found = self._run_hooked(inputs[images], targets[images], masks[0], layout)
            passed = (tuple(images.tolist()), chunk.n_masks)
            if check and passed not in checked:
                self._probe(inputs[images], targets[images], masks[0], found, effects[:, images])
                checked.add(passed)
            self._add(survey, images, chunk, masks, *found)

        for active, numbers in survey.rounds(self.batch.progress):
            self.batch.limit.run(partial(weigh, active), Chunk((0, len(active)), numbers))
        return survey

    def _add(
        self,
        survey: Survey,
        images: Int64[Tensor, " b"],
        chunk: Chunk,
        masks: Bool[Tensor, "1 k m"],
        confidence: Tensor,
        maps: Tensor,
    ) -> None:
        """Weigh the masks of a chunk and add them."""
        attribution = self.batch.subject.ready(maps)
        survey.add(images, chunk.masks, masks, *self.batch.originals.compare(images, confidence[:, 0], attribution))
        self.batch.progress.update(chunk.n_pairs)

    def _inputs(self) -> tuple[Tensor, Tensor]:
        subject = self.batch.subject
        return subject.inputs(self.batch.x_batch), subject.targets(self.batch.y_batch)

    def _run(self, inputs: Tensor, targets: Tensor) -> tuple[Float[Tensor, "N 1"], Float[Tensor, "N n"]]:
        """Predictions for the explained classes, and attributions as they come: normalising may mix the samples."""
        confidence, maps = self.batch.passes.both(inputs.clone, targets)
        return confidence[:, None], maps.flatten(1)

    def _run_hooked(
        self, inputs: Tensor, targets: Tensor, masks: Bool[Tensor, "k m"], layout: str | None
    ) -> tuple[Float[Tensor, "N 1"], Float[Tensor, "N n"]]:
        """The same for every pair of an input and a mask; without a layout, repeated samples are an error."""
        pairs = masks.repeat(len(inputs), 1)
        copies, classes = inputs.repeat_interleave(len(masks), 0), targets.repeat_interleave(len(masks))
        with masked_units(self.module, pairs, layout or "tiled") as calls:
            try:
                found = self._run(copies, classes)
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

    def _proved_layout(self, inputs: Tensor, targets: Tensor) -> tuple[str, Float[Tensor, "2 B"]]:
        """The layout in which hooks agree with zeroed weights, and how much masking changes P and e of each image."""
        failures: list[Exception] = []
        for layout in _LAYOUTS:
            try:
                return layout, self._proof(inputs, targets, layout)
            except (Undecided, Disproved) as failure:
                failures.append(failure)
        raise next((failure for failure in failures if isinstance(failure, Undecided)), failures[0])

    def _proof(self, inputs: Tensor, targets: Tensor, layout: str) -> Float[Tensor, "2 B"]:
        """How much masking changes P and e of each image, if hooks agree with zeroed weights on all of them."""
        masks = self._proof_masks(inputs.device)
        effects = torch.zeros(2, len(inputs), device=inputs.device)
        telling: list[bool] = []

        def prove(chunk: Chunk) -> None:
            images, some = slice(*chunk.images), slice(*chunk.masks)
            truths = self._truths(inputs[images], targets[images], masks)
            found = self._run_hooked(inputs[images], targets[images], masks[some], layout)
            for part, (values, truth) in enumerate(zip(found, truths, strict=True)):
                effects[part, images] = effect = (truth.amax(1) - truth.amin(1)).amax(-1)
                _check_same(values.view_as(truth[:, some]), truth[:, some], effect)
            telling.append(bool((effect > _ROUNDING * truth.abs().amax((1, 2))).any()))

        self.batch.limit.run(prove, Chunk((0, len(inputs)), (0, len(masks))))
        if not any(telling):
            raise Undecided("explanations do not change with the masks that hooks are checked on")
        return effects

    def _proof_masks(self, device: torch.device) -> Bool[Tensor, "k m"]:
        """Two masks and their complements, so that every unit is eliminated and kept; a single unit; some of the run's."""
        m = n_units(self.module)
        own = self.new_survey().masks(torch.zeros(1, dtype=torch.int64), (0, _N_PROBES))[0]
        single = torch.arange(m, device=device) == m // 2
        alternate = torch.arange(m, device=device) % 2 == 0
        halves = keep_masks(0, torch.zeros((), dtype=torch.int64), torch.zeros((), dtype=torch.int64), m, 0.5).to(device)
        return torch.cat([torch.stack([alternate, halves, ~alternate, ~halves, single]), own])

    def _truths(self, inputs: Tensor, targets: Tensor, masks: Bool[Tensor, "k m"]) -> list[Float[Tensor, "b k _"]]:
        """Predictions and attributions of every input under every mask, by zeroed weights."""
        runs = []
        with zeroed_weights(self.module) as keep:
            for mask in masks:
                keep(mask)
                runs.append(self._run(inputs, targets))
        return [torch.stack(part, 1) for part in zip(*runs, strict=True)]

    def _probe(
        self,
        inputs: Tensor,
        targets: Tensor,
        masks: Bool[Tensor, "k m"],
        found: tuple[Tensor, Tensor],
        effects: Float[Tensor, "2 b"],
    ) -> None:
        """Compare some pairs of a chunk with zeroed weights: first, middle and last of the masks that are least common."""
        _, kinds, counts = masks.unique(dim=0, return_inverse=True, return_counts=True)
        how_common = counts[kinds]
        rare = (how_common <= how_common.sort().values[:_N_PROBES].max()).nonzero()[:, 0]
        rarest = rare[torch.linspace(0, len(rare) - 1, _N_PROBES).round().long()].unique()
        truths = self._truths(inputs, targets, masks[rarest])
        for values, truth, effect in zip(found, truths, effects, strict=True):
            _check_same(values.unflatten(0, (len(inputs), len(masks)))[:, rarest], truth, effect)


def _check_same(found: Float[Tensor, "b k n"], expected: Float[Tensor, "b k n"], effect: Float[Tensor, " b"]) -> None:
    """Raise Undecided or Disproved unless values differ by rounding, by little of what masking changes, and not in rank."""
    if not torch.equal(found.isnan(), expected.isnan()):
        raise Disproved("NaN stands elsewhere than with zeroed weights")
    difference = (found - expected).nan_to_num().abs().amax(-1)
    size = expected.nan_to_num().abs().amax(-1)
    if (difference > 1e-4 * size).any():
        raise Disproved("predictions or explanations differ from those with zeroed weights")
    if (difference > torch.maximum(_SHARE * effect.nan_to_num()[:, None], _ROUNDING * size)).any():
        raise Undecided("masking changes too little to tell hooks from zeroed weights")
    if not ranked_alike(centred_ranks(expected), found).all():
        raise Undecided("many attributions are too small to tell hooks from zeroed weights")
