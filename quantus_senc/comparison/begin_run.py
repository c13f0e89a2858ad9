"""How a run begins in a folder, or goes on there: only with the same model, methods, metrics, parameters and images."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from quantus_senc.comparison.description import Description, OtherComparisonError
from quantus_senc.comparison.encoding import npz_of
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.probe import Probe
from quantus_senc.comparison.run_folder import CELLS, EXAMPLE, PROBE, RUN, FolderRun
from quantus_senc.comparison.stored_cells import BESIDE, write_file
from quantus_senc.model.warn import warn

_OF_RESULTS = {"scores.csv", "metrics.csv", "settings.json", "examples.npz", "SHA256SUMS", ".lock", "report.html"}


def begin(
    path: Path,
    description: Description,
    example: Examples | None,
    probe: Callable[[Probe | None], Probe],
    *,
    fresh: bool = False,
    retry_failed: bool = False,
    timeout: float | None = None,
) -> FolderRun:
    """Begin a run in a folder, or go on with the one that is there.

    Parameters
    ----------
    path, retry_failed, timeout
        As for `FolderRun`.
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
    _check_ours(path)
    path.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path / f".{RUN}.lock")
    with lock:
        is_new = not (path / RUN).exists()
        if fresh and not is_new:
            FolderRun(path)  # raises an error for a folder that is not ours, of which nothing is deleted
            shutil.rmtree(path / CELLS, ignore_errors=True)  # a process that is at work there goes on with its own
            is_new = True
        if is_new:
            _write_new(path, description, example, probe)
    if not is_new:
        with refused(path):
            before = FolderRun(path)
            before.description.with_more(description)  # raises an error for another one before anything is tried
            now = probe(before.probe())  # takes a while, in which others need not wait
            with lock:
                _join(FolderRun(path), description, example, now)
    return FolderRun(path, retry_failed=retry_failed, timeout=timeout)


@contextmanager
def refused(path: Path) -> Iterator[None]:
    """Say which folder it is that holds another comparison, and the remedy."""
    try:
        yield
    except OtherComparisonError as error:
        raise ValueError(
            f"folder={str(path)!r} holds another comparison: {error}; pass another folder, or fresh=True (--fresh), which "
            "deletes what is there"
        ) from error


def _write_new(path: Path, description: Description, example: Examples | None, probe: Callable[[Probe | None], Probe]) -> None:
    """Write what makes a run of a folder, the description last."""
    if incomparable := description.incomparable():
        warn(f"The run in {str(path)!r} can't be continued if it is stopped: {'; '.join(incomparable)}.")
    write_file(path / PROBE, npz_of(probe(None)))
    if example is not None:
        write_file(path / EXAMPLE, npz_of(example))
    write_file(path / RUN, description.to_json().encode())


def _join(run: FolderRun, description: Description, example: Examples | None, now: Probe) -> None:
    """Add what is new in another call. The description, which says what is there, comes last."""
    before = run.description
    after = before.with_more(description)
    known, same_device = run.probe(), before.settings["device"] == description.settings["device"]
    probe = now if known is None else known.with_more(now, same_device=same_device)
    if example is not None and (_says_more(example, run.example) or min(description.blocks) < min(before.blocks)):
        write_file(run.path / EXAMPLE, npz_of(example))
    if known is None or _with_maps(probe) != _with_maps(known):
        write_file(run.path / PROBE, npz_of(probe))
    if after != before:
        write_file(run.path / RUN, after.to_json().encode())


def _says_more(example: Examples, before: Examples | None) -> bool:
    """Whether an example is the first, or the first whose columns have names."""
    return before is None or (before.columns is None and example.columns is not None)


def _with_maps(probe: Probe) -> set[str]:
    return {name for name, attribution in probe.maps.items() if attribution is not None}


def _check_ours(path: Path) -> None:
    """Raise ValueError if a folder holds no run, but files that are not ours, or cells."""
    if not path.is_dir() or (path / RUN).exists():
        return
    ours = _OF_RESULTS | {EXAMPLE, PROBE, f".{RUN}.lock"}
    others = sorted(file.name for file in path.iterdir() if file.name not in ours and not file.name.endswith(BESIDE))
    if others:
        raise ValueError(f"folder={str(path)!r} holds other files ({others[0]}), but no {RUN}; pass an empty folder")
