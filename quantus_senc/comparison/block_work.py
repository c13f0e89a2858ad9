"""The work of one block: all methods by all metrics on its images, but for the cells that are there already."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from quantus_senc.comparison.cells import Cell, Evaluation, Explanation
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.named_methods import Method
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.derived import source_of


class Store(Protocol):
    """Where the cells of one block are kept, by the names of method and metric."""

    def cell(self, method: str, metric: str) -> Cell | None:
        """A cell; None if it is to be done."""

    def keep(self, method: str, metric: str, cell: Cell) -> None:
        """Keep a cell."""

    def keep_explanation(self, method: str, explanation: Explanation) -> None:
        """Keep what belongs to all cells of a method."""


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
    told
        Called with what is done next, and after each cell with an empty string.
    """

    evaluation: Evaluation
    methods: Mapping[str, Method]
    metrics: Mapping[str, Any]
    store: Store
    told: Callable[[str], object]

    def run(self) -> None:
        """Do the cells that are not there.

        A method or a metric that raises an error loses its own cells only. Metrics that mask features get the features and
        the predictions of masked images from the first method whose cell has records: also if these are read from the store.
        """
        shared: dict[DataSensitivityConsistency, dict[str, Any]] = {}
        for name, method in self.methods.items():
            cells = {metric_name: self.store.cell(name, metric_name) for metric_name in self.metrics}
            for _ in filter(None, cells.values()):
                self.told("")
            following = dict(shared)  # the same for all metrics of a method, which read each other's runs
            if any(cell is None for cell in cells.values()):
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
        self.told(name)
        start = time.perf_counter()
        try:
            maps = self.evaluation.attributions(method)
        except Exception as error:  # a method may raise anything
            for metric_name in [metric_name for metric_name, cell in cells.items() if cell is None]:
                self._keep(name, metric_name, self.evaluation.failed(f"the method failed: {error_line(error)}"), cells)
            self.store.keep_explanation(name, Explanation(time.perf_counter() - start, None))
            return
        attribution = maps[0].sum(0) if maps.ndim == 4 else maps[0]
        self.store.keep_explanation(name, Explanation(time.perf_counter() - start, attribution))
        for metric_name, metric in self.metrics.items():
            source, recorder, cell = source_of(metric), self._recorder(metric), cells[metric_name]
            more = shared.get(source, {}) if isinstance(source, DataSensitivityConsistency) else {}
            if cell is None:
                self.told(f"{name}: {metric_name}")
                scored = self.evaluation.score(method, metric, maps, more)
                records = None if recorder is None or scored.error else recorder.sensitivities
                self._keep(name, metric_name, replace(scored, records=records), cells)
            elif recorder is not None and cell.records:
                self.evaluation.adopt(method, recorder, maps, cell.records, more)

    def _keep(self, method: str, metric: str, cell: Cell, cells: dict[str, Cell | None]) -> None:
        self.store.keep(method, metric, cell)
        cells[metric] = cell
        self.told("")

    def _recorder(self, metric: Any) -> SensitivityConsistency | None:
        """The metric whose records the cell of a metric keeps; None if it has none, or another cell keeps them."""
        source = source_of(metric)
        if not isinstance(source, SensitivityConsistency):
            return None
        readers = [each for each in self.metrics.values() if source_of(each) is source]
        keeper = source if any(each is source for each in readers) else readers[0]
        return source if metric is keeper else None
