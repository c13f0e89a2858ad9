"""Data SenC: are prediction and explanation sensitive to the same features of the input?"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from quantus.helpers.enums import DataType

from quantus_senc._arguments import check_estimator, check_perturb_baseline, check_segment_func
from quantus_senc._batch import Batch
from quantus_senc._consistency import Sensitivity
from quantus_senc._distinct import Known, mask_keys, number_keys
from quantus_senc._explain import Subject
from quantus_senc._features import Features, changeable_features, labels_of, own_features
from quantus_senc._findings import Findings, Found
from quantus_senc._fingerprint import fingerprint, with_state
from quantus_senc._masked_images import Images, MaskedImages
from quantus_senc._masks import keep_masks
from quantus_senc._metric import SensitivityConsistency
from quantus_senc._perturb import Baseline, baseline_values
from quantus_senc._plan import Plan
from quantus_senc._segment import SegmentFunc

_N_TRIED = 8  # masked images on which it is seen whether a method is random


class DataSensitivityConsistency(SensitivityConsistency):
    """Are the prediction and the explanation sensitive to the same features of the input?

    Features (superpixels, windows, columns) are eliminated by many random masks. The prediction sensitivity of a
    feature is the sum of the masks that keep it, weighted by how little the confidence changes; its explanation
    sensitivity the same sum, weighted by how similar the explanation stays. (Or, with `estimator="regression"`, both are
    coefficients of least squares.) The score is the rank correlation of the two.

    Attributes
    ----------
    sensitivities
        One `Sensitivity` an image, from the last call.
    standard_errors
        The standard error of each score.

    References
    ----------
    Hanxiao Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025, Section 3.2, Algorithm 1, Eq. 1-5.

    Examples
    --------
    >>> import quantus
    >>> from quantus_senc import DataSensitivityConsistency
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> senc = DataSensitivityConsistency(n_masks=100, mask_rate=0.5)
    >>> x_batch, y_batch = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]]), np.array([0, 1])
    >>> scores = senc(model, x_batch, y_batch, explain_func=quantus.explain, explain_func_kwargs={"method": "Gradient"})
    >>> len(scores), senc.sensitivities[0].prediction.shape
    (2, torch.Size([4]))
    """

    name = "Data Sensitivity Consistency"
    data_applicability = {DataType.IMAGE, DataType.TIMESERIES, DataType.TABULAR}

    def __init__(
        self,
        n_masks: int | str = 5000,
        mask_rate: float = 0.8,
        estimator: str = "paper",
        tolerance: float | None = None,
        segment_func: SegmentFunc = None,
        segment_func_kwargs: dict[str, Any] | None = None,
        perturb_baseline: Baseline = 0.0,
        max_batch_size: int | str = "auto",
        seed: int = 42,
        abs: bool = False,
        normalise: bool = False,
        normalise_func: Callable[..., np.ndarray] | None = None,
        normalise_func_kwargs: dict[str, Any] | None = None,
        return_aggregate: bool = False,
        aggregate_func: Callable[..., Any] | None = None,
        default_plot_func: Callable[..., Any] | None = None,
        disable_warnings: bool = False,
        display_progressbar: bool = False,
        **kwargs: Any,
    ) -> None:
        """Rank correlation of the prediction's and the explanation's sensitivity to the same input features.
        Scores lie between -1 and 1, and higher is better: 1 means that what matters to the prediction is what matters
        to the explanation, and 0 that the two are unrelated.

        Parameters
        ----------
        n_masks
            How many masks for each image, at least 2; or "all" for every mask there is, times its probability, which gives
            what ever more drawn masks lead to. That takes 2^L masks for an image with L features (of at most 20) that
            differ from the baseline.
        mask_rate
            The probability with which a mask eliminates a feature, in (0, 1).
        estimator
            "paper": the sums of Eq. 1 and 2, in which both sensitivities share the noise of the masks. "regression": least
            squares of the weights on the masks, which has the same limit and no such noise; of features that equal
            the baseline, it knows that they have no effect. Its n_masks is a ceiling: where trying every mask takes no
            more, that is done.
        tolerance
            If given, n_masks is a ceiling, and an image gets no more masks once its standard error is no larger, which is
            looked at after 256, 384, 576, ... masks.
        segment_func
            "slic", "grid" (images), "window" (series), "column" (tables), or a callable from one input, a tensor
            (C, \\*spatial) or (F,), to integer labels (\\*spatial). None takes SLIC for images, windows for series,
            columns for tables.
        segment_func_kwargs
            For "slic": `pixels_per_segment` (50) or `n_segments`, and what scikit-image's `slic` takes; for "grid":
            `patch_size` (7); for "window": `window_size`.
        perturb_baseline
            What eliminated features show: a number (0: the paper's product of input and mask), "black", "white",
            "mean" or "uniform" as in Quantus, "blur", or a callable from one input to values that broadcast with it.
        max_batch_size
            How many perturbed samples one forward pass may have, or "auto".
        seed
            Of the masks. They are a function of the seed, the image's index in the call, the mask's index and the
            feature alone.
        abs, normalise, normalise_func, normalise_func_kwargs
            What attributions go through before they are ranked, as in every metric of Quantus.
        return_aggregate, aggregate_func
            Whether one score for all images is returned, and how it is made (by default the mean).
        default_plot_func
            For `Metric.plot`.
        disable_warnings, display_progressbar
            Silence and progress.

        Raises
        ------
        ValueError
            If a parameter is wrong; the message names it, its value and the remedy.
        """
        super().__init__(
            n_masks=n_masks,
            mask_rate=mask_rate,
            estimator=estimator,
            tolerance=tolerance,
            max_batch_size=max_batch_size,
            seed=seed,
            abs=abs,
            normalise=normalise,
            normalise_func=normalise_func,
            normalise_func_kwargs=normalise_func_kwargs,
            return_aggregate=return_aggregate,
            aggregate_func=aggregate_func,
            default_plot_func=default_plot_func,
            disable_warnings=disable_warnings,
            display_progressbar=display_progressbar,
            **kwargs,
        )
        check_segment_func(segment_func, segment_func_kwargs)
        check_perturb_baseline(perturb_baseline)
        self.segment_func = segment_func
        self.segment_func_kwargs = segment_func_kwargs
        self.perturb_baseline = perturb_baseline
        self._findings = Findings()

    def with_estimator(self, estimator: str) -> "DataSensitivityConsistency":
        """The same metric with another estimator, which shares what this one finds for masked inputs.

        Parameters
        ----------
        estimator
            "paper" or "regression".
        """
        check_estimator(estimator, self.tolerance)
        other = copy.deepcopy(self)
        other.estimator, other._findings = estimator, self._findings
        return other

    def prepare(self, subject: Subject, x_batch: np.ndarray, y_batch: np.ndarray, labels: np.ndarray | None) -> Features:
        """The features of every image."""
        first = subject.inputs(x_batch[:1])
        baseline_values(first, self.perturb_baseline, self.seed, torch.zeros(1, dtype=torch.int64, device=first.device))
        found = labels_of(x_batch, labels, self.segment_func, self.segment_func_kwargs, self._findings.features)
        if self.plan.tells_changes:
            free = changeable_features(subject, x_batch, found, self.perturb_baseline, self.seed)
        else:
            free = own_features(found)
        self.plan.check(int(free.sum(1).max()), "features")
        masks = [found, with_state(self.perturb_baseline), self.seed, self.mask_rate]
        how = [str(subject.device), subject.model_kwargs, subject.softmax, masks]
        method = [with_state(subject.explain_func), subject.explain_func_kwargs, subject.normalise_func, subject.absolute]
        self._findings.recall(fingerprint([subject.model, x_batch, y_batch, how]), fingerprint(method))
        return Features(found, free)

    def n_pairs(self, prepared: Features, n_images: int) -> int:
        """As many as each image gets masks."""
        return sum(self.plan.mask_count(count) for count in prepared.free.sum(1).tolist())

    def evaluate_batch(self, batch: Batch, prepared: Features) -> list[Sensitivity]:
        """Algorithm 1 for some images. Masks that give the same masked image are weighed once."""
        subject, device = batch.subject, batch.subject.device
        inputs, targets = subject.inputs(batch.x_batch), subject.targets(batch.y_batch)
        labels, free = prepared.labels[batch.images], prepared.free[batch.images]
        indices = torch.arange(len(prepared.labels), device=device)[batch.images]
        images = Images(
            batch, inputs, targets, labels.to(device), baseline_values(inputs, self.perturb_baseline, self.seed, indices)
        )
        few = torch.arange(max(_N_TRIED // len(inputs), 1), device=device)
        tried = keep_masks(self.seed, indices[:_N_TRIED, None], few, free.shape[1], self.mask_rate)
        repeats = images.repeat(tried)
        plan = self._plan_for(batch, free.sum(1).tolist(), listing=repeats)
        survey = batch.survey(plan, plan.design(indices, free.to(device)), labels)
        differing = images.differing(free.shape[1])
        found = self._findings.of(batch.images, batch.originals) if repeats else Found(Known(), Known())
        for active, numbers in survey.rounds(batch.progress):
            rows = active.to(device)
            for some in batch.limit.blocks(numbers, len(active), free.shape[1]):
                masks, before = survey.masks(active, some), batch.progress.n
                keys = mask_keys(rows, masks & differing[rows, None]) if repeats else number_keys(rows, some)
                masked = MaskedImages(images, rows, masks)
                survey.add(active, some, masks, *found.weights(keys, masked.change, masked.similarity, masked.both))
                batch.progress.update(keys.numel() - (batch.progress.n - before))
        return survey.records()

    def _plan_for(self, batch: Batch, counts: list[int], *, listing: bool) -> Plan:
        """The plan; without trying every mask, unless that was asked for, where it must not be."""
        plan = replace(self.plan, listing=listing)
        batch.progress.total += sum(plan.mask_count(count) - self.plan.mask_count(count) for count in counts)
        return plan

    def collect(self, found: list[Sensitivity], prepared: Features) -> list[Sensitivity]:
        """One record an image."""
        return found

    def summary(self, sensitivities: list[Sensitivity], value: Callable[[Sensitivity], float]) -> list[float]:
        """One value an image, or their aggregate."""
        return self.aggregate([value(record) for record in sensitivities])

    def errors(self, sensitivities: list[Sensitivity]) -> list[float]:
        """One standard error an image."""
        return [record.standard_error for record in sensitivities]
