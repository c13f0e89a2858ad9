"""As many masks as it takes: rounds of masks for the images that are not done, their sums, and what these amount to."""

import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc._consistency import CONSTANT, FINAL, NAN_ATTRIBUTION, NAN_PREDICTION, Sensitivity
from quantus_senc._estimators import Estimate, LeastSquares, affords_pairs, enough_masks, every_mask_limit, paper
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
    labels
        Where the features of each image are; None for the units of a layer.
    originals
        The unperturbed predictions, on the host.
    unranked
        Which images have an unperturbed attribution without ranks.
    rounding
        How wrong the weights of a mask may be: for the prediction, relative to it.
    """

    def __init__(
        self,
        plan: Plan,
        design: MaskDesign,
        labels: Int64[Tensor, "B *spatial"] | None,
        originals: Float64[Tensor, " B"],
        unranked: Bool[Tensor, " B"],
        rounding: float,
    ) -> None:
        self.plan = plan
        self.design = design
        self.labels = [None] * len(originals) if labels is None else list(labels)
        self.originals = originals
        self.unranked = unranked
        self.rounding = rounding
        self.shared = len(design.n_masks) < len(originals)
        self.counts = design.free.sum(1).tolist()
        self.n_free = max(self.counts)
        self.n_paired = max(count * self._fits_pairs(row, plan.most_masks) for row, count in enumerate(self.counts))
        self.sums = Sums.zeros(len(originals), n_terms(self.n_free, self.n_paired))

    def rounds(self, progress: "tqdm[Any]") -> Iterator[tuple[Int64[Tensor, " b"], tuple[int, int]]]:
        """Images that are not done, and the range of masks that they get next."""
        start, check = 0, FIRST_CHECK
        active = list(range(len(self.labels)))
        while active:
            stop = min(self._n_masks(image) for image in active)
            stop = min(stop, check) if self.plan.checked else stop
            yield torch.tensor(active), (start, stop)
            start = stop
            active = [image for image in active if self._n_masks(image) > start]
            if start == check:
                check = int(_GROWTH * check)
                done = self._done(active, progress)
                progress.total -= sum(self._n_masks(image) - start for image in done)
                active = [image for image in active if image not in done]

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
        found = terms(masks, self.design.free[rows, None], self.plan.mask_rate, self.n_free, self.n_paired)
        self.sums.add(images, numbers, found, weights, self.design.shares(rows, masks), constant)

    def records(self, images: list[int] | None = None) -> list[Sensitivity]:
        """What was found for some images; for all of them by default."""
        images = list(range(len(self.labels))) if images is None else images
        n_masks, n_constant = self.sums.n_masks.tolist(), self.sums.n_constant.tolist()
        estimates = zip(images, self._estimates(images), strict=True)
        return [
            Sensitivity.of(self.labels[image], estimate, n_masks[image], n_constant[image]) for image, estimate in estimates
        ]

    def _done(self, images: list[int], progress: "tqdm[Any]") -> list[int]:
        """Which images are within the tolerance, or will never have a score; the progress bar shows the mean error of all."""
        drawn = [image for image in images if not self.design.complete[self._row(image)]]
        records = self.records(drawn)
        errors = [record.standard_error for record in records]
        known = [error for error in errors if not math.isnan(error)]
        if known:
            progress.set_postfix_str(f"standard error {sum(known) / len(known):.3f}")
        if self.plan.tolerance is None:
            return []
        hopeless = [record.undefined in FINAL for record in records]
        found = zip(drawn, errors, hopeless, strict=True)
        return [image for image, error, never in found if never or error <= self.plan.tolerance]

    def _row(self, image: int) -> int:
        return 0 if self.shared else image

    def _rows(self, images: Int64[Tensor, " b"]) -> Int64[Tensor, " r"]:
        return images[:1] * 0 if self.shared else images

    def _n_masks(self, image: int) -> int:
        return self.design.n_masks[self._row(image)]

    def _fits_pairs(self, row: int, n_masks: int) -> bool:
        drawn = self.plan.estimator == "regression" and not self.design.complete[row]
        return drawn and affords_pairs(self.counts[row], n_masks, self.plan.mask_rate)

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
        linear, rate = sums[..., : 1 + count], self.plan.mask_rate
        if self.design.complete[row]:
            values = every_mask_limit(linear, rate)
            deviations = torch.zeros_like(linear[..., 1:])
        elif self.plan.estimator == "paper":
            values, deviations = paper(linear, n_masks)
        else:
            values, deviations = self._regression(row, sums, n_masks)
        if not self.design.complete[row] and n_masks < enough_masks(count, rate):
            deviations = torch.full_like(deviations, torch.nan)
        values, deviations = _spread(values, free), _spread(deviations, free)
        if self.design.complete[row] and self.plan.estimator == "paper":
            values = (1 - rate) * linear[..., :1].sum(1) + rate * (1 - rate) * values
        return values, deviations

    def _regression(
        self, row: int, sums: Float64[Tensor, "b G 2 t"], n_masks: int
    ) -> tuple[Float64[Tensor, "b 2 m"], Float64[Tensor, "b G 2 m"]]:
        """Least squares with pairs of features where masks tell them apart, and without pairs elsewhere."""
        count = self.counts[row]
        for n_paired in dict.fromkeys([count * self._fits_pairs(row, n_masks), 0]):
            pairs = sums[..., 1 + self.n_free : n_terms(self.n_free, n_paired)]
            products = torch.cat([sums[..., : 1 + count], pairs], -1).permute(1, 3, 0, 2).flatten(2)
            fit = LeastSquares.fit(partial(self._terms, row, n_paired), n_masks, products)
            if not fit.is_singular:
                break
        coefficients = fit.coefficients[1 : 1 + count].unflatten(1, (-1, 2))
        deviations = fit.deviations[:, 1 : 1 + count].unflatten(2, (-1, 2))
        return coefficients.permute(1, 2, 0), deviations.permute(2, 0, 3, 1)

    def _terms(self, row: int, n_paired: int, numbers: Int64[Tensor, " k"]) -> Float64[Tensor, "k t"]:
        """Terms of masks by number, on the host."""
        device = self.design.streams.device
        one = torch.tensor([row], device=device)
        masks = self.design.masks(one, numbers.to(device))
        return terms(masks, self.design.free[one, None], self.plan.mask_rate, self.counts[row], n_paired)[0].cpu().double()

    def _estimate(self, image: int, values: Float64[Tensor, "2 m"], deviations: Float64[Tensor, "G 2 m"]) -> Estimate:
        sums, row = self.sums, self._row(image)
        lowest, highest, n_masks = sums.lowest[image], sums.highest[image], int(sums.n_masks[image])
        largest_prediction = self.originals[image].abs() + 1 - lowest[0]
        rounding = self.rounding * torch.stack([largest_prediction, torch.ones_like(largest_prediction)])
        unchanged = (highest - lowest <= 2 * rounding) & self.plan.tells_changes
        reasons = {
            NAN_PREDICTION: lowest[0].isnan(),
            NAN_ATTRIBUTION: lowest[1].isnan(),
            CONSTANT: self.unranked[image],
            "an attribution that is constant under every mask": sums.n_constant[image] == n_masks,
            "a prediction that no mask changes": unchanged[0],
            "an explanation that no mask changes": unchanged[1],
            "masks that do not tell its features apart": values.isnan().any(),
        }
        undefined = next((reason for reason, applies in reasons.items() if applies), "")
        complete = self.design.complete[row]
        resolution = self.plan.resolution(rounding, largest_prediction, n_masks, self.counts[row], complete=complete)
        return Estimate(values, deviations, resolution, undefined)


def _spread(values: Float64[Tensor, "*n l"], free: Bool[Tensor, " m"]) -> Float64[Tensor, "*n m"]:
    """Values of the free features at their places, and 0 at the others'."""
    spread = values.new_zeros(*values.shape[:-1], len(free))
    spread[..., free] = values
    return spread
