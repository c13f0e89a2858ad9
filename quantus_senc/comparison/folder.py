"""Files of a folder that belong together: they are replaced all at once, and read only as they were written."""

import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from filelock import FileLock

_SUMS = "SHA256SUMS"  # in the form that `sha256sum --check` reads
_BESIDE = ".new"  # the files of a writer that is at work
_LOCK = ".lock"  # it stays, because waiting writers hold it open
_PATIENCE = 30.0  # seconds to wait for another writer, which needs far less than one
_PAUSE = 0.01


def write_files(folder: Path, files: Mapping[str, bytes | None]) -> None:
    """Write the files of a folder, all of them or none; a file of None is removed.

    One writer works at a time, and the others wait for it. It writes every file beside the older ones; when all are complete,
    they take the places of those. A file of checksums tells readers which files belong together, so that they refuse the
    mixture that is left if the writer is killed between two renames.

    Raises
    ------
    OSError
        If a file cannot be written, or another writer does not end.
    """
    complete = {name: data for name, data in files.items() if data is not None}
    complete[_SUMS] = _sums(complete)
    folder.mkdir(parents=True, exist_ok=True)
    beside = folder / _BESIDE
    with FileLock(folder / _LOCK, timeout=_PATIENCE):
        try:
            beside.mkdir(exist_ok=True)  # a writer that was killed has left it
            for name, data in complete.items():
                write_to_disk(beside / name, data)
            for name in files.keys() - complete.keys():
                (folder / name).unlink(missing_ok=True)
            for name in complete:
                os.replace(beside / name, folder / name)
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def read_files(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Those of the files that the folder has, as one writer has written them. Nothing is written, not even a lock.

    Files that do not fit their checksums are read again while a writer is at work, or until two reads are equal.

    Raises
    ------
    FileNotFoundError
        If the folder has no checksums.
    ValueError
        If a file is missing, cannot be read, or is not as it was written.
    """
    names = [*names, _SUMS]
    give_up = time.monotonic() + _PATIENCE
    files: dict[str, bytes] = {}
    while True:
        at_work = os.path.exists(folder / _BESIDE)  # Path.exists raises an error for a folder that must not be read
        before, files = files, _present(folder, names)
        changed = _changed(folder, files)
        if not changed:
            return files
        if (files == before and not at_work) or time.monotonic() > give_up:
            raise ValueError(
                f"folder={str(folder)!r} holds files that are missing or not as they were saved ({', '.join(changed)}); save "
                "the comparison again"
            )
        time.sleep(_PAUSE)


def write_to_disk(path: Path, data: bytes) -> None:
    """Write a file, and wait until the disk has it."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())  # or a power cut might keep the new name without the new content


def _present(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    files = {}
    for name in names:
        try:
            files[name] = (folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise ValueError(f"folder={str(folder)!r} cannot be read ({error}); mend that, or pass a copy") from error
    return files


def _sums(files: Mapping[str, bytes]) -> bytes:
    return "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items()).encode()


def _changed(folder: Path, files: Mapping[str, bytes]) -> list[str]:
    """Names of the files that do not fit their checksums, sorted."""
    if _SUMS not in files:
        raise FileNotFoundError(f"folder={str(folder)!r} holds no {_SUMS}; pass a folder that Comparison.save has written")
    actual = _sums({name: data for name, data in files.items() if name != _SUMS})
    lines = {*files[_SUMS].decode(errors="replace").splitlines()} ^ {*actual.decode().splitlines()}
    return sorted({line[66:] or _SUMS for line in lines})  # after 64 digits and two spaces
