"""What a comparison is going to take, timed on its first image."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from quantus_senc.comparison.begin_run import refused
from quantus_senc.comparison.blocks import Block
from quantus_senc.comparison.cells import Cell, Evaluation
from quantus_senc.comparison.engine import check_sharing
from quantus_senc.comparison.failures import error_line, records_by_layer
from quantus_senc.comparison.model_source import loaded
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.progress import duration
from quantus_senc.comparison.run_folder import RUN, FolderRun
from quantus_senc.comparison.runs import Run
from quantus_senc.comparison.workload import Workload
from quantus_senc.core.array_like import ArrayLike
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.derived import source_of
from quantus_senc.plot.tables import by_metric_and_method

_FEW, _MORE, _GROWTH = 32, 160, 4  # masks; the difference of the times shows what a mask takes
_LONG_ENOUGH = 1.0  # seconds, beside which it matters little what else the machine does
_LARGE_SHARE = 0.3


@dataclass(frozen=True, eq=False)
class ExpectedTime:
    """What a comparison has to do, and about how long it takes in one process.

    Attributes
    ----------
    table
        One row per metric and method, in columns `metric`, `method`, `n_images` (to do), `masked_samples` (at most, where a
        tolerance ends sooner) and `seconds` of these, and `failure` (why it fails for the first image, or an empty string).
    n_blocks, n_done
        Of images; and how many cells, each a method by a metric on a block, are done already.
    has_tolerance
        Whether images get no more masks once they are certain enough.
    """

    table: pd.DataFrame
    n_blocks: int
    n_done: int
    has_tolerance: bool

    @property
    def seconds(self) -> float:
        """Of all that is to be done."""
        return float(self.table["seconds"].sum())

    def __str__(self) -> str:
        n_cells = len(self.table) * self.n_blocks
        samples = int(self.table["masked_samples"].sum())
        cells = self.table.assign(cell=[duration(seconds) if seconds else "-" for seconds in self.table["seconds"]])
        times = by_metric_and_method(cells, "cell").rename_axis(index=None, columns=None).to_string()
        bound = "At most about" if self.has_tolerance else "About"
        return (
            f"{n_cells} cells (a method by a metric on a block of images), of which {self.n_done} are done; "
            f"{samples:,} masked samples to do.\n\n{times}\n\n"
            f"{bound} {duration(self.seconds)} in one process, as the first image says. {self._advice()}\n{self._failures()}"
        )

    def _advice(self) -> str:
        """What would save most."""
        largest, seconds, samples = max(self._by_metric(), key=lambda row: row[1])
        share = seconds / self.seconds if self.seconds else 0.0
        if share < _LARGE_SHARE:
            return "Fewer images, methods or metrics take less."
        start = f"{share:.0%} of it is {largest}: "
        if not samples:
            return f"{start}leave it out, or take fewer images."
        if self.has_tolerance:
            return f"{start}a larger tolerance or fewer masks take less."
        return f"{start}tolerance=0.05 (--tolerance 0.05) ends an image's masks when its standard error is 0.05."

    def _by_metric(self) -> list[tuple[str, float, float]]:
        """Name, seconds and masked samples of each metric."""
        sums = self.table.groupby("metric", sort=False)[["seconds", "masked_samples"]].sum()
        columns = (sums["seconds"].tolist(), sums["masked_samples"].tolist())
        return list(zip(map(str, sums.index), *columns, strict=True))

    def _failures(self) -> str:
        """A line for each metric that fails, with the methods for which it does."""
        failing = self.table[self.table["failure"] != ""].groupby(["metric", "failure"], sort=False)["method"]
        return "".join(f"{metric} fails for {', '.join(names)}: {why}\n" for (metric, why), names in failing)


def expected_time(
    model: nn.Module | str,
    x_batch: ArrayLike | Tensor | Dataset | DataLoader,
    y_batch: ArrayLike | Tensor | None = None,
    *,
    folder: str | Path | None = None,
    shard: tuple[int, int] = (1, 1),
    **arguments: Any,
) -> ExpectedTime:
    """What `compare` with these arguments is going to do, and about how long that takes in one process.

    Each method runs by each metric on the first image, sensitivity consistency with few masks. Nothing is written.

    Parameters
    ----------
    model, x_batch, y_batch, shard
        As for `compare`.
    folder
        What is done there is not counted again.
    arguments
        Those of `compare` that say what is computed: `methods`, `metrics`, `n_masks`, `block_size` and so on.

    Returns
    -------
    ExpectedTime
        Its text has the numbers of cells and masked samples, a table of times, and the advice that saves most.

    Raises
    ------
    ValueError
        As `compare`.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> expected = expected_time(model, torch.rand(5, 4), [0, 1, 2, 0, 1], methods="Saliency", metrics=["SenC", "MPRT"])
    >>> expected.table[["metric", "n_images", "masked_samples"]].values.tolist()
    [['SenC', 5, 2500], ['MPRT', 5, 0]]
    """
    check_sharing(shard, folder or ".", None, None)
    workload = Workload.from_arguments(loaded(model), x_batch, y_batch, **arguments)
    run = None
    if folder is not None and (Path(folder) / RUN).exists():
        run = FolderRun(Path(folder))
        with refused(run.path):
            run.description.with_more(workload.description({}, with_images=True))
    return _timed(workload, workload.blocks[shard[0] - 1 :: shard[1]], run)


def _timed(workload: Workload, blocks: list[Block], run: Run | None) -> ExpectedTime:
    """Time each method by each metric on the first image.

    A metric that masks runs with few masks and with more, until that takes a second; the difference is what a mask takes, for
    each image, and the rest is taken once a block. Other metrics run as they are. Metrics that read the run of another take
    nothing.

    Parameters
    ----------
    workload, blocks
        What is to be done.
    run
        What is done already; None for nothing.
    """
    first = workload.blocks[0]
    evaluation = workload.evaluation(Block(first.number, first.places[:1]))(workload.model)
    to_do = {pair: _blocks_to_do(blocks, run, *pair) for pair in _pairs(workload)}
    timing, rows = _Timing(evaluation, workload.metrics), []
    for name, method in workload.methods.items():
        costs = timing.costs(method, [metric for metric in workload.metrics if to_do[name, metric]])
        for metric, cost in costs.items():
            sizes = [len(block.places) for block in to_do[name, metric]]
            seconds = cost.a_block * len(sizes) + cost.an_image * sum(sizes)
            rows.append((metric, name, sum(sizes), cost.samples * sum(sizes), seconds, cost.failure))
    table = pd.DataFrame(rows, columns=["metric", "method", "n_images", "masked_samples", "seconds", "failure"])
    n_done = sum(len(blocks) - len(left) for left in to_do.values())
    has_tolerance = workload.parameters["tolerance"] is not None
    return ExpectedTime(table, len(blocks), n_done, has_tolerance)


@dataclass(frozen=True)
class _Cost:
    """Seconds, and masked samples of an image."""

    a_block: float = 0.0
    an_image: float = 0.0
    samples: int = 0
    failure: str = ""


@dataclass(frozen=True, eq=False)
class _Timing:
    """Times metrics on one image, with what methods share."""

    evaluation: Evaluation
    metrics: Mapping[str, Any]

    def costs(self, method: Method, to_do: list[str]) -> dict[str, _Cost]:
        """The cost of each metric; of those that need not be done it is nothing."""
        costs = dict.fromkeys(self.metrics, _Cost())
        if not to_do:
            return costs
        try:
            maps = self.evaluation.attributions(method)
        except Exception as error:  # a method may raise anything
            return dict.fromkeys(self.metrics, _Cost(failure=f"the method failed: {error_line(error)}"))
        for name in to_do:
            costs[name] = self._cost(method, self.metrics[name], maps)
        return costs

    def _cost(self, method: Method, metric: Any, maps: np.ndarray) -> _Cost:
        if _reads_another(metric, self.metrics):
            return _Cost()
        source = source_of(metric)
        if not isinstance(source, SensitivityConsistency):
            cell = self.evaluation.score(method, metric, maps, {})
            return _Cost(an_image=cell.seconds, failure=cell.failures[0] if cell.error else "")
        few, _ = self._masked(method, source, maps, _FEW)
        n_more = _MORE
        more, looking = self._masked(method, source, maps, n_more)
        if more.error:
            return _Cost(failure=more.failures[0])
        layers = records_by_layer(looking.sensitivities)
        n_masks = max(source.plan.mask_count(len(records[0].prediction)) for records in layers)
        while more.seconds < _LONG_ENOUGH and n_more < n_masks:
            n_more = min(_GROWTH * n_more, n_masks)
            more, _ = self._masked(method, source, maps, n_more)
        a_mask = max(more.seconds - few.seconds, 0.0) / (n_more - _FEW)
        rest = max(few.seconds - a_mask * _FEW, 0.0)
        return _Cost(rest, a_mask * n_masks, n_masks * len(layers))

    def _masked(
        self, method: Method, metric: SensitivityConsistency, maps: np.ndarray, n_masks: int
    ) -> tuple[Cell, SensitivityConsistency]:
        """The cell of a copy of the metric with so many masks, and the copy."""
        looking = copy.copy(metric)
        looking.n_masks, looking.estimator, looking.tolerance = n_masks, "paper", None
        return self.evaluation.score(method, looking, maps, {}), looking


def _pairs(workload: Workload) -> list[tuple[str, str]]:
    return [(method, metric) for method in workload.methods for metric in workload.metrics]


def _blocks_to_do(blocks: list[Block], run: Run | None, method: str, metric: str) -> list[Block]:
    return [block for block in blocks if run is None or run.store(block.number).scores(method, metric) is None]


def _reads_another(metric: Any, metrics: Mapping[str, Any]) -> bool:
    """Whether a metric reads the run of another of the metrics."""
    source = metric.source if isinstance(metric, DataSensitivityConsistency) else source_of(metric)
    return source is not metric and any(each is source for each in metrics.values())
