"""Do hooks give what zeroed weights give? A few masks tell, before the run and during it."""

from dataclasses import dataclass, field
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.ranks import widest
from quantus_senc.core.same_result import NETWORK_ROUNDING, OPERATION_ROUNDING, largest_finite, same_attributions
from quantus_senc.metrics.masked_layers import Failure, MaskedLayer
from quantus_senc.model.explained_model import Outputs

_LAYOUTS = ("tiled", "interleaved")
_N_PROBES = 3  # masks of the first pass of each size on which hooks are compared with zeroed weights
_SHARE = 0.01  # how large a difference may be, as a share of what masking changes
_MOST_ROUNDING = NETWORK_ROUNDING / 2  # of the largest value, where rounding is seen to move what zeroed weights give


@dataclass(frozen=True, eq=False)
class HookCheck:
    """Comparisons of hooks with zeroed weights.

    Attributes
    ----------
    layer
        The masked layer.
    layout
        In which they agreed; see `masked_units`.
    effects
        How much masking changes prediction and explanation of each image.
    probed
        Images, each with the size of a pass in which it has been compared.
    """

    layer: MaskedLayer
    layout: str
    effects: Float[Tensor, "2 B"]
    probed: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def start(cls, layer: MaskedLayer, masks: Bool[Tensor, "k m"]) -> "HookCheck | Failure":
        """Compare hooks with zeroed weights on some masks and every image, in either layout."""
        failures: list[Failure] = []
        for layout in _LAYOUTS:
            layer.layers_once.differed.clear()  # what another layout takes for copies are none of this layout
            effects = torch.zeros(2, len(layer.batch.inputs), dtype=widest(masks.device), device=masks.device)
            check = cls(layer, layout, effects)
            failure = check._compare_all(masks)
            if failure is None:
                return check
            failures.append(failure)
        return next((failure for failure in failures if not failure.disproved), failures[0])

    def _compare_all(self, masks: Bool[Tensor, "k m"]) -> Failure | None:
        """Compare all pairs of image and mask, and note how much masking changes."""
        limit, device, k = self.layer.batch.limit, masks.device, len(masks)
        telling = torch.zeros((), dtype=torch.bool, device=device)
        for images in torch.arange(len(self.layer.batch.inputs)).split(max(limit.size // k, 1)):
            each, mask = images.repeat_interleave(k), torch.arange(k).repeat(len(images))
            passes = limit.run(partial(self._hook, each, masks, mask), len(each))
            failure = next((outputs for outputs in passes if isinstance(outputs, Failure)), None)
            if failure is not None:
                return failure
            outputs = [outputs for outputs in passes if not isinstance(outputs, Failure)]
            hooked = torch.cat([predictions for predictions, _ in outputs]), torch.cat([maps for _, maps in outputs])
            predictions, maps = self.layer.zeroed(images.to(device), masks)
            self.effects[0, images] = (predictions.amax(1) - predictions.amin(1)).to(self.effects)
            self.effects[1, images] = (maps.amax(1) - maps.amin(1)).amax(-1).to(self.effects)
            truths = predictions.flatten(), maps.flatten(0, 1)
            failure = self._compare(hooked, truths, each, each, masks, mask)
            if failure is not None:
                return failure
            telling = telling | (self.effects[1, images] > OPERATION_ROUNDING * maps.abs().amax((1, 2))).any()
        if not telling:
            return Failure("explanations do not change with the masks that hooks are checked on", disproved=False)
        return None

    def _hook(
        self, images: Int64[Tensor, " n"], masks: Bool[Tensor, "k m"], mask: Int64[Tensor, " n"], some: slice
    ) -> Outputs | Failure:
        return self.layer.hooked(images[some], masks[mask[some]], self.layout)

    @stage("checks")
    def probe(self, images: Int64[Tensor, " p"], masks: Bool[Tensor, "p m"], outputs: Outputs) -> Failure | None:
        """Compare some pairs of a pass, if it holds images that were in no pass of this size."""
        n = len(images)
        while fresh := {(image, n) for image in images.unique_consecutive().tolist()} - self.probed:
            chosen, same = _least_common(masks, (images == min(fresh)[0]).to(masks.device))
            rows, mask = (place.cpu() for place in same.nonzero().T)
            mine, place = images[rows].unique(return_inverse=True)
            predictions, maps = self.layer.zeroed(mine.to(masks.device), masks[chosen])
            hooked, truths = (outputs[0][rows], outputs[1][rows]), (predictions[place, mask], maps[place, mask])
            failure = self._compare(hooked, truths, images[rows], images, masks[chosen], mask, rows)
            if failure is not None:
                return failure
            self.probed.update((image, n) for image in mine.tolist())
        return None

    def _compare(
        self,
        hooked: Outputs,
        truths: Outputs,
        images: Int64[Tensor, " n"],
        company: Int64[Tensor, " c"],
        masks: Bool[Tensor, "k m"],
        mask: Int64[Tensor, " n"],
        rows: Int64[Tensor, " n"] | slice = slice(None),
    ) -> Failure | None:
        """Say why pairs, by hooks, are not what zeroed weights give; None if they are.

        Sums in another order, as in a batch of another size, may put a ReLU on the other side of its kink. Where there is a
        difference, zeroed weights are therefore run on all images in the pass, the `company`, which takes longer. How far
        that moves what they give is no more than rounding.

        Parameters
        ----------
        images, mask
            The image of each pair, and its mask's row in `masks`.
        rows
            Where it was in the pass.
        """
        effects = self.effects[:, images]
        failure = _difference(hooked, truths, effects)
        if failure is None:
            return None
        device = masks.device
        each = torch.arange(len(mask), device=device), mask.to(device)
        predictions, maps = (values[rows][each] for values in self.layer.zeroed(company.to(device), masks))
        together = (predictions, maps)
        moved = [
            4 * (alone - beside).nan_to_num().abs().reshape(len(mask), -1).amax(-1)
            for alone, beside in zip(truths, together, strict=True)
        ]
        return _difference(hooked, together, effects, moved)


def _least_common(masks: Bool[Tensor, "p m"], eligible: Bool[Tensor, " p"]) -> tuple[Int64[Tensor, " k"], Bool[Tensor, "p k"]]:
    """First, middle and last of the eligible masks that are least common, and which others equal each."""
    _, kinds, counts = masks.unique(dim=0, return_inverse=True, return_counts=True)
    places = eligible.nonzero()[:, 0]
    how_common = counts[kinds[places]]
    rare = places[how_common <= how_common.sort().values[:_N_PROBES].max()]
    chosen = rare[torch.linspace(0, len(rare) - 1, _N_PROBES).round().long()].unique()
    return chosen, kinds[:, None] == kinds[chosen]


def _difference(
    hooked: Outputs, truths: Outputs, effects: Float[Tensor, "2 n"], moved: list[Float[Tensor, " n"]] | None = None
) -> Failure | None:
    """Say how values differ by more than rounding, by more than a little of what masking changes, or in rank.

    Parameters
    ----------
    moved
        How far rounding is known to move them.
    """
    for index, (values, truth, effect) in enumerate(zip(hooked, truths, effects, strict=True)):
        values, truth = values.reshape(len(effect), -1), truth.reshape(len(effect), -1)
        if not torch.equal(_not_finite(values), _not_finite(truth)):
            return Failure("NaN or infinity stands elsewhere than with zeroed weights", disproved=True)
        most, largest = (values - truth).where(truth.isfinite(), 0).abs().amax(-1), largest_finite(truth)
        if (most > NETWORK_ROUNDING * largest).any():
            return Failure("predictions or explanations differ from those with zeroed weights", disproved=True)
        least = OPERATION_ROUNDING * largest
        rounding = least if moved is None else moved[index].clamp(least, _MOST_ROUNDING * largest)
        if (most > torch.maximum(_SHARE * effect.nan_to_num(), rounding)).any():
            return Failure("masking changes too little to tell hooks from zeroed weights", disproved=False)
        if not same_attributions(truth, values, torch.zeros_like(rounding) if moved is None else rounding).all():
            return Failure("many attributions are too small to tell hooks from zeroed weights", disproved=False)
    return None


def _not_finite(values: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """0 for finite values, 1 and -1 for infinite ones, 2 for NaN."""
    return values.where(~values.isfinite(), 0).nan_to_num(nan=2, posinf=1, neginf=-1)
