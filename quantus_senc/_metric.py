"""What data and parameter SenC share: one call through Quantus, its records, warnings and progress."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from quantus.helpers.enums import EvaluationCategory, ModelType, ScoreDirection
from quantus.metrics.base import Metric
from torch import Tensor, nn
from tqdm.auto import tqdm

from quantus_senc._allocator import kept_memory
from quantus_senc._arguments import (
    check_estimator,
    check_explain_func,
    check_inputs,
    check_keywords,
    check_masks,
    parameter_names,
)
from quantus_senc._batch import Batch, Originals
from quantus_senc._chunks import BatchLimit
from quantus_senc._consistency import Sensitivity
from quantus_senc._explain import Subject
from quantus_senc._host import agrees, call_device, host_array
from quantus_senc._layout import in_faster_layout
from quantus_senc._passes import Passes
from quantus_senc._plan import Plan
from quantus_senc._preserve import preserved
from quantus_senc._runs import Runs
from quantus_senc._strategy import StartAgain
from quantus_senc._views import StandardError, TopKAgreement
from quantus_senc._warnings import DISAGREEMENT, complaints, warn


class SensitivityConsistency(Metric[list[float]]):
    """Base of the metrics, which differ in what they perturb."""

    model_applicability = {ModelType.TORCH}
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(
        self,
        n_masks: int | str,
        mask_rate: float,
        estimator: str,
        tolerance: float | None,
        max_batch_size: int | str,
        seed: int,
        **kwargs: Any,
    ) -> None:
        """Store the parameters that all metrics have; the others are Quantus's own."""
        check_keywords(kwargs, type(self), "__init__")
        check_masks(n_masks, mask_rate, seed, max_batch_size)
        check_estimator(estimator, tolerance)
        super().__init__(**kwargs)
        self.n_masks = n_masks if isinstance(n_masks, str) else int(n_masks)
        self.mask_rate = float(mask_rate)
        self.estimator = estimator
        self.tolerance = tolerance
        self.max_batch_size = max_batch_size
        self.seed = int(seed)
        self.sensitivities: Any = []
        self.standard_errors: Any = []
        self._runs = Runs()

    def __call__(
        self,
        model: nn.Module,
        x_batch: ArrayLike | Tensor,
        y_batch: ArrayLike | Tensor,
        a_batch: ArrayLike | Tensor | None = None,
        s_batch: object = None,
        channel_first: bool | None = None,
        explain_func: Callable[..., Any] | None = None,
        explain_func_kwargs: dict[str, Any] | None = None,
        model_predict_kwargs: dict[str, Any] | None = None,
        softmax: bool | None = True,
        device: str | None = None,
        batch_size: int = 64,
        custom_batch: ArrayLike | Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Scores of the explanations of some images, as `quantus.evaluate` calls for them.

        One call at a time: neither a metric nor a model is to be shared by threads.

        Parameters
        ----------
        model
            Returns (B, classes). It is put in evaluation mode for the call; afterwards it is as before.
        x_batch
            Images (B, C, H, W), series (B, C, T) or tables (B, F); arrays or tensors.
        y_batch
            The classes to explain, (B,).
        a_batch
            Not used: the original explanation comes from `explain_func`, like all others. One warning if they disagree.
        s_batch
            Not used: Quantus passes object masks here.
        channel_first
            Whether channels come first in `x_batch`; by default Quantus infers it.
        explain_func, explain_func_kwargs
            Called as explain_func(model=, inputs=, targets=, \\*\\*explain_func_kwargs) with tensors on the model's
            device (with arrays, if it turns out to take no tensors), many samples a call; returns arrays or tensors.
        model_predict_kwargs
            For the model's forward pass.
        softmax
            Whether P is the softmax probability (as in the paper) or the model's own output.
        device
            None for the model's own, "cpu", or "gpu" for CUDA.
        batch_size
            For how many images sensitivities are summed at a time; the scores do not depend on it.
        custom_batch
            Labels (B, \\*spatial) of the features, for metrics that mask features.

        Returns
        -------
        list of float
            One score an image, in [-1, 1]; NaN where it is undefined, with one warning that says why.

        Raises
        ------
        ValueError
            If an argument is wrong; nothing but a first look at one image has run by then.
        """
        key = self._runs.key(dict(locals()), self._parameters())
        self.sensitivities, self.standard_errors, self.evaluation_scores = [], [], []
        check_keywords(kwargs, type(self), "__call__")
        check_masks(self.n_masks, self.mask_rate, self.seed, self.max_batch_size)
        check_estimator(self.estimator, self.tolerance)
        x_batch, y_batch = host_array(x_batch), host_array(y_batch)
        check_inputs(model, x_batch, y_batch, channel_first, batch_size)
        check_explain_func(explain_func, explain_func_kwargs)
        labels, supplied = (None if given is None else host_array(given) for given in (custom_batch, a_batch))
        data = self.general_preprocess(
            model=model,
            x_batch=x_batch,
            y_batch=y_batch,
            a_batch=None,
            s_batch=None,
            channel_first=channel_first,
            explain_func=explain_func,
            explain_func_kwargs=dict(explain_func_kwargs or {}),
            model_predict_kwargs=model_predict_kwargs,
            softmax=softmax,
            device=call_device(device, model),
            custom_batch=None,
        )
        subject = Subject(
            model=model,
            model_kwargs=model_predict_kwargs or {},
            softmax=softmax is None or bool(softmax),
            explain_func=self.explain_func,
            explain_func_kwargs=self.explain_func_kwargs,
            normalise_func=self.normalise_func if self.normalise else None,
            absolute=self.abs,
        )
        self.sensitivities = self._evaluate(subject, data["x_batch"], y_batch, labels, supplied, batch_size)
        self.standard_errors = self.errors(self.sensitivities)
        self._runs.keep(key, self.sensitivities)
        scores = self.summary(self.sensitivities, lambda record: record.score)
        self.evaluation_scores = scores
        self.all_evaluation_scores.extend(scores if isinstance(scores, list) else [scores])
        return scores

    def _evaluate(
        self,
        subject: Subject,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        labels: np.ndarray | None,
        supplied: np.ndarray | None,
        batch_size: int,
    ) -> Any:
        records, agreed = [], True
        bar = tqdm(desc=self.name, unit="copies", disable=not self.display_progressbar)
        with preserved(subject.model) as restore, bar, kept_memory():
            subject.check_targets(x_batch, y_batch)
            prepared = self.prepare(subject, x_batch, y_batch, labels)
            bar.total = total = self.n_pairs(prepared, len(x_batch))
            subject, *load = subject.tried(x_batch, y_batch)
            limit = BatchLimit(self.max_batch_size, subject.inputs(x_batch[:1]).nbytes, subject.device, restore, *load)
            subject = in_faster_layout(subject, x_batch, y_batch, limit)
            start, passes = 0, Passes(subject)
            while start < len(x_batch):
                images = slice(start, start + batch_size)
                x, y = x_batch[images], y_batch[images]
                confidence, maps = subject.originals(x, y, limit)
                agreed &= supplied is None or agrees(supplied[images], host_array(maps))
                originals = Originals.of(confidence, subject.ready(maps))
                try:
                    records += self.evaluate_batch(Batch(x, y, images, originals, subject, passes, limit, bar), prepared)
                    start += batch_size
                except StartAgain:
                    start, records = 0, []
                    bar.reset(total)
        found = self.collect(records, prepared)
        self._warn(complaints(self.name, found) + [DISAGREEMENT] * (not agreed))
        return found

    def _warn(self, messages: list[str]) -> None:
        for message in messages * (not self._disable_warnings):  # Quantus's property is True outside GitHub Actions
            warn(message)

    @abstractmethod
    def prepare(self, subject: Subject, x_batch: np.ndarray, y_batch: np.ndarray, labels: np.ndarray | None) -> Any:
        """What `evaluate_batch` needs for all images of a call, from the inputs and the caller's `custom_batch`."""

    @property
    def plan(self) -> Plan:
        """How sensitivities are estimated, by the parameters as they are now."""
        checked = self.tolerance is not None or self.display_progressbar
        n_masks = self.n_masks if isinstance(self.n_masks, str) else int(self.n_masks)
        return Plan(self.seed, self.mask_rate, n_masks, self.estimator, self.tolerance, checked)

    @abstractmethod
    def n_pairs(self, prepared: Any, n_images: int) -> int:
        """How many pairs of image and mask there are, at the most."""

    @abstractmethod
    def evaluate_batch(self, batch: Batch, prepared: Any) -> list[Any]:
        """What is found for each image of a batch."""

    @abstractmethod
    def collect(self, found: list[Any], prepared: Any) -> Any:
        """What is found for all images, as users see it."""

    @abstractmethod
    def summary(self, sensitivities: Any, value: Callable[[Sensitivity], float]) -> Any:
        """One value an image, or their aggregate, from what `collect` returned."""

    @abstractmethod
    def errors(self, sensitivities: Any) -> Any:
        """The standard error of each score, from what `collect` returned."""

    def aggregate(self, values: list[float]) -> list[float]:
        """The values, or the aggregate of them where that was asked for."""
        return [float(self.aggregate_func(values))] if self.return_aggregate else values

    def top_k(self, k: int) -> TopKAgreement:
        """Top-k agreement (Tan, WACV 2025, Eq. 5) as a metric of its own, which reuses this metric's runs.

        Parameters
        ----------
        k
            How many of the most sensitive features to compare, at least 1.
        """
        return TopKAgreement(self, k)

    def standard_error(self) -> StandardError:
        """The standard errors of the scores as a metric of its own, which reuses this metric's runs."""
        return StandardError(self)

    def remembered(self, call: Mapping[str, Any]) -> Any:
        """The sensitivities of the last run with these arguments and the parameters as they are now; None if there is none.

        The explanation method counts as the same while it is the same object with equal keywords.
        """
        return self._runs.find(self._runs.key(call, self._parameters()))

    def _parameters(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in parameter_names(type(self), "__init__") if hasattr(self, name)}
