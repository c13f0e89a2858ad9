"""Surveys of models in which units of one layer are masked, by the fastest way that is proved right."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc._distinct import Known, first_of_each, mask_keys, number_keys
from quantus_senc._hook_proof import HookProof, proof_masks
from quantus_senc._model_passes import Disproved, ModelPasses, Pairs, Undecided
from quantus_senc._similarity import widest
from quantus_senc._survey import Survey
from quantus_senc._units import n_units, zeroed_weights

_N_OWN = 3  # masks of the run on which hooks are compared with zeroed weights
_Weigh = Callable[[Int64[Tensor, " b"], Bool[Tensor, "k m"]], Float[Tensor, "3 b k"]]


@dataclass(frozen=True)
class MaskedModels:
    """Models in which units of one layer are masked, on some images.

    Attributes
    ----------
    passes
        What they predict and explain.
    new_survey
        Starts a survey of masks that are the same for every image.
    """

    passes: ModelPasses
    new_survey: Callable[[], Survey]

    def by_weights(self, *, one_by_one: bool, repeats: bool) -> Survey:
        """All masks, one mask a pass, its weights really zeroed, on all images at once or one by one.

        Parameters
        ----------
        repeats
            Whether a mask gives the same again, so that each is weighed once.
        """
        passes, limit = self.passes, self.passes.batch.limit

        def weigh(images: Int64[Tensor, " b"], masks: Bool[Tensor, "k m"]) -> Float[Tensor, "3 b k"]:
            groups = images.split(1 if one_by_one else len(images))
            with zeroed_weights(passes.module) as keep:

                def step(mask: Bool[Tensor, " m"], group: Int64[Tensor, " n"], some: slice) -> Float[Tensor, "3 _"]:
                    keep(mask)  # here, because a pass that ran out of memory puts the whole model back
                    return passes.compared(group[some], passes.run(group[some]))

                runs = [[limit.run(partial(step, mask, group), len(group)) for group in groups] for mask in masks]
            return torch.stack([torch.cat([part for run in of_mask for part in run], -1) for of_mask in runs], -1)

        return self._surveyed(weigh, repeats=repeats)

    def by_hooks(self, *, check: bool = True) -> Survey:
        """All masks, many pairs of image and mask a pass.

        Raises
        ------
        Undecided, Disproved
            Unless hooks agree with zeroed weights wherever the two are compared, for every image: on masks that eliminate
            and keep every unit, on one that keeps a single unit, on the first ones of the run, and on the least common ones
            of the first pass of each size.
        """
        bar = self.passes.batch.progress
        done = bar.n
        try:
            return self._by_hooks(check=check)
        except (Undecided, Disproved):
            if not self.passes.reuse.active:
                raise
            self.passes.reuse.stop()  # which may be what differs
            bar.update(done - bar.n)
            return self._by_hooks(check=check)

    def _by_hooks(self, *, check: bool) -> Survey:
        passes = self.passes
        own = self.new_survey().masks(torch.zeros(1, dtype=torch.int64), (0, _N_OWN))[0]
        proof = HookProof.of(passes, proof_masks(own.shape[1], own)) if check else None

        def weigh(images: Int64[Tensor, " b"], masks: Bool[Tensor, "k m"]) -> Float[Tensor, "3 b k"]:
            numbers = images.tolist()

            def step(some: slice) -> Float[Tensor, "3 n"]:
                pairs = Pairs.of(images, numbers, masks, some)
                found = passes.hooked(pairs, proof.layout if proof else None)
                if proof:
                    proof.probe(pairs, found)
                return passes.compared(pairs.images, found)

            n_pairs = len(images) * len(masks)
            found = passes.batch.limit.run(step, n_pairs)
            if passes.reuse.failed():
                found = passes.batch.limit.run(step, n_pairs)
            return torch.cat(found, -1).unflatten(-1, (len(images), len(masks)))

        return self._surveyed(weigh, repeats=check)

    def _surveyed(self, weigh: _Weigh, *, repeats: bool) -> Survey:
        """All masks, of which those are weighed that are no repetition of others."""
        batch, survey, known = self.passes.batch, self.new_survey(), Known()
        for active, numbers in survey.rounds(batch.progress):
            images = active.to(batch.subject.device)
            for some in batch.limit.blocks(numbers, 1, n_units(self.passes.module)):
                masks, before = survey.masks(active, some), batch.progress.n
                shared = images[:1] * 0
                keys = (mask_keys(shared, masks) if repeats else number_keys(shared, some))[0]
                new = first_of_each(keys)
                new = new[~known.has(keys[new])]
                if len(new):
                    values = masks.new_full((3, len(batch.x_batch), len(new)), torch.nan, dtype=widest(masks.device))
                    values[:, images] = weigh(images, masks[0, new])
                    known.put(keys[new], values.flatten(0, 1).T)
                change, similarity, constant = known.get(keys).T.unflatten(0, (3, -1))[:, images]
                survey.add(active, some, masks, torch.stack([1 - change, similarity], 1), constant > 0)
                batch.progress.update(len(active) * len(keys) - (batch.progress.n - before))
        return survey
