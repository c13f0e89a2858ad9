"""As many masks as it takes: rounds of masks for the images that are not done, their sums, and what these amount to."""

import math
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc._consistency import Sensitivity
from quantus_senc._estimators import Estimate, LeastSquares, affords_pairs, every_mask_limit, paper
from quantus_senc._masks import MaskDesign
from quantus_senc._plan import FIRST_CHECK, Plan
from quantus_senc._sensitivity import Sums, n_terms, terms

_GROWTH = 1.5  # of the number of masks, from one look at the standard errors to the next


class Survey:
    """Masks of some images, round by round, and what comes of them.

    Parameters
    ----------
    plan
        How sensitivities are estimated.
    design
        The masks of each image; of one for all, where they share them.
    rounding
        How wrong rounding can make the two weights of a mask, for each image.
    unranked
        Which images have an unperturbed attribution without ranks.
    """

    def __init__(self, plan: Plan, design: MaskDesign, rounding: Float64[Tensor, "B 2"], unranked: Bool[Tensor, " B"]) -> None:
        self.plan = plan
        self.design = design
        self.rounding = rounding
        self.unranked = unranked
        self.shared = len(design.n_masks) < len(rounding)
        self.counts = design.free.sum(1).tolist()
        self.n_free = max(self.counts)
        self.n_paired = max(count * self._fits_pairs(row, plan.most_masks) for row, count in enumerate(self.counts))
        self.sums = Sums.zeros(len(rounding), n_terms(self.n_free, self.n_paired))

    def rounds(self, progress: "tqdm[Any]") -> Iterator[tuple[Int64[Tensor, " b"], tuple[int, int]]]:
        """Images that are not done, and the range of masks that they get next."""
        start, check = 0, FIRST_CHECK
        active = list(range(len(self.rounding)))
        while active:
            stop = min(self.design.n_masks[self._row(image)] for image in active)
            stop = min(stop, check) if self.plan.checked else stop
            yield torch.tensor(active), (start, stop)
            start = stop
            active = [image for image in active if self.design.n_masks[self._row(image)] > start]
            if start == check:
                check = int(_GROWTH * check)
                sure = self._sure(active, progress)
                progress.total -= sum(self.design.n_masks[self._row(image)] - start for image in sure)
                active = [image for image in active if image not in sure]

    def masks(self, images: Int64[Tensor, " b"], numbers: tuple[int, int]) -> Bool[Tensor, "#b k m"]:
        """Masks of some images; of one, where all share them."""
        device = self.design.streams.device
        return self.design.masks(self._rows(images).to(device), torch.arange(*numbers, device=device))

    def add(
        self,
        images: Int64[Tensor, " b"],
        numbers: tuple[int, int],
        masks: Bool[Tensor, "#b k m"],
        weights: Float[Tensor, "b 2 k"],
        constant: Bool[Tensor, "b k"],
    ) -> None:
        """Add masks, each times its weights, and count the constant attributions."""
        rows = self._rows(images).to(masks.device)
        free = self.design.free[rows, None]
        found = terms(masks, free, self.plan.mask_rate, self.n_free, self.n_paired)
        shares = self.design.shares(rows, masks)
        self.sums.add(images, Sums.of(found, shares, torch.arange(*numbers, device=masks.device), weights, constant))

    def records(self, label_maps: Int64[Tensor, "B *spatial"] | None = None) -> list[Sensitivity]:
        """What was found for each image."""
        estimates = self._estimates(list(range(len(self.rounding))))
        labels = [None] * len(estimates) if label_maps is None else list(label_maps)
        found = zip(labels, estimates, self.sums.n_masks.tolist(), self.sums.n_constant.tolist(), strict=True)
        return [Sensitivity.of(*one) for one in found]

    def _row(self, image: int) -> int:
        return 0 if self.shared else image

    def _rows(self, images: Int64[Tensor, " b"]) -> Int64[Tensor, " r"]:
        return images[:1] * 0 if self.shared else images

    def _fits_pairs(self, row: int, n_masks: int) -> bool:
        drawn = self.plan.estimator == "regression" and not self.design.complete[row]
        return drawn and affords_pairs(self.counts[row], n_masks)

    def _sure(self, images: list[int], progress: "tqdm[Any]") -> list[int]:
        """Which images have a standard error within the tolerance; the progress bar shows the mean of all."""
        drawn = [image for image in images if not self.design.complete[self._row(image)]]
        errors = [Sensitivity.of(None, estimate, 0, 0).standard_error for estimate in self._estimates(drawn)]
        known = [error for error in errors if not math.isnan(error)]
        if known:
            progress.set_postfix_str(f"standard error {sum(known) / len(known):.3f}")
        return [image for image, error in zip(drawn, errors, strict=True) if error <= (self.plan.tolerance or 0)]

    def _estimates(self, images: list[int]) -> list[Estimate]:
        """Sensitivities of some images; those that had the same masks are found together."""
        n_masks = self.sums.n_masks.tolist()
        key = (lambda image: n_masks[image]) if self.shared else (lambda image: image)
        found: dict[int, tuple[Tensor, Tensor]] = {}
        for _, group in groupby(sorted(images, key=key), key):
            same = list(group)
            found |= dict(zip(same, zip(*self._sensitivities(same, n_masks[same[0]]), strict=True), strict=True))
        return [self._estimate(image, *found[image]) for image in images]

    def _sensitivities(self, images: list[int], n_masks: int) -> tuple[Float64[Tensor, "b 2 m"], Float64[Tensor, "b G 2 m"]]:
        """Sensitivities of images that had the same masks, and how much each block of masks changes them."""
        row = self._row(images[0])
        count, free = self.counts[row], self.design.free[row].cpu()
        sums = self.sums.blocks[images]
        linear, kept = sums[..., : 1 + count], 1 - self.plan.mask_rate
        if self.design.complete[row]:
            values = every_mask_limit(linear, self.plan.mask_rate)
            deviations = torch.zeros_like(linear[..., 1:])
        elif self.plan.estimator == "paper":
            values, deviations = paper(linear, n_masks)
        else:
            n_paired = count * self._fits_pairs(row, n_masks)
            pairs = sums[..., 1 + self.n_free : n_terms(self.n_free, n_paired)]
            values, deviations = self._regression(row, torch.cat([linear, pairs], -1), n_masks, n_paired)
        values, deviations = _spread(values, free), _spread(deviations, free)
        if self.design.complete[row] and self.plan.estimator == "paper":
            values = kept * linear[..., :1].sum(1) + kept * self.plan.mask_rate * values
        return values, deviations

    def _regression(
        self, row: int, sums: Float64[Tensor, "b G 2 t"], n_masks: int, n_paired: int
    ) -> tuple[Float64[Tensor, "b 2 m"], Float64[Tensor, "b G 2 m"]]:
        device, count = self.design.streams.device, self.counts[row]
        one = torch.tensor([row], device=device)

        def rows(numbers: Int64[Tensor, " k"]) -> Float64[Tensor, "k t"]:
            masks = self.design.masks(one, numbers.to(device))
            return terms(masks, self.design.free[one, None], self.plan.mask_rate, count, n_paired)[0].cpu().double()

        fit = LeastSquares.fit(rows, n_masks, sums.permute(1, 3, 0, 2).flatten(2))
        coefficients = fit.coefficients[1 : 1 + count].unflatten(1, (-1, 2))
        deviations = fit.deviations[:, 1 : 1 + count].unflatten(2, (-1, 2))
        return coefficients.permute(1, 2, 0), deviations.permute(2, 0, 3, 1)

    def _estimate(self, image: int, values: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"]) -> Estimate:
        sums, plan, complete = self.sums, self.plan, self.design.complete[self._row(image)]
        lowest, highest, rounding = sums.lowest[image], sums.highest[image], self.rounding[image]
        unchanged = (highest - lowest <= 2 * rounding) & plan.tells_changes
        reasons = {
            "NaN in the prediction": lowest[0].isnan(),
            "NaN in the attribution": lowest[1].isnan(),
            "a constant attribution": self.unranked[image],
            "an attribution that is constant under every mask": sums.n_constant[image] == sums.n_masks[image],
            "a prediction that no mask changes": unchanged[0],
            "an explanation that no mask changes": unchanged[1],
            "masks that do not tell its features apart": values.isnan().any(),
        }
        scale = 1.0
        if plan.estimator == "paper":  # S_k is about n p (1 - p) times the coefficient of feature k
            scale = plan.mask_rate * (1 - plan.mask_rate) * (1 if complete else int(sums.n_masks[image]))
        undefined = next((reason for reason, applies in reasons.items() if applies), "")
        return Estimate(values, deviations, scale * rounding, undefined)


def _spread(values: Float64[Tensor, "*n l"], free: Bool[Tensor, " m"]) -> Float64[Tensor, "*n m"]:
    """Values of the free features at their places, and 0 at the others'."""
    spread = values.new_zeros(*values.shape[:-1], len(free))
    spread[..., free] = values
    return spread
