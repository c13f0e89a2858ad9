"""The cells of a comparison: the scores of one explanation method by one metric, for the images of one block."""

import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64
from quantus.metrics.base import Metric
from torch import Tensor, nn

from quantus_senc.comparison.failures import Records, error_line, reasons
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.quantus_per_image import PerImage, fresh_copy, prediction_arguments
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.derived import DerivedMetric
from quantus_senc.model.arrays import copied, giving_arrays, model_device
from quantus_senc.model.state import preserving, seeded

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Cell:
    """The scores of one method by one metric, for the images of one block.

    Attributes
    ----------
    scores, standard_errors
        Of each image; NaN if there is none.
    failures
        Why each image has no score; empty strings for those that have one.
    seconds
        How long it took.
    error
        The traceback of the error that the method or the metric has raised, or an empty string.
    records
        What a metric of sensitivity consistency has computed; None of other metrics, and where another cell has it.
    """

    scores: list[float]
    standard_errors: list[float]
    failures: list[str]
    seconds: float
    error: str = ""
    records: Records | None = None

    def by_image(self) -> Iterator[tuple[float, float, str]]:
        """Score, standard error and failure of each image."""
        return zip(self.scores, self.standard_errors, self.failures, strict=True)


@dataclass(frozen=True, eq=False)
class Explanation:
    """What a comparison keeps of the explanations of one method, for the images of one block.

    Attributes
    ----------
    seconds
        How long they took.
    attribution
        The map of the first image, summed over channels; None if the method failed.
    """

    seconds: float
    attribution: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A model and the images of one block, on which methods are evaluated.

    Attributes
    ----------
    model, x_batch, y_batch
        As for `compare`, but as arrays.
    image_ids
        The numbers of the images in the whole data set; metrics of Quantus are not told.
    seed
        Of the random numbers that methods and metrics draw from global generators.
    softmax
        For all metrics; None for what each has by itself.
    s_batch, custom_batch
        Masks of objects (B, ...), for metrics of Quantus, and labels of features (B, ...), for those of this package; or None.
    """

    model: nn.Module
    x_batch: np.ndarray
    y_batch: np.ndarray
    image_ids: Int64[Tensor, " B"]
    seed: int
    softmax: bool | None = None
    s_batch: np.ndarray | None = None
    custom_batch: np.ndarray | None = None

    def attributions(self, method: Method) -> np.ndarray:
        """The maps of all images by one method.

        Raises
        ------
        ValueError
            If the method does not return a map of real numbers for each image.
        """
        explain, kwargs = giving_arrays(method.explain_func), method.explain_func_kwargs
        maps = self._run(lambda: explain(model=self.model, inputs=self.x_batch, targets=self.y_batch, **kwargs))
        shape, dtype = maps.shape, maps.dtype
        if len(shape) < 2 or shape[0] != len(self.x_batch) or dtype.kind not in "fiu":
            raise ValueError(f"it returned maps of shape {shape} and type {dtype}; return a real map for each input")
        return maps

    def score(self, method: Method, metric: Any, maps: np.ndarray, more: Mapping[str, Any]) -> Cell:
        """The cell of one method and one metric.

        Parameters
        ----------
        method, metric
            What is called.
        maps
            What `attributions` returned.
        more
            Keyword arguments of the metric's call.
        """
        start = time.perf_counter()
        try:
            called = metric if isinstance(metric, SensitivityConsistency | DerivedMetric) else fresh_copy(metric)
            returned = self._run(lambda: called(**{**self._call(method, metric, maps), **more}))
            scores = self._one_per_image(returned)
            has_errors = isinstance(metric, SensitivityConsistency)
            errors = self._one_per_image(metric.standard_errors) if has_errors else [np.nan] * len(scores)
        except Exception as error:  # a metric may raise anything
            return self.failed(error_line(error), traceback.format_exc(), time.perf_counter() - start)
        return Cell(scores, errors, reasons(metric, scores, maps), time.perf_counter() - start)

    def adopt(
        self, method: Method, metric: SensitivityConsistency, maps: np.ndarray, records: Records, more: Mapping[str, Any]
    ) -> None:
        """Let a metric take the records of an earlier process for those of its last run, as if it had been called here.

        If the method raises an error now, the metrics that read this run call the metric, and report the error.
        """
        with suppress(Exception):
            self._run(lambda: metric.adopt(records, **{**self._call(method, metric, maps), **more}))

    def failed(self, why: str, where: str, seconds: float = 0.0) -> Cell:
        """The cell of an error, with the traceback."""
        nan = [np.nan] * len(self.x_batch)
        return Cell(nan, nan, [why] * len(nan), seconds, where)

    def _call(self, method: Method, metric: Any, maps: np.ndarray) -> dict[str, Any]:
        """The arguments of a metric's call."""
        device = model_device(self.model)
        data: dict[str, Any] = {"x_batch": self.x_batch, "y_batch": self.y_batch, "a_batch": maps, "s_batch": self.s_batch}
        data |= {"explain_func_kwargs": method.explain_func_kwargs, "batch_size": len(self.x_batch)}
        if isinstance(metric, SensitivityConsistency | DerivedMetric):
            data |= {"image_ids": self.image_ids, "custom_batch": self.custom_batch, "channel_first": True}
            data["explain_func"] = method.explain_func
            data |= {} if self.softmax is None else {"softmax": self.softmax}
        else:
            data = copied(data)  # other metrics may change what they are given
            data |= {"seed": self.seed} if isinstance(metric, PerImage) else {}
            data |= {"channel_first": True} if isinstance(metric, PerImage | Metric) else {}
            data["explain_func"] = giving_arrays(method.explain_func)
            data |= prediction_arguments(self.model, metric, self.softmax)
        data |= {} if device.type == "cpu" else {"device": str(device)}
        return data | {"model": self.model}

    def _run(self, run: Callable[[], T]) -> T:
        """What `run` returns, with seeded generators. Model and generators are as before afterwards."""
        return preserving(self.model, lambda restore: seeded(self.seed, run))

    def _one_per_image(self, returned: Any) -> list[float]:
        try:
            scores = np.asarray(returned, dtype=np.float64)
        except (TypeError, ValueError):
            scores = np.empty(0)
        if scores.shape != (len(self.x_batch),):
            raise ValueError(
                f"it returned a {type(returned).__name__}, not one number for each of {len(self.x_batch)} images; pass "
                "a metric that returns no aggregate, no curve and no dict"
            )
        return scores.tolist()
