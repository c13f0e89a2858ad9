"""The work of one block: all methods by all metrics on its images, but for the cells that are there already."""

import time
import traceback
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from quantus_senc.comparison.cells import Cell, Evaluation, Explanation
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.progress import Progress
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.derived import source_of

TOO_LONG = "it took longer than the time limit"


class Store(Protocol):
    """Where the cells of one block are kept, by the names of method and metric."""

    def cell(self, method: str, metric: str) -> Cell | None:
        """A cell; None if it is to be done."""

    def keep(self, method: str, metric: str, cell: Cell) -> None:
        """Keep a cell."""

    def explanation(self, method: str) -> Explanation | None:
        """What belongs to all cells of a method; None if it is not there."""

    def keep_explanation(self, method: str, explanation: Explanation) -> None:
        """Keep what belongs to all cells of a method."""

    def at_work(self, method: str, metric: str | None) -> AbstractContextManager[object]:
        """For the time of the work on a cell, or on the explanations of a method if the metric is None."""

    def took_too_long(self, method: str, metric: str | None) -> str:
        """Where the process was that an earlier time limit has ended; empty if there was none."""


@dataclass(frozen=True, eq=False)
class BlockWork:
    """All methods and metrics for the images of one block.

    Attributes
    ----------
    evaluation
        The model and the images.
    methods, metrics
        By name.
    store
        Where the cells are.
    progress
        It is told each cell, by `kind_of_work`.
    """

    evaluation: Evaluation
    methods: Mapping[str, Method]
    metrics: Mapping[str, Any]
    store: Store
    progress: Progress

    def run(self) -> None:
        """Do the cells that are not there.

        A method or a metric that raises an error loses its own cells only. Metrics that mask features get the features and
        the predictions of masked images from the first method whose cell has records: also if these are read from the store.
        """
        shared: dict[DataSensitivityConsistency, dict[str, Any]] = {}
        for name, method in self.methods.items():
            cells = {metric_name: self.store.cell(name, metric_name) for metric_name in self.metrics}
            for metric_name in [metric_name for metric_name, cell in cells.items() if cell is not None]:
                self.progress.skip(kind_of_work(name, metric_name), len(self.evaluation.x_batch))
            following = dict(shared)  # the same for all metrics of a method, which read each other's runs
            if None in cells.values() or self.store.explanation(name) is None:
                self._do(name, method, cells, shared)
            for metric_name, metric in self.metrics.items():
                recorder, cell = self._recorder(metric), cells[metric_name]
                if isinstance(recorder, DataSensitivityConsistency) and recorder not in shared and cell and cell.records:
                    recorder.sensitivities = cell.records
                    following[recorder] = recorder.shared_arguments()
            shared = following

    def _do(
        self,
        name: str,
        method: Method,
        cells: dict[str, Cell | None],
        shared: Mapping[DataSensitivityConsistency, Mapping[str, Any]],
    ) -> None:
        """Do the cells of a method that are None, and put them in their places."""
        maps = self._explained(name, method, cells)
        if maps is None:
            return
        self._adopt(name, maps, cells, shared)
        for metric_name, metric in self.metrics.items():
            if cells[metric_name] is None:
                self.progress.begin(kind_of_work(name, metric_name))
                scored = self._scored(name, metric_name, maps, _shared_with(metric, shared))
                recorder = self._recorder(metric)
                records = None if recorder is None or scored.error else recorder.sensitivities
                self._keep(name, metric_name, replace(scored, records=records), cells)

    def _adopt(
        self,
        method: str,
        maps: np.ndarray,
        cells: Mapping[str, Cell | None],
        shared: Mapping[DataSensitivityConsistency, Mapping[str, Any]],
    ) -> None:
        """Let metrics whose cells are there take their records for those of their last run, if others are to read them."""
        to_do = [source_of(metric) for name, metric in self.metrics.items() if cells[name] is None]
        if not any(isinstance(source, SensitivityConsistency) for source in to_do):
            return
        with self.store.at_work(method, None):
            for name, metric in self.metrics.items():
                recorder, cell, more = self._recorder(metric), cells[name], _shared_with(metric, shared)
                if recorder is not None and cell is not None and cell.records:
                    self.evaluation.adopt(self.methods[method], recorder, maps, cell.records, more)

    def _explained(self, name: str, method: Method, cells: dict[str, Cell | None]) -> np.ndarray | None:
        """The maps of a method; None if it fails, so that its cells fail, too."""
        self.progress.begin(name)
        start = time.perf_counter()
        maps, why, where = None, TOO_LONG, self.store.took_too_long(name, None)
        if not where:
            try:
                with self.store.at_work(name, None):
                    maps = self.evaluation.attributions(method)
            except Exception as error:  # a method may raise anything
                why, where = error_line(error), traceback.format_exc()
        seconds = time.perf_counter() - start
        if maps is None:
            for metric_name in [metric_name for metric_name, cell in cells.items() if cell is None]:
                self._keep(name, metric_name, self.evaluation.failed(f"the method failed: {why}", where), cells)
            self.store.keep_explanation(name, Explanation(seconds, None))
        else:
            self.store.keep_explanation(name, Explanation(seconds, maps[0].sum(0) if maps.ndim > 3 else maps[0]))
        return maps

    def _scored(self, name: str, metric_name: str, maps: np.ndarray, more: Mapping[str, Any]) -> Cell:
        """The cell of a method and a metric."""
        where = self.store.took_too_long(name, metric_name)
        if where:
            return self.evaluation.failed(TOO_LONG, where)
        with self.store.at_work(name, metric_name):
            return self.evaluation.score(self.methods[name], self.metrics[metric_name], maps, more)

    def _keep(self, method: str, metric: str, cell: Cell, cells: dict[str, Cell | None]) -> None:
        self.store.keep(method, metric, cell)
        cells[metric] = cell
        if cell.error:
            self.progress.note(f"{kind_of_work(method, metric)}: {cell.failures[0]}")
        self.progress.done(kind_of_work(method, metric), len(self.evaluation.x_batch))

    def _recorder(self, metric: Any) -> SensitivityConsistency | None:
        """The metric whose records the cell of a metric keeps; None if it has none, or another cell keeps them."""
        source = source_of(metric)
        if not isinstance(source, SensitivityConsistency):
            return None
        readers = [each for each in self.metrics.values() if source_of(each) is source]
        keeper = source if any(each is source for each in readers) else readers[0]
        return source if metric is keeper else None


def _shared_with(metric: Any, shared: Mapping[DataSensitivityConsistency, Mapping[str, Any]]) -> Mapping[str, Any]:
    """The arguments for a metric that do not depend on the method, as far as an earlier method has shown them."""
    source = source_of(metric)
    return shared.get(source, {}) if isinstance(source, DataSensitivityConsistency) else {}


def kind_of_work(method: str, metric: str) -> str:
    """What is shown while a cell is done."""
    return f"{method}: {metric}"
