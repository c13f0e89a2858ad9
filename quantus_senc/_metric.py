"""What data and parameter SenC share: one call through Quantus, its records, warnings and progress."""

import inspect
import math
import warnings
from collections import Counter
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from numpy.typing import ArrayLike
from quantus.helpers.enums import EvaluationCategory, ModelType, ScoreDirection
from quantus.helpers.model.model_interface import ModelInterface
from quantus.metrics.base import Metric
from torch import Tensor, nn
from tqdm.auto import tqdm

from quantus_senc._arguments import check_call, check_keywords, check_masks
from quantus_senc._chunks import BatchLimit, Chunk
from quantus_senc._consistency import Sensitivity, consistency, why_undefined
from quantus_senc._explain import Subject, agrees, call_device, host_array
from quantus_senc._fingerprint import fingerprint
from quantus_senc._preserve import preserved
from quantus_senc._sensitivity import Sums
from quantus_senc._similarity import centred_ranks, rank_correlation
from quantus_senc._top_k import TopKAgreement

_REMEMBERED_RUNS = 4
_RUN_ARGUMENTS = (
    "model",
    "x_batch",
    "y_batch",
    "channel_first",
    "explain_func",
    "explain_func_kwargs",
    "model_predict_kwargs",
    "softmax",
    "device",
    "custom_batch",
)


@dataclass(frozen=True)
class Call:
    """What one call of a metric carries through Quantus as its `custom_batch`."""

    labels: np.ndarray | None
    supplied: np.ndarray | None
    progress: "tqdm[Any]"
    records: list[Sensitivity] = field(default_factory=list)


@dataclass(frozen=True)
class Originals:
    """Unperturbed confidence P° and ranked explanation e° of some images, on the model's device."""

    confidence: Float[Tensor, " B"]
    ranks: Float32[Tensor, "B n"]

    @classmethod
    def on(cls, device: torch.device, confidence: np.ndarray, attributions: np.ndarray) -> "Originals":
        """From arrays (B,) and (B, \\*shape)."""
        return cls(
            torch.as_tensor(confidence, device=device), centred_ranks(torch.as_tensor(attributions, device=device).flatten(1))
        )

    def compare(
        self, chunk: Chunk, confidence: Float[Tensor, " N"], attribution: Float[Tensor, "N *_"]
    ) -> tuple[Float[Tensor, "b 2 k"], Bool[Tensor, "b k"]]:
        """Weights of a chunk's masks, 1 - confidence change and explanation similarity, and which have no ranks."""
        images, shape = slice(*chunk.images), (chunk.n_images, chunk.n_masks)
        change = (self.confidence[images, None] - confidence.view(shape)).abs()
        similarity, constant = rank_correlation(self.ranks[images, None], attribution.view(*shape, -1))
        return torch.stack([1 - change.to(similarity), similarity], 1), constant


class SensitivityConsistency(Metric[list[float]]):
    """Base of the metrics, which differ in what they perturb.

    Attributes
    ----------
    sensitivities
        One record for each image of the last call.
    """

    model_applicability = {ModelType.TORCH}
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(
        self,
        n_masks: int,
        mask_rate: float,
        max_batch_size: int | str,
        seed: int,
        abs: bool,
        normalise: bool,
        normalise_func: Callable[..., np.ndarray] | None,
        normalise_func_kwargs: dict[str, Any] | None,
        return_aggregate: bool,
        aggregate_func: Callable[..., Any] | None,
        default_plot_func: Callable[..., Any] | None,
        disable_warnings: bool,
        display_progressbar: bool,
        **kwargs: Any,
    ) -> None:
        """Store the parameters that all metrics have."""
        check_keywords(kwargs, type(self).__init__)
        check_masks(n_masks, mask_rate, seed, max_batch_size)
        super().__init__(
            abs=abs,
            normalise=normalise,
            normalise_func=normalise_func,
            normalise_func_kwargs=normalise_func_kwargs,
            return_aggregate=return_aggregate,
            aggregate_func=aggregate_func,
            default_plot_func=default_plot_func,
            disable_warnings=disable_warnings,
            display_progressbar=display_progressbar,
        )
        self.n_masks = int(n_masks)
        self.mask_rate = float(mask_rate)
        self.max_batch_size = max_batch_size
        self.seed = int(seed)
        self.sensitivities: list[Sensitivity] = []
        self._runs: dict[Any, list[Sensitivity]] = {}

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
    ) -> list[float]:
        """Scores of the explanations of some images, as `quantus.evaluate` calls for them.

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
            device, thousands of samples a call; returns arrays or tensors.
        model_predict_kwargs
            For the model's forward pass.
        softmax
            Whether P is the softmax probability (as in the paper) or the model's own output.
        device
            None for the model's own, "cpu", or "gpu" for CUDA.
        batch_size
            How many images are prepared at a time; the scores do not depend on it.
        custom_batch
            Labels (B, \\*spatial) of the features, for metrics that mask features.

        Returns
        -------
        list of float
            One score an image, in [-1, 1]; NaN where it is undefined, with one warning that says why.

        Raises
        ------
        ValueError
            If an argument is wrong, before any work.
        """
        run = self._run(locals())
        check_keywords(kwargs, type(self).__call__)
        x_batch, y_batch = host_array(x_batch), host_array(y_batch)
        check_call(model, x_batch, y_batch, explain_func, explain_func_kwargs, batch_size)
        bar = tqdm(total=len(x_batch) * self.n_masks, desc=self.name, unit="copies", disable=not super().display_progressbar)
        labels, supplied = (None if given is None else host_array(given) for given in (custom_batch, a_batch))
        with preserved(model), bar:
            call = Call(labels, supplied, bar)
            scores = super().__call__(
                model=model,
                x_batch=x_batch,
                y_batch=y_batch,
                a_batch=None,
                s_batch=None,
                channel_first=channel_first,
                explain_func=explain_func,
                explain_func_kwargs=dict(explain_func_kwargs or {}),
                model_predict_kwargs=model_predict_kwargs,
                softmax=softmax is not False,
                device=call_device(device, model),
                batch_size=batch_size,
                custom_batch=call,
            )
        self._runs[run] = self.sensitivities
        while len(self._runs) > _REMEMBERED_RUNS:
            del self._runs[next(iter(self._runs))]
        return scores

    def custom_preprocess(
        self, *, model: ModelInterface[nn.Module], x_batch: np.ndarray, y_batch: np.ndarray, custom_batch: Call, **kwargs: Any
    ) -> dict[str, Any]:
        """The unperturbed predictions and explanations of all images, and what else their batches need."""
        normalise_func = self.normalise_func if self.normalise else None
        subject = Subject(model, self.explain_func, self.explain_func_kwargs, normalise_func, self.abs)
        subject.check_targets(x_batch, y_batch)
        prepared = self.prepare(x_batch, custom_batch)
        sample_bytes = subject.inputs(x_batch[:1]).nbytes * subject.samples_a_pass(x_batch, y_batch)
        limit = BatchLimit(self.max_batch_size, sample_bytes, subject.device)
        confidence, attributions = subject.original(x_batch, y_batch, limit)
        if custom_batch.supplied is not None and not agrees(custom_batch.supplied, attributions):
            self._warn(
                "a_batch is not what explain_func returns for these inputs; the scores are those of explain_func. "
                "(quantus.evaluate computes a_batch with the default method where xai_methods is a dict of dicts.)"
            )
        indices = np.arange(len(x_batch))
        originals = {"a_batch": attributions, "confidence_batch": confidence}
        return {"subject": subject, "limit": limit, "index_batch": indices, **originals, **prepared}

    def prepare(self, x_batch: np.ndarray, call: Call) -> dict[str, Any]:
        """What a metric needs besides, by name; names that end in "_batch" hold one thing an image."""
        return {}

    def record(self, labels: Tensor, originals: Originals, sums: Sums, image: int) -> Sensitivity:
        """What was found for one image of a batch, or for one layer and image."""
        prediction, explanation = sums.sensitivities[image, :, : int(labels.max()) + 1]
        undefined = why_undefined(prediction, explanation, originals.ranks[image])
        score = math.nan if undefined else consistency(prediction, explanation).item()
        n_constant = int(sums.n_constant[image])
        return Sensitivity(labels, prediction, explanation, score, self.n_masks, n_constant, undefined)

    def custom_postprocess(self, *, custom_batch: Call, **kwargs: Any) -> None:
        """Keep the records of the call and say which images have no score, and why."""
        self.sensitivities = records = custom_batch.records
        reasons = Counter(record.undefined for record in records if record.undefined)
        if reasons:
            counts = "; ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
            self._warn(f"{self.name} is NaN for {reasons.total()} of {len(records)} images: {counts}.")
        constant = sum(record.n_constant > record.n_masks / 2 and not record.undefined for record in records)
        if constant:
            self._warn(
                f"For {constant} of {len(records)} images, more than half of the masks made the attribution constant; "
                "a constant attribution has no ranks, and its similarity counted as 0. A lower mask_rate may help."
            )

    def _warn(self, message: str) -> None:
        if not self._disable_warnings:  # Quantus's property of this name is always True outside GitHub Actions
            warnings.warn(message, stacklevel=2)

    @property
    def display_progressbar(self) -> bool:
        """False, because Quantus would show a bar of its own that counts batches; `__call__` shows the metric's."""
        return False

    def top_k(self, k: int) -> TopKAgreement:
        """Top-k agreement (Tan, WACV 2025, Eq. 5) as a metric of its own, which reuses this metric's runs.

        Parameters
        ----------
        k
            How many of the most sensitive features to compare, at least 1.
        """
        return TopKAgreement(self, k)

    def remembered(self, call: Mapping[str, Any]) -> list[Sensitivity] | None:
        """The records of an earlier run with these arguments and the parameters as they are now, if there is one."""
        return self._runs.get(self._run(call))

    def _run(self, call: Mapping[str, Any]) -> Hashable:
        names = inspect.signature(type(self).__init__).parameters
        parameters = {name: getattr(self, name) for name in names if name != "self" and hasattr(self, name)}
        return fingerprint([parameters, [call.get(name) for name in _RUN_ARGUMENTS]])
