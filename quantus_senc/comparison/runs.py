"""Where the cells of a comparison are kept: in memory, or in a folder, where each is a file.

In a folder nothing that is done is lost, whatever happens: a cell is written beside and renamed when it is complete. Several
processes may work in the same folder. Each locks the block that it works on, and the system frees what a dead one has locked.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from quantus_senc.comparison.block_work import Store
from quantus_senc.comparison.cells import Cell, Explanation
from quantus_senc.comparison.description import Description, OtherComparisonError
from quantus_senc.comparison.encoding import from_npz, npz_of
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.folder import write_to_disk
from quantus_senc.comparison.probe import Probe
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.record import Sensitivity
from quantus_senc.model.warn import warn

RUN = "run.json"
_EXAMPLE = "example.npz"
_PROBE = "probe.npz"
_CELLS = "cells"
_BESIDE = ".new"  # ends the names of files that are being written
_OF_RESULTS = {"scores.csv", "metrics.csv", "settings.json", "examples.npz", "SHA256SUMS", ".lock", "report.html"}


class ReadableStore(Store, Protocol):
    """A store of which the results are read, too."""

    def scores(self, method: str, metric: str) -> Cell | None:
        """A cell without its records; None if it is not there."""

    def explanation(self, method: str) -> Explanation | None:
        """What belongs to all cells of a method; None if it is not there."""


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


class FolderRun:
    """Cells as files.

    Parameters
    ----------
    path
        The folder.
    retry_failed
        Whether cells with an error are done again.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    ValueError
        If the run cannot be read.
    """

    def __init__(self, path: Path, *, retry_failed: bool = False) -> None:
        self.path, self.retry_failed = path, retry_failed
        try:
            self.description = Description.from_json((path / RUN).read_text())
            file = path / _EXAMPLE
            self.example = from_npz(file, Examples) if file.exists() else None
        except FileNotFoundError as error:
            raise FileNotFoundError(f"folder={str(path)!r} holds no {RUN}; pass the folder of a run") from error
        except Exception as error:  # what parsers raise for files that are broken is of many types
            raise ValueError(f"folder={str(path)!r} cannot be read: {error}") from error

    @classmethod
    def begin(
        cls,
        path: Path,
        description: Description,
        example: Examples | None,
        probe: Callable[[Probe | None], Probe],
        *,
        fresh: bool,
        retry_failed: bool,
    ) -> "FolderRun":
        """Begin a run in a folder, or go on with the one that is there.

        Parameters
        ----------
        description, example
            Of this call. What is new in it is added to what the folder has.
        probe
            Tries the model and the methods of this call on the image of an earlier probe; on an image of this call if there is
            none.
        fresh
            Whether all that is there is deleted first.

        Raises
        ------
        ValueError
            If the folder holds other files, or a run that is of something else, or that cannot be read.
        OSError
            If nothing can be written there.
        """
        path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path / f".{RUN}.lock")
        with lock:
            if fresh and (path / RUN).exists():
                cls(path)  # raises an error for a folder that is not ours, of which nothing is deleted
                shutil.rmtree(path / _CELLS, ignore_errors=True)
                for name in (RUN, _EXAMPLE, _PROBE):
                    (path / name).unlink(missing_ok=True)
            is_new = not (path / RUN).exists()
            if is_new:
                _begin(path, description, example, probe)
        if not is_new:
            with _refused(path):
                before = cls(path)
                before.description.with_more(description)  # raises an error for another one before anything is tried
                now = probe(before.probe())  # takes a while, in which others need not wait
                with lock:
                    cls(path)._join(description, example, now)
        return cls(path, retry_failed=retry_failed)

    def probe(self) -> Probe:
        """What the model and the methods have made of one image.

        Raises
        ------
        ValueError
            If it cannot be read.
        """
        try:
            probe = from_npz(self.path / _PROBE, Probe)
        except Exception as error:  # what NumPy raises for files that are broken is of many types
            raise ValueError(f"folder={str(self.path)!r} cannot be read: {_PROBE} ({error_line(error)})") from error
        return replace(probe, maps={name: probe.maps.get(name) for name in self.description.methods})

    def _join(self, description: Description, example: Examples | None, now: Probe) -> None:
        """Add what is new in another call. The description, which says what is there, comes last."""
        after = self.description.with_more(description)
        probe = self.probe().with_more(now, same_device=self.description.settings["device"] == description.settings["device"])
        if example is not None and min(description.blocks) < min(self.description.blocks):
            _write(self.path / _EXAMPLE, npz_of(example))
        if after.methods.keys() != self.description.methods.keys():
            _write(self.path / _PROBE, npz_of(probe))
        if after != self.description:
            _write(self.path / RUN, after.to_json().encode())

    def store(self, block: int) -> "FolderStore":
        """The cells of a block."""
        return FolderStore(self.path / _CELLS / f"{block:06d}", retry_failed=self.retry_failed)

    @contextmanager
    def lock(self, block: int, *, wait: bool) -> Iterator[None]:
        """For the time of its work on a block. It raises TimeoutError if another process has it, and `wait` is False."""
        folder = self.path / _CELLS / f"{block:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=-1 if wait else 0):
            for file in folder.glob(f".*{_BESIDE}"):
                file.unlink()  # a process that was killed has left it
            yield


class FolderStore:
    """The cells of one block as files of a folder.

    Parameters
    ----------
    path
        The folder.
    retry_failed
        Whether cells with an error are done again.
    """

    def __init__(self, path: Path, *, retry_failed: bool) -> None:
        self.path, self.retry_failed = path, retry_failed

    def cell(self, method: str, metric: str) -> Cell | None:
        """A cell; None if it is not there, is damaged, or has an error and is to be done again."""
        cell = self._read(self._cell_file(method, metric))
        return None if cell is not None and cell.error and self.retry_failed else cell

    def scores(self, method: str, metric: str) -> Cell | None:
        """A cell without its records; None if it is not there, or is damaged."""
        return self._read(self._cell_file(method, metric), without=("records",))

    def keep(self, method: str, metric: str, cell: Cell) -> None:
        """Write a cell, and the traceback of its error as text."""
        self.path.mkdir(parents=True, exist_ok=True)
        file = self._cell_file(method, metric)
        _write(file, npz_of(cell, compressed=False))
        file.with_suffix(".txt").unlink(missing_ok=True)
        if cell.error:
            _write(file.with_suffix(".txt"), cell.error.encode(errors="backslashreplace"))

    def explanation(self, method: str) -> Explanation | None:
        """What belongs to all cells of a method; None if it is not there, or is damaged."""
        file = self.path / f"{_file_name(method)}.npz"
        try:
            return from_npz(file, Explanation) if file.exists() else None
        except Exception:  # what NumPy raises for files that are broken is of many types
            return None

    def keep_explanation(self, method: str, explanation: Explanation) -> None:
        """Write what belongs to all cells of a method."""
        self.path.mkdir(parents=True, exist_ok=True)
        _write(self.path / f"{_file_name(method)}.npz", npz_of(explanation))

    def _cell_file(self, method: str, metric: str) -> Path:
        return self.path / f"{_file_name(method)} by {_file_name(metric)}.npz"

    def _read(self, file: Path, *, without: tuple[str, ...] = ()) -> Cell | None:
        if not file.exists():
            return None
        try:
            return from_npz(file, Cell, Sensitivity, MaskDesign, without=without)
        except Exception as error:  # what NumPy raises for files that are broken is of many types
            warn(f"{file} is damaged ({type(error).__name__}: {error}), and counts as not done.")
            return None


def _is_ours(name: str) -> bool:
    """Whether a file may be in a folder without a description: of earlier results, or of a process that was killed."""
    return name in _OF_RESULTS | {_EXAMPLE, _PROBE, _CELLS, f".{RUN}.lock"} or name.endswith(_BESIDE)


def _begin(path: Path, description: Description, example: Examples | None, probe: Callable[[Probe | None], Probe]) -> None:
    """Write what makes a run of a folder, the description last.

    Raises
    ------
    ValueError
        If the folder holds other files.
    """
    others = sorted(file.name for file in path.iterdir() if not _is_ours(file.name))
    if others:
        raise ValueError(f"folder={str(path)!r} holds other files ({others[0]}), but no comparison; pass an empty folder")
    if incomparable := description.incomparable():
        warn(f"The run in {str(path)!r} can't be continued if it is stopped: {'; '.join(incomparable)}.")
    _write(path / _PROBE, npz_of(probe(None)))
    if example is not None:
        _write(path / _EXAMPLE, npz_of(example))
    _write(path / RUN, description.to_json().encode())


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Say which folder it is that holds another comparison, and the remedy."""
    try:
        yield
    except OtherComparisonError as error:
        raise ValueError(
            f"folder={str(path)!r} holds another comparison: {error}; pass another folder, or fresh=True (--fresh), which "
            "deletes what is there"
        ) from error


def n_cells_in(path: Path) -> int:
    """How many cells a folder has."""
    return len(list(path.glob(f"{_CELLS}/*/* by *.npz")))


def _write(file: Path, data: bytes) -> None:
    """Write a file beside, and rename it when it is complete."""
    beside = file.with_name(f".{file.name}.{os.getpid()}{_BESIDE}")
    try:
        write_to_disk(beside, data)
        os.replace(beside, file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(f"{str(file)!r} was not written ({error}); mend that, and run the same again to go on") from error


def _file_name(name: str) -> str:
    """A name of a file for any name; different for different names."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name)[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
