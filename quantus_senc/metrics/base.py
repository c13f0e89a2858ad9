"""What data and parameter SenC share: how Quantus calls them, and what users read of them."""

import copy
import inspect
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from quantus.helpers.enums import EvaluationCategory, ModelType, ScoreDirection
from torch import Tensor, nn

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.core.checks import (
    check_estimator,
    check_explain_func,
    check_inputs,
    check_integer,
    check_keywords,
    check_masks,
    parameter_names,
)
from quantus_senc.core.plan import Plan
from quantus_senc.core.record import Sensitivity
from quantus_senc.metrics.batched_metric import BatchedMetric
from quantus_senc.metrics.call_warnings import channels_moved
from quantus_senc.metrics.constructor_call import constructor_call
from quantus_senc.metrics.derived import StandardError, TopKAgreement
from quantus_senc.metrics.image_batch import Images, numbered
from quantus_senc.metrics.last_run import Evidence, LastRun
from quantus_senc.model.arrays import call_device, host_array
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.state import preserving


class SensitivityConsistency(BatchedMetric):
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
        self._last_run = LastRun()

    def __repr__(self) -> str:
        return constructor_call(self)

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
        predictions: list[Sensitivity] | None = None,
        image_ids: ArrayLike | Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """Scores of the explanations of some images, as `quantus.evaluate` calls for them.

        One call at a time: neither a metric nor a model is to be shared by threads.

        Parameters
        ----------
        model
            Returns (B, classes), or something of which `adapt` makes that. It is put in evaluation mode for the call;
            afterwards it is as before.
        x_batch
            Images (B, C, H, W), series (B, C, T) or tables (B, F): arrays, tensors, or a DataFrame of numbers.
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
            Whether P is the softmax probability (as in the paper; or what the model is adapted to) or the model's own output.
        device
            None for the model's own, "cpu", or "gpu" for CUDA.
        batch_size
            For how many images sensitivities are summed at a time; the scores do not depend on it.
        custom_batch
            Labels (B, \\*spatial) of the features, for metrics that mask features.
        predictions
            Records of an earlier call on the same model, images, labels of features and baseline (with noise that is of the
            same seed and `image_ids`), whose predictions of masked images are read instead of being made again; see
            `DataSensitivityConsistency.shared_arguments`.
        image_ids
            The number of each image in the whole data set, (B,), in [0, 2^63); by default 0 ... B - 1. Masks of features and
            noise are drawn for this number, so that images have the same score in whatever calls they are evaluated.

        Returns
        -------
        list of float
            One score an image, in [-1, 1]; NaN where it is undefined, with one warning that says why.

        Raises
        ------
        ValueError
            If an argument is wrong; nothing but a first look at one image has run by then.
        """
        call = dict(locals())
        self.sensitivities, self.standard_errors, self.evaluation_scores = [], [], []
        explained, images = self._arguments(call)
        known, run = self.known(call), LastRun(call, self.parameters())
        self._last_run = LastRun()
        self.sensitivities = preserving(
            model, lambda restore: self.evaluate_images(explained, images, known, run.evidence, restore)
        )
        self.standard_errors = self.errors(self.sensitivities)
        run.records, self._last_run = self.sensitivities, run
        scores = self.summary(self.sensitivities, lambda record: record.score)
        self.evaluation_scores = scores
        self.all_evaluation_scores.extend(scores if isinstance(scores, list) else [scores])
        return scores

    def _arguments(self, call: Mapping[str, Any]) -> tuple[ExplainedModel, Images]:
        """The arguments of a call, checked: the model with its method, and the images."""
        check_keywords(call["kwargs"], type(self), "__call__")
        check_masks(self.n_masks, self.mask_rate, self.seed, self.max_batch_size)
        check_estimator(self.estimator, self.tolerance)
        model, x_batch, y_batch = call["model"], host_array(call["x_batch"], "x_batch"), host_array(call["y_batch"])
        check_inputs(model, x_batch, y_batch, call["channel_first"])
        check_integer("batch_size", call["batch_size"], 1, 2**63 - 1)
        image_ids = numbered(call["image_ids"], len(x_batch))
        check_explain_func(call["explain_func"], call["explain_func_kwargs"])
        labels, supplied = (None if call[name] is None else host_array(call[name]) for name in ("custom_batch", "a_batch"))
        channel_first = call["channel_first"]
        if x_batch.ndim > 4 and not channel_first:  # Quantus moves the channels of images and series only
            x_batch, channel_first = np.moveaxis(x_batch, -1, 1), True
        data = self.general_preprocess(
            model=model,
            x_batch=x_batch,
            y_batch=y_batch,
            a_batch=None,
            s_batch=None,
            channel_first=channel_first,
            explain_func=call["explain_func"],
            explain_func_kwargs=dict(call["explain_func_kwargs"] or {}),
            model_predict_kwargs=call["model_predict_kwargs"],
            softmax=call["softmax"],
            device=call_device(call["device"], model),
            custom_batch=None,
        )
        if data["x_batch"].shape != x_batch.shape and channel_first is None:
            self._warn([channels_moved(x_batch.shape, data["x_batch"].shape)])
        explained = ExplainedModel(
            model=model,
            model_kwargs=call["model_predict_kwargs"] or {},
            softmax=call["softmax"] is None or bool(call["softmax"]),
            explain_func=self.explain_func,
            explain_func_kwargs=self.explain_func_kwargs,
            normalise_func=self.normalise_func if self.normalise else None,
            absolute=self.abs,
        )
        return explained, Images(data["x_batch"], y_batch, image_ids, labels, supplied, int(call["batch_size"]))

    @property
    def plan(self) -> Plan:
        """How sensitivities are estimated, by the parameters as they are now."""
        n_masks = self.n_masks if isinstance(self.n_masks, str) else int(self.n_masks)
        return Plan(self.seed, self.mask_rate, n_masks, self.estimator, self.tolerance, self.display_progressbar)

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
        """Top-k agreement (Tan, WACV 2025, Eq. 5) as a metric of its own, which reads this metric's last run.

        Parameters
        ----------
        k
            How many of the most sensitive features to compare, at least 1.
        """
        return TopKAgreement(self, k)

    def standard_error(self) -> StandardError:
        """The standard errors of the scores as a metric of its own, which reads this metric's last run."""
        return StandardError(self)

    def adopt(self, records: Any, *args: Any, **kwargs: Any) -> None:
        """Take records of an earlier run, of another process for instance, for those of the last run of this metric.

        Parameters
        ----------
        records
            The `sensitivities` of a run with these parameters and arguments. That is not checked.
        args, kwargs
            The arguments of `__call__`. Nothing but the unperturbed images is predicted and explained.
        """
        bound = inspect.signature(self.__call__).bind(*args, **kwargs)
        bound.apply_defaults()
        run = LastRun(bound.arguments, self.parameters())
        run.records, run.evidence = records, self._second_look(bound.arguments, records)
        self.sensitivities, self.standard_errors, self._last_run = records, self.errors(records), run

    def last_sensitivities(
        self, call: Mapping[str, Any], *, parameters: Mapping[str, Any] | None = None, but: Iterable[str] = ()
    ) -> Any:
        """The records of the last run, if it had these arguments and the parameters as they are now; else None.

        What cannot be compared by value is looked at a second time: features, baselines, predictions and explanations of the
        unperturbed images must be what they were.

        Parameters
        ----------
        call
            The arguments of a call of the metric, by name.
        parameters
            The parameters of another metric that the run must have had, too.
        but
            Names of parameters that may differ.
        """
        run = self._last_run
        if not (run.had(parameters or {}, but=but) and run.is_of(call, self.parameters(), but=but)):
            return None
        return run.records if self._second_look(call, run.records) == run.evidence else None

    def _second_look(self, call: Mapping[str, Any], records: Any) -> Evidence:
        """What a run with these arguments would note as evidence, where an earlier one had these records."""
        looking = copy.copy(self)  # whose attributes and warnings nobody sees
        looking._disable_warnings = True
        explained, images = looking._arguments(call)
        known = self.certain(records)
        return preserving(call["model"], lambda restore: looking.second_look(explained, images, known, restore))

    @property
    def get_params(self) -> dict[str, Any]:
        """The parameters of `__init__`, by name, as Quantus calls it."""
        return self.parameters()

    def parameters(self) -> dict[str, Any]:
        """The parameters of `__init__` as they are now, by name."""
        return {name: getattr(self, name) for name in parameter_names(type(self), "__init__") if hasattr(self, name)}
