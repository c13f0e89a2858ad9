"""A comparison in a folder, where each cell is a file.

Nothing that is done is lost, whatever happens: a cell is written beside and renamed when it is complete. Several processes may
work in the same folder. Each locks the block that it works on, and the system frees what a dead one has locked. Every run has
an identifier, and cells lie below it, so that cells of another run are never taken for those of this one.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from quantus_senc.comparison.cell_files import BESIDE, FolderStore, write_file
from quantus_senc.comparison.description import Description
from quantus_senc.comparison.encoding import from_npz, npz_of
from quantus_senc.comparison.examples import Examples
from quantus_senc.model.warn import warn

RUN = "run.json"
_EXAMPLE = "example.npz"
_CELLS = "cells"
_OF_RESULTS = {"scores.csv", "metrics.csv", "settings.json", "examples.npz", "SHA256SUMS", ".lock", "report.html"}


class FolderRun:
    """Cells as files.

    Parameters
    ----------
    path
        The folder.
    retry_failed
        Whether cells with an error are done again.
    timeout
        Of a cell, in seconds; None for no limit.

    Raises
    ------
    FileNotFoundError
        If the folder holds no run.
    ValueError
        If the run cannot be read.
    """

    def __init__(self, path: Path, *, retry_failed: bool = False, timeout: float | None = None) -> None:
        self.path, self.retry_failed, self.timeout = path, retry_failed, timeout
        try:
            self.description = Description.from_json((path / RUN).read_text())
        except FileNotFoundError as error:
            raise FileNotFoundError(f"folder={str(path)!r} holds no {RUN}; pass the folder of a run") from error
        except (OSError, ValueError) as error:
            raise ValueError(f"folder={str(path)!r} cannot be read: {error}") from error
        self.example = _example(path / _EXAMPLE)
        self._cells = path / _CELLS / self.description.run

    @classmethod
    def begin(
        cls,
        path: Path,
        description: Description,
        example: Examples | None,
        *,
        fresh: bool = False,
        retry_failed: bool = False,
        timeout: float | None = None,
    ) -> "FolderRun":
        """Begin a run in a folder, or go on with the one that is there.

        Parameters
        ----------
        path, retry_failed, timeout
            As above.
        description, example
            Of this call. What is new in it is added to what the folder has.
        fresh
            Whether all that is there is deleted first.

        Raises
        ------
        ValueError
            If the folder holds other files, or a run that is of something else, or that cannot be read.
        OSError
            If nothing can be written there.
        """
        _check_ours(path)
        path.mkdir(parents=True, exist_ok=True)
        with FileLock(path / f".{RUN}.lock"):
            before = cls(path) if (path / RUN).exists() else None  # raises an error for a folder that is not ours
            if before is not None and fresh:
                shutil.rmtree(path / _CELLS, ignore_errors=True)  # a process that is at work there goes on with its own
                before = None
            after = description if before is None else before.with_more(description)
            if example is not None and (before is None or before.example is None or before._is_after(description)):
                write_file(path / _EXAMPLE, npz_of(example))
            if before is None or after != before.description:
                write_file(path / RUN, after.to_json().encode())
        return cls(path, retry_failed=retry_failed, timeout=timeout)

    def check(self) -> None:
        """Raise ValueError if another process has begun another run in the folder."""
        try:
            run = FolderRun(self.path).description.run
        except FileNotFoundError:
            run = None
        if run != self.description.run:
            raise ValueError(f"folder={str(self.path)!r} was begun anew by another process, so that this one has stopped")

    def store(self, block: int) -> FolderStore:
        """The cells of a block."""
        return FolderStore(self._cells / f"{block:06d}", retry_failed=self.retry_failed, timeout=self.timeout)

    @contextmanager
    def lock(self, block: int, *, wait: bool) -> Iterator[None]:
        """For the time of its work on a block. It raises TimeoutError if another process has it, and `wait` is False."""
        self.check()
        folder = self._cells / f"{block:06d}"
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=-1 if wait else 0):
            for file in folder.glob(f".*{BESIDE}"):
                file.unlink()  # a process that was killed has left it
            yield

    def with_more(self, description: Description) -> Description:
        """The description with what is new in another; it raises ValueError if that is of something else."""
        try:
            return self.description.with_more(description)
        except ValueError as error:
            raise ValueError(
                f"folder={str(self.path)!r} holds another comparison: {error}; pass another folder, or fresh=True "
                "(--fresh), which deletes what is there"
            ) from error

    def _is_after(self, description: Description) -> bool:
        return min(description.blocks) < min(self.description.blocks)


def n_cells_in(path: Path) -> int:
    """How many cells a folder has."""
    return len(list(path.glob(f"{_CELLS}/*/*/* by *.npz")))


def _check_ours(path: Path) -> None:
    """Raise ValueError if a folder holds no run, but files that are not ours, or cells."""
    if not path.is_dir() or (path / RUN).exists():
        return
    ours = _OF_RESULTS | {_EXAMPLE, f".{RUN}.lock"}
    others = sorted(file.name for file in path.iterdir() if file.name not in ours and not file.name.endswith(BESIDE))
    if others:
        raise ValueError(f"folder={str(path)!r} holds other files ({others[0]}), but no {RUN}; pass an empty folder")


def _example(file: Path) -> Examples | None:
    """None if it is not there, or is damaged: the next call that has the image writes it."""
    try:
        return from_npz(file, Examples) if file.exists() else None
    except Exception as error:  # what NumPy raises for files that are broken is of many types
        warn(f"{file} is damaged ({type(error).__name__}: {error}), so that there are no pictures of an example.")
        return None
