"""The cells of a comparison: the scores of one explanation method by one metric, for the images of one block."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int64
from torch import Tensor, nn
from tqdm.auto import tqdm

from quantus_senc.comparison.failures import error_line, reasons, records_by_layer
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.quantus_per_image import PerImage
from quantus_senc.core.record import Sensitivity
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.derived import DerivedMetric
from quantus_senc.metrics.parameter_senc import ParameterSensitivityConsistency
from quantus_senc.model.arrays import copied, host_array, model_device
from quantus_senc.model.state import preserving, seeded

T = TypeVar("T")
# Keyword arguments of the calls of data SenC metrics, by metric; see `DataSensitivityConsistency.shared_arguments`.
SharedArguments = Mapping[DataSensitivityConsistency, Mapping[str, Any]]


@dataclass(frozen=True)
class Cell:
    """The scores of one method by one metric.

    Attributes
    ----------
    scores, standard_errors
        Of each image; NaN if there is none.
    failures
        Why each image has no score; empty strings for those that have one.
    raised
        Whether the method or the metric has raised an error.
    """

    scores: list[float]
    standard_errors: list[float]
    failures: list[str]
    raised: bool = False

    def by_image(self) -> Iterator[tuple[float, float, str]]:
        """Score, standard error and failure of each image."""
        return zip(self.scores, self.standard_errors, self.failures, strict=True)


@dataclass
class MethodResult:
    """What a comparison reads of one explanation method, for the images of one block.

    Attributes
    ----------
    cells
        By the name of the metric.
    seconds
        The duration of the explanation of all images ("explanation") and of each metric.
    attribution
        The map of the first image, summed over channels; None if the method failed.
    features, units
        The records of the first image by the first data SenC metric and by the first parameter SenC metric (of its first
        layer); None if there is no such metric, or it failed.
    """

    cells: dict[str, Cell] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    attribution: np.ndarray | None = None
    features: Sensitivity | None = None
    units: Sensitivity | None = None

    def add_records(self, metric: Any) -> None:
        """Take the record of the first image from a metric that has just run."""
        if isinstance(metric, DataSensitivityConsistency) and self.features is None:
            self.features = records_by_layer(metric)[0][0]
        elif isinstance(metric, ParameterSensitivityConsistency) and self.units is None:
            self.units = records_by_layer(metric)[0][0]


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
    """

    model: nn.Module
    x_batch: np.ndarray
    y_batch: np.ndarray
    image_ids: Int64[Tensor, " B"]
    seed: int

    def evaluate(
        self, name: str, method: Method, metrics: Mapping[str, Any], shared: SharedArguments, progress: "tqdm[Any]"
    ) -> tuple[MethodResult, SharedArguments]:
        """All cells of one method, and the shared arguments for the methods that follow.

        A method or a metric that raises an error loses its own cells only.

        Parameters
        ----------
        name, method, metrics
            The method with its name, and the metrics by name.
        shared
            From the methods before. They stay the same for all metrics of this method: top-k agreement and another
            estimator read the run of their metric, if it was called with the same arguments.
        progress
            Advanced by 1 per cell.
        """
        result, following = MethodResult(), dict(shared)
        progress.set_description(name)
        start = time.perf_counter()
        try:
            maps = self.attributions(method)
        except Exception as error:  # a method may raise anything
            result.cells = dict.fromkeys(metrics, self._raised(f"the method failed: {error_line(error)}"))
            progress.update(len(metrics))
            return result, following
        result.seconds["explanation"] = time.perf_counter() - start
        result.attribution = maps[0].sum(0) if maps.ndim == 4 else maps[0]
        for metric_name, metric in metrics.items():
            progress.set_description(f"{name}: {metric_name}")
            start = time.perf_counter()
            cell = self.score(method, metric, maps, shared)
            result.cells[metric_name], result.seconds[metric_name] = cell, time.perf_counter() - start
            if not cell.raised:
                result.add_records(metric)
                source = _data_senc(metric)
                if source is not None and source not in following:
                    following[source] = source.shared_arguments()
            progress.update()
        return result, following

    def attributions(self, method: Method) -> np.ndarray:
        """The maps of all images by one method.

        Raises
        ------
        ValueError
            If the method does not return a map of real numbers for each image.
        """

        def explain() -> np.ndarray:
            inputs, targets = self.x_batch.copy(), self.y_batch.copy()  # a method may change them
            kwargs = copied(method.explain_func_kwargs)
            # A copy, because the method may fill the same memory again at its next call.
            return host_array(method.explain_func(model=self.model, inputs=inputs, targets=targets, **kwargs)).copy()

        maps = self._run(explain)
        shape, dtype = maps.shape, maps.dtype
        if len(shape) < 2 or shape[0] != len(self.x_batch) or dtype.kind not in "fiu":
            raise ValueError(f"it returned maps of shape {shape} and type {dtype}; return a real map for each input")
        return maps

    def score(self, method: Method, metric: Any, maps: np.ndarray, shared: SharedArguments) -> Cell:
        """The cell of one method and one metric."""
        device, source = model_device(self.model), _data_senc(metric)
        more: dict[str, Any] = {} if device.type == "cpu" else {"device": str(device)}
        more |= {} if source is None else shared.get(source, {})
        data: dict[str, Any] = {"x_batch": self.x_batch, "y_batch": self.y_batch, "a_batch": maps, "s_batch": None}
        data |= {"explain_func_kwargs": method.explain_func_kwargs, "batch_size": len(self.x_batch)}
        if isinstance(metric, SensitivityConsistency | DerivedMetric):
            data["image_ids"] = self.image_ids
        else:
            data = copied(data)  # other metrics may change what they are given
            more |= {"seed": self.seed} if isinstance(metric, PerImage) else {}
        try:
            returned = self._run(lambda: metric(model=self.model, explain_func=method.explain_func, **data, **more))
            scores = self._one_per_image(returned)
            has_errors = isinstance(metric, SensitivityConsistency)
            errors = self._one_per_image(metric.standard_errors) if has_errors else [np.nan] * len(scores)
        except Exception as error:  # a metric may raise anything
            return self._raised(error_line(error))
        return Cell(scores, errors, reasons(metric, scores, maps))

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

    def _raised(self, failure: str) -> Cell:
        nan = [np.nan] * len(self.x_batch)
        return Cell(nan, nan, [failure] * len(nan), raised=True)


def _data_senc(metric: Any) -> DataSensitivityConsistency | None:
    """The data SenC metric that a metric is, or is derived from."""
    source = metric.metric if isinstance(metric, DerivedMetric) else metric
    return source if isinstance(source, DataSensitivityConsistency) else None
