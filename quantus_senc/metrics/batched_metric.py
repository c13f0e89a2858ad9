"""The batches of a call: each is checked and scored. Where earlier results are doubtful, the call starts again.

A second look repeats what is cheap of a call, to see whether an earlier run still holds.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int64
from quantus.metrics.base import Metric
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc.metrics.call_warnings import (
    HOOKS_LEFT,
    disagreement_warning,
    memory_warning,
    one_by_one_warning,
    score_warnings,
)
from quantus_senc.metrics.image_batch import Batch, Images
from quantus_senc.metrics.last_run import Evidence
from quantus_senc.metrics.method_check import DEPENDENT, method_flaw
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.first_look import first_look
from quantus_senc.model.pass_size import BatchLimit, free_memory
from quantus_senc.model.retain_heap import retain_heap
from quantus_senc.model.shared_pass import SharedPass, SharedPassDiffers
from quantus_senc.model.state import make_reproducible, n_hooks
from quantus_senc.model.warn import warn, warn_once


class StartAgain(Exception):
    """The results of earlier images of the call have turned out to be doubtful."""


class BatchedMetric(Metric[list[float]]):
    """What the metrics do in a call; they differ in what they perturb."""

    estimator: str
    max_batch_size: int | str

    def evaluate_images(
        self, explained: ExplainedModel, images: Images, known: Any, evidence: Evidence, restore: Callable[[], None]
    ) -> Any:
        """The records of all images, as `collect` returns them.

        Parameters
        ----------
        known
            What `known` returned.
        evidence
            What the records come from is added to it.
        restore
            Puts the model back as it was.
        """
        records: list[Any] = []
        bar, agreed, told = tqdm(desc=self.name, unit="masks", disable=not self.display_progressbar), True, False
        with torch.inference_mode(False), bar, retain_heap():
            explained, limit, prepared = self._start(explained, images, known, restore)
            evidence.add("prepared", *self.evidence(explained, images, prepared))
            bar.total = total = self.n_pairs(prepared, len(images.x))
            start, shared_pass = 0, SharedPass(explained)
            while start < len(images.x):
                inputs, targets = explained.batch(*images.batch(start))
                predictions, maps = explained.run(inputs, targets, limit)
                originals = explained.originals(predictions, maps)
                evidence.add(start, predictions, originals.attributions)
                agreed &= images.agree(start, maps)
                image_ids = images.ids(start, inputs.device)
                batch = Batch(inputs, targets, start, image_ids, originals, explained, shared_pass, limit, bar)
                batch = replace(batch, flaw=method_flaw(explained, limit, *self.checked_samples(batch, prepared)))
                if batch.flaw == DEPENDENT:
                    self._warn([one_by_one_warning(self.name, total, limit.size)] * (not told))
                    batch, told = batch.one_by_one(), True
                try:
                    records += self.evaluate_batch(batch, prepared)
                    start += images.batch_size
                except (StartAgain, SharedPassDiffers):
                    self.forget()
                    start, records = 0, []
                    bar.reset(total)
        sensitivities = self.collect(records, prepared)
        self._warn(score_warnings(self.name, self.estimator, sensitivities) + [disagreement_warning(self.name)] * (not agreed))
        self._warn(memory_warning(self.name, limit))
        return sensitivities

    def second_look(self, explained: ExplainedModel, images: Images, known: Any, restore: Callable[[], None]) -> Evidence:
        """What `evaluate_images` would add to its evidence, without running masks."""
        seen = Evidence()
        with torch.inference_mode(False):
            explained, limit, prepared = self._start(explained, images, known, restore)
            seen.add("prepared", *self.evidence(explained, images, prepared))
            for start in range(0, len(images.x), images.batch_size):
                predictions, maps = explained.run(*explained.batch(*images.batch(start)), limit)
                seen.add(start, predictions, explained.attributions(maps))
        return seen

    def _start(
        self, explained: ExplainedModel, images: Images, known: Any, restore: Callable[[], None]
    ) -> tuple[ExplainedModel, BatchLimit, Any]:
        """What all batches need: the method, prepared and tried; the size of passes; and what `prepare` returns."""
        make_reproducible(explained.device)
        look = first_look(explained, images.x, images.y)
        self._warn(look.doubts)
        if look.note and not self._disable_warnings:
            warn_once(explained.model, look.note)
        explained = look.explained
        prepared = self.prepare(explained, images, known)
        before = n_hooks(explained.model)
        explained, load = explained.prepared(images.x).tried(images.x, images.y)
        self._warn([HOOKS_LEFT] * (n_hooks(explained.model) > before))
        limit = BatchLimit(self.max_batch_size, load, explained.device, restore, free_memory(explained.device))
        return explained, limit, prepared

    def _warn(self, messages: list[str]) -> None:
        for message in messages * (not self._disable_warnings):  # Quantus's property is True outside GitHub Actions
            warn(message)

    @abstractmethod
    def prepare(self, explained: ExplainedModel, images: Images, known: Any) -> Any:
        """What `evaluate_batch` needs for all images of a call; `known` is what the method of this name returned."""

    def known(self, call: Mapping[str, Any]) -> Any:
        """What this metric knows of a call already, from its arguments; nothing by default."""
        return None

    def forget(self) -> None:
        """Forget what is noted of earlier images of the call, which are evaluated again; nothing by default."""

    def certain(self, records: Any) -> Any:
        """What of a run's records needs no second look, in the form of `known`; nothing by default."""
        return None

    @abstractmethod
    def evidence(self, explained: ExplainedModel, images: Images, prepared: Any) -> Iterable[Any]:
        """What `prepare` has made of callables of the user, which may do something else at the next call."""

    @abstractmethod
    def checked_samples(self, batch: Batch, prepared: Any) -> tuple[Float[Tensor, "n *shape"], Int64[Tensor, " n"]]:
        """Samples, and their classes, that show whether the method is a function of the input alone."""

    @abstractmethod
    def n_pairs(self, prepared: Any, n_images: int) -> int:
        """How many pairs of image and mask there are, at the most."""

    @abstractmethod
    def evaluate_batch(self, batch: Batch, prepared: Any) -> list[Any]:
        """The records of each image of a batch."""

    @abstractmethod
    def collect(self, records: list[Any], prepared: Any) -> Any:
        """The records of all images, as users see them."""
