"""Data SenC: are prediction and explanation sensitive to the same features of the input?"""

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from quantus.helpers.enums import DataType
from torch import Tensor

from quantus_senc.core.checks import (
    check_estimator,
    check_noise,
    check_perturb_baseline,
    check_predictions,
    check_segment_func,
)
from quantus_senc.core.mask_loop import MaskRun
from quantus_senc.core.masks import keep_masks
from quantus_senc.core.perturb import Baseline, baseline_values, eliminate
from quantus_senc.core.record import Sensitivity
from quantus_senc.core.segment import SegmentFunc, default_kwargs, default_n_segments
from quantus_senc.core.weight_table import KnownWeights
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.features import Features, differing_features, existing_features, label_features
from quantus_senc.metrics.image_batch import Batch, Images
from quantus_senc.metrics.last_run import LastRun
from quantus_senc.metrics.masked_inputs import MaskedInputs
from quantus_senc.metrics.method_check import RANDOM
from quantus_senc.model.explained_model import ExplainedModel

_N_CHECKED = 4  # images that show, as they are and masked, whether the method is a function of the input alone
_OF_ESTIMATOR = ("estimator", "n_masks", "tolerance")  # parameters of which the weights of a mask are independent


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
            columns for tables; and no more superpixels than an eighth of the masks, or 16 if that is more.
        segment_func_kwargs
            For "slic": `pixels_per_segment` (50) or `n_segments`, and what scikit-image's `slic` takes; for "grid":
            `patch_size` (7); for "window": `window_size`.
        perturb_baseline
            What eliminated features show: a number (0: the paper's product of input and mask), "black", "white",
            "mean" or "uniform" as in Quantus, "blur", or a callable from one input to values that broadcast with it.
        max_batch_size
            How many perturbed samples one forward pass may have, or "auto".
        seed
            Of the masks, and of the noise of "uniform". Masks are a function of the seed, the image's number in the whole data
            set (`image_ids` of the call), the mask's index and the feature alone.
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
        self._source: DataSensitivityConsistency | None = None

    @property
    def source(self) -> "DataSensitivityConsistency":
        """The metric whose runs this one reads if it was made by `with_estimator`, else itself."""
        return self._source or self

    def fewer_features(self, shape: tuple[int, ...]) -> list[str]:
        """What to tell users if inputs of this shape (B, C, ...) have fewer features by default, since masks are few."""
        n_segments = default_n_segments(shape, self.n_masks, self.segment_func, self.segment_func_kwargs)
        if n_segments is None:
            return []
        return [
            f"Images of {' x '.join(map(str, shape[2:]))} pixels have about {n_segments} superpixels, because n_masks="
            f"{self.n_masks!r} affords no more. segment_func_kwargs={{'n_segments': ...}} or another n_masks changes that."
        ]

    def with_estimator(self, estimator: str) -> "DataSensitivityConsistency":
        """The same metric with another estimator, which reads the weights of masks that this metric's last run has shown.

        Parameters
        ----------
        estimator
            "paper" or "regression".
        """
        check_estimator(estimator, self.tolerance)
        other = copy.copy(self)
        other.estimator, other._source, other._last_run = estimator, self, LastRun()
        other.sensitivities, other.standard_errors, other.evaluation_scores, other.all_evaluation_scores = [], [], [], []
        return other

    def shared_arguments(self) -> dict[str, Any]:
        """Arguments for calls of this metric on the same model and images with other explanation methods.

        They hold what the last call has computed and the method does not change: the labels of the features, and the
        predictions of masked images.

        Returns
        -------
        dict
            With the keys "custom_batch" and "predictions"; empty before the first call.
        """
        if not self.sensitivities:
            return {}
        return {"custom_batch": _labels(self.sensitivities), "predictions": self.sensitivities}

    def known(self, call: Mapping[str, Any]) -> tuple[list[Sensitivity] | None, bool]:
        """Records of an earlier run on the same images, and whether they are of the same explanation method."""
        source, but = self._source, _OF_ESTIMATOR
        records = None if source is None else source.last_sensitivities(call, parameters=self.parameters(), but=but)
        return (call["predictions"], False) if records is None else (records, True)

    def certain(self, records: list[Sensitivity]) -> tuple[list[Sensitivity], bool] | None:
        """The labels of features, unless a callable of the user makes them."""
        return None if callable(self.segment_func) else (records, True)

    def evidence(self, explained: ExplainedModel, images: Images, prepared: Features) -> Iterator[Tensor]:
        """The labels of the features, and the baselines that a callable makes."""
        yield prepared.labels
        if callable(self.perturb_baseline):
            for start in range(0, len(images.x), images.batch_size):
                inputs = explained.inputs(images.batch(start)[0])
                yield baseline_values(inputs, self.perturb_baseline, self.seed, images.ids(start, inputs.device))

    def prepare(
        self, explained: ExplainedModel, images: Images, known: tuple[list[Sensitivity] | None, bool] | None
    ) -> Features:
        """The features of every image."""
        first, labels = explained.inputs(images.x[:1]), images.labels
        baseline_values(first, self.perturb_baseline, self.seed, images.image_ids[:1].to(first.device))
        records, of_same_method = known or (None, False)
        if of_same_method and records:
            labels = _labels(records).numpy()
        if labels is None:
            self._warn(self.fewer_features(images.x.shape))
        kwargs = default_kwargs(images.x.shape, self.n_masks, self.segment_func, self.segment_func_kwargs)
        features = label_features(images.x, labels, self.segment_func, kwargs)
        check_predictions(records, features)
        if records and self.perturb_baseline == "uniform":
            check_noise(records, self.seed, images.image_ids)
        if self.plan.knows_inert_features:
            free = differing_features(explained, images, features, self.perturb_baseline, self.seed)
        else:
            free = existing_features(features)
        self.plan.check(int(free.sum(1).max()), "features")
        return Features(features, free, records, of_same_method)

    def n_pairs(self, prepared: Features, n_images: int) -> int:
        """As many as each image gets masks."""
        return sum(self.plan.mask_count(count) for count in prepared.free.sum(1).tolist())

    def evaluate_batch(self, batch: Batch, prepared: Features) -> list[Sensitivity]:
        """Algorithm 1 for some images."""
        images = batch.images
        labels, free = prepared.labels[images], prepared.free[images]
        baselines = baseline_values(batch.inputs, self.perturb_baseline, self.seed, batch.image_ids)
        masked = MaskedInputs(batch, labels.to(baselines.device), baselines)
        plan = replace(self.plan, repeats=batch.flaw != RANDOM)
        counts = free.sum(1).tolist()
        batch.progress.total += sum(plan.mask_count(count) - self.plan.mask_count(count) for count in counts)
        differing = masked.differing(free.shape[1])
        known = (
            None
            if prepared.known is None
            else [
                KnownWeights.from_record(record, row, of_same_method=prepared.of_same_method)
                for record, row in zip(prepared.known[images], differing, strict=True)
            ]
        )
        design = plan.design(batch.image_ids, free.to(masked.labels.device))
        run = MaskRun(plan, design, batch.unperturbed(labels), batch.progress, differing, known)
        return run.records(masked.weigh)

    def checked_samples(self, batch: Batch, prepared: Features) -> tuple[Tensor, Tensor]:
        """Some images as they are, and masked."""
        various = batch.various(_N_CHECKED)
        inputs, image_ids, device = batch.inputs[various], batch.image_ids[various], various.device
        labels = prepared.labels[batch.images][various.cpu()].to(device)
        baselines = baseline_values(inputs, self.perturb_baseline, self.seed, image_ids)
        place = torch.arange(_N_CHECKED, device=device)
        images, numbers = place % len(various), place // len(various)
        masks = keep_masks(self.seed, image_ids[images], numbers, prepared.free.shape[1], self.mask_rate)
        masked = eliminate(inputs[images], labels[images], masks[:, None], baselines[images])[:, 0]
        return torch.cat([inputs, masked]), torch.cat([batch.targets[various], batch.targets[various[images]]])

    def collect(self, records: list[Sensitivity], prepared: Features) -> list[Sensitivity]:
        """One record an image."""
        return records

    def summary(self, sensitivities: list[Sensitivity], value: Callable[[Sensitivity], float]) -> list[float]:
        """One value an image, or their aggregate."""
        return self.aggregate([value(record) for record in sensitivities])

    def errors(self, sensitivities: list[Sensitivity]) -> list[float]:
        """One standard error an image."""
        return [record.standard_error for record in sensitivities]


def _labels(records: list[Sensitivity]) -> Tensor:
    """The labels (B, \\*spatial) of the features of all images."""
    return torch.stack([record.labels for record in records if record.labels is not None])
