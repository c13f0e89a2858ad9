"""Are masks by hooks what zeroed weights are? A few masks tell."""

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._masks import keep_masks
from quantus_senc._model_passes import Disproved, ModelPasses, Outputs, Pairs, Undecided
from quantus_senc._similarity import ranked_alike, widest

_LAYOUTS = ("tiled", "interleaved")
_N_PROBES = 3  # masks of the first pass of each size on which hooks are compared with zeroed weights
_SHARE = 0.01  # how large a difference may be, as a share of what masking changes
_ROUNDING = 1e-6  # and how large in any case, relative to the values
_MOST_ROUNDING = 5e-5  # and how large where rounding is seen to move what zeroed weights give


@dataclass(frozen=True)
class HookProof:
    """Comparisons of hooks with zeroed weights.

    Attributes
    ----------
    passes
        Of the layer's masked models.
    layout
        In which they agreed; see `masked_units`.
    effects
        How much masking changes P and e of each image.
    probed
        Images, and with how many samples in a pass they have been compared.
    """

    passes: ModelPasses
    layout: str
    effects: Float[Tensor, "2 B"]
    probed: set[tuple[int, int]] = field(default_factory=set)

    @classmethod
    def of(cls, passes: ModelPasses, masks: Bool[Tensor, "k m"]) -> "HookProof":
        """The proof that hooks do, on some masks and on every image.

        Raises
        ------
        Undecided, Disproved
            If there is none.
        """
        failures: list[Exception] = []
        for layout in _LAYOUTS:
            passes.reuse.differed.clear()  # what another layout takes for copies is none of this one's
            try:
                proof = cls(passes, layout, torch.zeros(2, len(passes.inputs), dtype=widest(masks.device), device=masks.device))
                proof._compare_all(masks)
            except (Undecided, Disproved) as failure:
                failures.append(failure)
            else:
                return proof
        raise next((failure for failure in failures if isinstance(failure, Undecided)), failures[0])

    def _compare_all(self, masks: Bool[Tensor, "k m"]) -> None:
        """Compare all pairs of image and mask, and note how much masking changes."""
        limit, telling = self.passes.batch.limit, []
        every, which = torch.arange(len(self.passes.inputs), device=masks.device), torch.arange(len(masks), device=masks.device)
        for images in every.split(max(limit.size // len(masks), 1)):
            numbers, n_pairs = images.tolist(), len(images) * len(masks)

            def hooked(some: slice, images: Tensor = images, numbers: list[int] = numbers) -> Outputs:
                return self.passes.hooked(Pairs.of(images, numbers, masks, some), self.layout)

            found = [torch.cat(part) for part in zip(*limit.run(hooked, n_pairs), strict=True)]
            truths = self.passes.zeroed(images, masks)
            for part, truth in zip(self.effects, truths, strict=True):
                part[images] = (truth.amax(1) - truth.amin(1)).amax(-1).to(part)
            own = images.repeat_interleave(len(masks))
            self._compare(found, [truth.flatten(0, 1) for truth in truths], own, own, masks, which.repeat(len(images)))
            telling.append(self.effects[1, images] > _ROUNDING * truths[1].abs().amax((1, 2)))
        if not torch.cat(telling).any():
            raise Undecided("explanations do not change with the masks that hooks are checked on")

    def probe(self, pairs: Pairs, found: Outputs) -> None:
        """Compare some pairs of a pass, if images are in it that were in none of its size.

        Raises
        ------
        Undecided, Disproved
            If they differ.
        """
        images, masks, n = pairs.images, pairs.masks, len(pairs.images)
        while fresh := {(image, n) for image in pairs.there} - self.probed:
            chosen, same = _least_common(masks, images == min(fresh)[0])
            rows, which = same.nonzero().T
            own, place = images[rows].unique(return_inverse=True)
            truths = [truth[place, which] for truth in self.passes.zeroed(own, masks[chosen])]
            self._compare([part[rows] for part in found], truths, images[rows], images, masks[chosen], which, rows)
            self.probed.update((image, n) for image in own.tolist())

    def _compare(
        self,
        found: list[Float[Tensor, "n _"]],
        truths: list[Float[Tensor, "n _"]],
        images: Int64[Tensor, " n"],
        company: Int64[Tensor, " N"],
        masks: Bool[Tensor, "k m"],
        which: Int64[Tensor, " n"],
        rows: Int64[Tensor, " n"] | slice = slice(None),
    ) -> None:
        """Raise Undecided or Disproved unless pairs, by hooks, are what zeroed weights give.

        Sums in another order, as in a batch of another size, may put a ReLU on the other side of its kink. Where there is a
        difference, zeroed weights are therefore tried on all images in the pass, the `company`, which takes longer. How far
        that moves what they give is no more than rounding.

        Parameters
        ----------
        images, which
            The image of each pair, and its mask.
        rows
            Where it was in the pass.
        """
        effects = self.effects[:, images]
        try:
            _check_same(found, truths, effects)
        except (Undecided, Disproved):
            together = [truth[rows] for truth in self.passes.zeroed(company, masks)]
            together = [truth[torch.arange(len(which)), which] for truth in together]
            moved = [4 * (a - b).nan_to_num().abs().amax(-1) for a, b in zip(truths, together, strict=True)]
            _check_same(found, together, effects, moved)


def proof_masks(n_units: int, own: Bool[Tensor, "k m"]) -> Bool[Tensor, "_ m"]:
    """Two masks and their complements, so that every unit is eliminated and kept; a single unit; some of the run's own."""
    units, zero = torch.arange(n_units, device=own.device), torch.zeros((), dtype=torch.int64, device=own.device)
    alternate, halves = units % 2 == 0, keep_masks(0, zero, zero, n_units, 0.5)
    return torch.cat([torch.stack([alternate, halves, ~alternate, ~halves, units == n_units // 2]), own])


def _least_common(masks: Bool[Tensor, "N m"], eligible: Bool[Tensor, " N"]) -> tuple[Int64[Tensor, " k"], Bool[Tensor, "N k"]]:
    """First, middle and last of the eligible masks that are least common, and which others equal each."""
    _, kinds, counts = masks.unique(dim=0, return_inverse=True, return_counts=True)
    own = eligible.nonzero()[:, 0]
    how_common = counts[kinds[own]]
    rare = own[how_common <= how_common.sort().values[:_N_PROBES].max()]
    chosen = rare[torch.linspace(0, len(rare) - 1, _N_PROBES).round().long()].unique()
    return chosen, kinds[:, None] == kinds[chosen]


def _check_same(
    found: list[Float[Tensor, "n _"]],
    expected: list[Float[Tensor, "n _"]],
    effects: Float[Tensor, "2 n"],
    moved: list[Float[Tensor, " n"]] | None = None,
) -> None:
    """Raise Undecided or Disproved unless values differ by rounding, by little of what masking changes, and not in rank.

    Parameters
    ----------
    moved
        How far rounding is known to move them.
    """
    for part, (values, truth, effect) in enumerate(zip(found, expected, effects, strict=True)):
        if not torch.equal(values.isnan(), truth.isnan()):
            raise Disproved("NaN stands elsewhere than with zeroed weights")
        most, largest = (one.nan_to_num().abs().amax(-1) for one in (values - truth, truth))
        if (most > 1e-4 * largest).any():
            raise Disproved("predictions or explanations differ from those with zeroed weights")
        rounding = _ROUNDING * largest if moved is None else moved[part].clamp(_ROUNDING * largest, _MOST_ROUNDING * largest)
        if (most > torch.maximum(_SHARE * effect.nan_to_num(), rounding)).any():
            raise Undecided("masking changes too little to tell hooks from zeroed weights")
        if not ranked_alike(truth, values, None if moved is None else rounding).all():
            raise Undecided("many attributions are too small to tell hooks from zeroed weights")
