"""The cells of one block of a comparison, as files of a folder."""

import faulthandler
import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from quantus_senc.comparison.cells import Cell, Explanation
from quantus_senc.comparison.encoding import from_npz, npz_of
from quantus_senc.comparison.folder import write_to_disk
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.record import Sensitivity
from quantus_senc.model.warn import warn

T = TypeVar("T", Cell, Explanation)
BESIDE = ".new"  # ends the names of files that are being written
_LATE = ".late"  # ends the names of files that say where a cell was when its time was over


class FolderStore:
    """The cells of one block as files of a folder.

    Parameters
    ----------
    path
        The folder.
    retry_failed
        Whether cells with an error are done again.
    timeout
        Of a cell, in seconds; None for no limit. When it is over, the process writes where it is, and ends.
    """

    def __init__(self, path: Path, *, retry_failed: bool, timeout: float | None) -> None:
        self.path, self.retry_failed, self.timeout = path, retry_failed, timeout

    def cell(self, method: str, metric: str) -> Cell | None:
        """A cell; None if it is not there, is damaged, or has an error and is to be done again."""
        cell = _read(self._file(method, metric), Cell)
        return None if cell is not None and cell.error and self.retry_failed else cell

    def scores(self, method: str, metric: str) -> Cell | None:
        """A cell without its records; None if it is not there, or is damaged."""
        return _read(self._file(method, metric), Cell, without=("records",))

    def keep(self, method: str, metric: str, cell: Cell) -> None:
        """Write a cell, and the traceback of its error as text."""
        _write(self._file(method, metric), cell, compressed=False)
        text = self._file(method, metric, ".txt")
        text.unlink(missing_ok=True)
        if cell.error:
            write_file(text, cell.error.encode(errors="backslashreplace"))

    def explanation(self, method: str) -> Explanation | None:
        """What belongs to all cells of a method; None if it is not there, or is damaged."""
        return _read(self._file(method), Explanation)

    def keep_explanation(self, method: str, explanation: Explanation) -> None:
        """Write what belongs to all cells of a method."""
        _write(self._file(method), explanation)

    @contextmanager
    def at_work(self, method: str, metric: str | None) -> Iterator[None]:
        """For the time of the work on a cell, or on the explanations of a method if the metric is None."""
        if self.timeout is None:
            yield
            return
        late = self._file(method, metric, _LATE)
        late.parent.mkdir(parents=True, exist_ok=True)
        with late.open("w") as file:
            faulthandler.dump_traceback_later(self.timeout, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
                late.unlink(missing_ok=True)  # another process may have begun the folder anew

    def took_too_long(self, method: str, metric: str | None) -> str:
        """Where the process was that an earlier time limit has ended; empty if there was none. It is told once."""
        late = self._file(method, metric, _LATE)
        text = late.read_text(errors="replace") if late.exists() else ""
        late.unlink(missing_ok=True)
        return text

    def _file(self, method: str, metric: str | None = None, ending: str = ".npz") -> Path:
        name = _file_name(method) if metric is None else f"{_file_name(method)} by {_file_name(metric)}"
        return self.path / f"{name}{ending}"


def write_file(file: Path, data: bytes) -> None:
    """Write a file beside, and rename it when it is complete.

    Raises
    ------
    OSError
        If it cannot be written; what was there before stays.
    """
    beside = file.with_name(f".{file.name}.{os.getpid()}{BESIDE}")
    try:
        write_to_disk(beside, data)
        os.replace(beside, file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise OSError(f"{str(file)!r} was not written ({error}); mend that, and run the same again to go on") from error


def _write(file: Path, value: Cell | Explanation, *, compressed: bool = True) -> None:
    """Write what `_read` reads."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, npz_of(value, _place(file), compressed=compressed))


def _read(file: Path, kind: type[T], *, without: tuple[str, ...] = ()) -> T | None:
    """What a file holds; None if it is not there, or is damaged."""
    if not file.exists():
        return None
    try:
        return from_npz(file, kind, Sensitivity, MaskDesign, place=_place(file), without=without)
    except Exception as error:  # what NumPy raises for files that are broken is of many types
        warn(f"{file} is damaged ({type(error).__name__}: {error}), and counts as not done.")
        return None


def _place(file: Path) -> str:
    """Run, block, method and metric, so that a copy of another cell is not taken for this one."""
    return "/".join(file.parts[-3:])


def _file_name(name: str) -> str:
    """A name of a file for any name; different for different names."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name)[:40]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
