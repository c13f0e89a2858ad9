"""A comparison in a folder, where each cell is a file.

Nothing that is done is lost, whatever happens: a cell is written beside and renamed when it is complete. Several processes may
work in the same folder. Each locks the block that it works on, and the system frees what a dead one has locked. Every run has
an identifier, and cells lie below it, so that cells of another run are never taken for those of this one.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from quantus_senc.comparison.description import Description
from quantus_senc.comparison.encoding import from_npz
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.probe import Probe
from quantus_senc.comparison.stored_cells import BESIDE, FolderStore
from quantus_senc.model.warn import warn

RUN = "run.json"
EXAMPLE = "example.npz"
PROBE = "probe.npz"
CELLS = "cells"


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
        self.description = _description(path)
        self.example = _example(path / EXAMPLE)
        self._run = self.description.run

    def __getstate__(self) -> dict[str, Any]:
        """What workers need: not the description, which grows with the number of images, nor the example."""
        return {name: value for name, value in vars(self).items() if name not in ("description", "example")}

    def check(self) -> None:
        """Raise ValueError if another process has begun another run in the folder."""
        try:
            run = _description(self.path).run
        except FileNotFoundError:
            run = None
        if run != self._run:
            raise ValueError(f"folder={str(self.path)!r} was begun anew by another process, so that this one has stopped")

    def store(self, block: int) -> FolderStore:
        """The cells of a block."""
        return FolderStore(self._folder(block), retry_failed=self.retry_failed, timeout=self.timeout)

    @contextmanager
    def lock(self, block: int, *, wait: bool) -> Iterator[None]:
        """For the time of its work on a block. It raises TimeoutError if another process has it, and `wait` is False."""
        self.check()
        folder = self._folder(block)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=-1 if wait else 0):
            for file in folder.glob(f".*{BESIDE}"):
                file.unlink()  # a process that was killed has left it
            yield

    def probe(self) -> Probe | None:
        """What the model and the methods have made of one image; None if it is damaged, so that it is made anew."""
        try:
            probe = from_npz(self.path / PROBE, Probe)
        except Exception as error:  # what NumPy raises for files that are broken is of many types
            warn(f"{self.path / PROBE} cannot be read ({error_line(error)}): what a model or a method does is not compared.")
            return None
        return replace(probe, maps={name: probe.maps.get(name) for name in self.description.methods})

    def _folder(self, block: int) -> Path:
        return self.path / CELLS / self._run / f"{block:06d}"


def n_cells_in(path: Path) -> int:
    """How many cells a folder has."""
    return len(list(path.glob(f"{CELLS}/*/*/* by *.npz")))


def _description(path: Path) -> Description:
    """What the run in a folder is of."""
    try:
        return Description.from_json((path / RUN).read_text())
    except FileNotFoundError as error:
        raise FileNotFoundError(f"folder={str(path)!r} holds no {RUN}; pass the folder of a run") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"folder={str(path)!r} cannot be read: {error}; pass another folder, or delete this one") from error


def _example(file: Path) -> Examples | None:
    """None if it is not there, or is damaged: the next call that has the image writes it."""
    try:
        return from_npz(file, Examples) if file.exists() else None
    except Exception as error:  # what NumPy raises for files that are broken is of many types
        warn(f"{file} is damaged ({type(error).__name__}: {error}), so that there are no pictures of an example.")
        return None
