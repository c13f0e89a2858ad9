"""The loop over masks: rounds of masks for the images that need more, their weights, and the records at the end."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc.core.distinct_masks import first_occurrences, mask_keys
from quantus_senc.core.estimators import Estimate
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.plan import Plan
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.record import CONSTANT, FINAL, NAN_ATTRIBUTION, NAN_PREDICTION, Sensitivity
from quantus_senc.core.weight_table import KnownWeights, Pairs, WeightTable

_PAIRS = 2**16  # pairs of an image and a mask that are weighed at a time, about
_WEIGHTS = 2**20  # pairs whose weights are estimated from at a time, about

# Takes pairs, and what to call with the number of pairs after each pass. Returns the weights (p, 2) and whether attributions
# are constant (p,), on the host.
Weigh = Callable[[Pairs, Callable[[int], object]], tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]]


@dataclass(frozen=True, eq=False)
class Unperturbed:
    """What the records of a batch need to know of its unperturbed images, on the host.

    Attributes
    ----------
    predictions
        P° of each image.
    unranked
        Whether the attribution of each image is constant.
    rounding
        How far rounding moves the two weights of a mask: the first relative to the prediction, the second as it is.
    labels
        The features of each image; None for the units of a layer.
    """

    predictions: Float64[Tensor, " n"]
    unranked: Bool[Tensor, " n"]
    rounding: Float64[Tensor, " 2"]
    labels: Int64[Tensor, "n *spatial"] | None


class MaskRun:
    """The run of all masks of a batch of images.

    Parameters
    ----------
    plan
        How many masks an image gets, and how sensitivities are estimated.
    design
        The masks of each image, on the model's device; of one row where all images share them.
    unperturbed
        The images themselves.
    progress
        Is told of every pair of an image and a mask.
    differing
        The features of each row that differ from the baseline: masks that agree in these leave the same sample.
    known
        For each image what an earlier run has shown. Images that share their masks can have none.
    """

    def __init__(
        self,
        plan: Plan,
        design: MaskDesign,
        unperturbed: Unperturbed,
        progress: "tqdm[Any]",
        differing: Bool[Tensor, "r m"],
        known: list[KnownWeights] | None = None,
    ) -> None:
        self.plan = plan
        self.design = design
        self.unperturbed = unperturbed
        self.progress = progress
        self.differing = differing
        self.known = known if plan.repeats else None
        self.tables = [WeightTable.empty() for _ in unperturbed.predictions]

    def records(self, weigh: Weigh) -> list[Sensitivity]:
        """Weigh as many masks of each image as it takes, and score the images."""
        active, start, checkpoints = list(range(len(self.tables))), 0, self.plan.checkpoints()
        records: dict[int, Sensitivity] = {}
        while active:
            stop = min([*map(self._most_masks, active), *checkpoints[:1]])
            self._append(active, start, stop, weigh)
            start, active = stop, [image for image in active if self._most_masks(image) > stop]
            if checkpoints[:1] == [stop]:
                del checkpoints[0]
                finished = self._finished(active)
                self.progress.total -= sum(self._most_masks(image) - stop for image in finished)
                records |= finished
                active = [image for image in active if image not in finished]
        records |= self._scored([image for image in range(len(self.tables)) if image not in records])
        return [records[image] for image in range(len(self.tables))]

    def _most_masks(self, image: int) -> int:
        return self.design.n_masks[self.design.row_of(image)]

    def _append(self, images: list[int], start: int, stop: int, weigh: Weigh) -> None:
        """Add the masks with the numbers from `start` to `stop` to the tables of some images."""
        before = self.progress.n
        waiting: list[Pairs] = []
        repeats: list[tuple[WeightTable, Tensor]] = []
        for image in images:
            self.tables[image].extend(stop)
        members = {row: list(mine) for row, mine in groupby(images, self.design.row_of)}
        for row, keys in self._keys(list(members), stop):
            first = first_occurrences(keys)
            new = (first == torch.arange(stop)).nonzero()[:, 0]
            for pairs in self._unknown(members[row], new[new >= start], keys):
                waiting.append(pairs)
                if sum(map(len, waiting)) >= _PAIRS // 2:
                    self._weigh(waiting, weigh)
            repeats += [(self.tables[image], first[start:]) for image in members[row]]
            if not waiting:
                _repeat(repeats)
        self._weigh(waiting, weigh)
        _repeat(repeats)
        self.progress.update(len(images) * (stop - start) - (self.progress.n - before))

    def _keys(self, rows: list[int], stop: int) -> Iterator[tuple[int, Int64[Tensor, " k"]]]:
        """For each row integers that are equal for masks that leave the same sample, if a sample gives the same again."""
        if not self.plan.repeats:
            yield from ((row, torch.arange(stop)) for row in rows)
            return
        for together in torch.tensor(rows).split(max(_PAIRS // stop, 1)):
            yield from zip(together.tolist(), self._keys_of_rows(together, stop), strict=True)

    @stage("distinct")
    def _keys_of_rows(self, rows: Int64[Tensor, " r"], stop: int) -> Int64[Tensor, "r k"]:
        device, keys = self.design.streams.device, []
        for place in torch.arange(len(rows) * stop).split(self.design.chunk_size):
            row, numbers = rows[place // stop].to(device), (place % stop).to(device)
            keys.append(mask_keys(self.design.masks(row, numbers) & self.differing[row]).cpu())
        return torch.cat(keys).view(len(rows), stop)

    def _unknown(self, images: list[int], numbers: Int64[Tensor, " k"], keys: Int64[Tensor, " _"]) -> Iterator[Pairs]:
        """Pairs of images, which share their masks, and new masks; what an earlier run has shown goes into the tables."""
        changes = torch.full((len(numbers),), torch.nan, dtype=torch.float64)
        if self.known is not None:
            (image,), known = images, self.known[images[0]]
            there, rows = known.lookup(keys[numbers])
            if known.of_same_method:
                self.tables[image].put(numbers[there], known.weights[rows[there]], known.constant[rows[there]])
                numbers, changes = numbers[~there], changes[~there]
            else:
                changes[there] = 1 - known.weights[rows[there], 0]
        size = max(_PAIRS // len(images), 1)
        for chunk, change in zip(numbers.split(size), changes.split(size), strict=True):
            yield Pairs.from_grid(images, chunk, change, self.design)

    def _weigh(self, waiting: list[Pairs], weigh: Weigh) -> None:
        """Fill the tables for the pairs that wait; then none waits."""
        if not any(map(len, waiting)):
            return
        pairs = Pairs.join(waiting)
        waiting.clear()
        weights, constant = weigh(pairs, self.progress.update)
        images, counts = pairs.images.unique_consecutive(return_counts=True)
        parts = (values.split(counts.tolist()) for values in (pairs.numbers, weights, constant))
        for image, *rows in zip(images.tolist(), *parts, strict=True):
            self.tables[image].put(*rows)

    def _finished(self, images: list[int]) -> dict[int, Sensitivity]:
        """Records of images within the tolerance, or that will never have a score; the progress bar shows the mean error."""
        records = self._scored([image for image in images if not self.design.exhaustive[self.design.row_of(image)]])
        errors = [record.standard_error for record in records.values() if not math.isnan(record.standard_error)]
        if errors:
            self.progress.set_postfix_str(f"standard error {sum(errors) / len(errors):.3f}")
        tolerance = self.plan.tolerance
        if tolerance is None:
            return {}
        return {
            image: record
            for image, record in records.items()
            if record.undefined in FINAL or record.standard_error <= tolerance
        }

    @stage("estimate")
    def _scored(self, images: list[int]) -> dict[int, Sensitivity]:
        """The records of some images; those that had the same masks are estimated together."""
        records: dict[int, Sensitivity] = {}

        def masks_key(image: int) -> tuple[int, int]:
            return self.design.row_of(image), len(self.tables[image].weights)

        for (row, n_masks), group in groupby(sorted(images, key=masks_key), masks_key):
            design, members = self.design.select_row(row), list(group)
            masks, design = design.by_number(n_masks), design.to(torch.device("cpu"))
            n_free, is_exhaustive = int(design.free.sum()), design.exhaustive[0]
            for chunk in torch.tensor(members).split(max(_WEIGHTS // n_masks, 1)):
                together = chunk.tolist()
                weights = torch.stack([self.tables[image].weights for image in together])
                estimate = self.plan.estimate(masks, weights, n_free, is_exhaustive=is_exhaustive)
                records |= {image: self._record(image, index, estimate, design) for index, image in enumerate(together)}
        return records

    def _record(self, image: int, index: int, estimate: Estimate, design: MaskDesign) -> Sensitivity:
        table, unperturbed, free = self.tables[image], self.unperturbed, design.free[0]
        largest = (unperturbed.predictions[image].abs() + 1 - table.weights[:, 0].amin()).item()
        rounding = unperturbed.rounding * torch.tensor([largest, 1.0], dtype=torch.float64)
        undefined = self._why_undefined(image, rounding)
        if not undefined and estimate.sensitivities[index].isnan().any():
            undefined = "masks that do not tell its features apart"
        sensitivities, steady = estimate.inert[index][:, None].repeat(2, 1, len(free))
        sensitivities[:, free], steady[:, free] = estimate.sensitivities[index], estimate.steady[index]
        deviations = torch.zeros(*estimate.deviations.shape[1:3], len(free), dtype=torch.float64)
        deviations[..., free] = estimate.deviations[index]
        counts = len(table.weights), int(free.sum())
        return Sensitivity.from_estimate(
            sensitivities,
            steady,
            deviations,
            tie_tolerance=self.plan.tie_tolerance(rounding, largest, *counts, is_exhaustive=design.exhaustive[0]),
            undefined=undefined,
            labels=None if unperturbed.labels is None else unperturbed.labels[image],
            weights=table.weights,
            constant=table.constant,
            design=design,
        )

    def _why_undefined(self, image: int, rounding: Float64[Tensor, " 2"]) -> str:
        """Why the weights of an image give no score, or an empty string."""
        table = self.tables[image]
        lowest, highest = table.weights.aminmax(dim=0)
        unchanged = (highest - lowest <= 2 * rounding) & self.plan.knows_inert_features
        reasons = {
            NAN_PREDICTION: lowest[0].isnan(),
            NAN_ATTRIBUTION: lowest[1].isnan(),
            CONSTANT: self.unperturbed.unranked[image],
            "an attribution that is constant under every mask": table.constant.all(),
            "a prediction that no mask changes": unchanged[0],
            "an explanation that no mask changes": unchanged[1],
        }
        return next((reason for reason, applies in reasons.items() if applies), "")


def _repeat(repeats: list[tuple[WeightTable, Int64[Tensor, " k"]]]) -> None:
    """Fill the rows of masks that leave the same sample as an earlier one; then none is left to fill."""
    for table, first in repeats:
        table.repeat(first)
    repeats.clear()
