"""Where the cells of a comparison are: what a run is, and one in memory. See `run_folder` for one in a folder."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Protocol

from quantus_senc.comparison.block_work import Store
from quantus_senc.comparison.cells import Cell, Explanation
from quantus_senc.comparison.description import Description
from quantus_senc.comparison.examples import Examples


class ReadableStore(Store, Protocol):
    """A store of which the results are read, too."""

    def scores(self, method: str, metric: str) -> Cell | None:
        """A cell without its records; None if it is not there."""


class Run(Protocol):
    """The cells of a comparison, and what it is of."""

    description: Description
    example: Examples | None

    def store(self, block: int) -> ReadableStore:
        """The cells of a block."""

    def lock(self, block: int, *, wait: bool) -> AbstractContextManager[object]:
        """For the time of its work on a block. It raises TimeoutError if another process has it, and `wait` is False."""


class MemoryRun:
    """Cells in memory, with the records of the first block alone.

    Parameters
    ----------
    description
        What the comparison is of.
    example
        The first image, or None.
    """

    def __init__(self, description: Description, example: Examples | None) -> None:
        self.description, self.example = description, example
        self._stores: dict[int, MemoryStore] = {}

    def store(self, block: int) -> "MemoryStore":
        """The cells of a block."""
        return self._stores.setdefault(block, MemoryStore(keeps_records=block == min(self.description.blocks)))

    def put(self, block: int, store: "MemoryStore") -> None:
        """Take the cells of a block that another process has made."""
        self._stores[block] = store

    def lock(self, block: int, *, wait: bool) -> AbstractContextManager[object]:
        """Nobody else has it."""
        return nullcontext()


class MemoryStore:
    """The cells of one block.

    Parameters
    ----------
    keeps_records
        Whether the records of cells are kept.
    """

    def __init__(self, *, keeps_records: bool) -> None:
        self.keeps_records = keeps_records
        self._cells: dict[tuple[str, str], Cell] = {}
        self._explanations: dict[str, Explanation] = {}

    def cell(self, method: str, metric: str) -> Cell | None:
        """A cell; None if it is not there."""
        return self._cells.get((method, metric))

    scores = cell

    def keep(self, method: str, metric: str, cell: Cell) -> None:
        """Keep a cell."""
        self._cells[method, metric] = cell if self.keeps_records else replace(cell, records=None)

    def explanation(self, method: str) -> Explanation | None:
        """What belongs to all cells of a method; None if it is not there."""
        return self._explanations.get(method)

    def keep_explanation(self, method: str, explanation: Explanation) -> None:
        """Keep what belongs to all cells of a method."""
        self._explanations[method] = explanation

    def at_work(self, method: str, metric: str | None) -> AbstractContextManager[object]:
        """There is no time limit."""
        return nullcontext()

    def took_too_long(self, method: str, metric: str | None) -> str:
        """Nothing did."""
        return ""
