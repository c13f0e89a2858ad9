"""What the command line names, loaded and checked: a model, images, a folder."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from quantus_senc.comparison.failures import error_line

_PATIENCE = 20  # seconds to wait for a scheduler
_SHAPES = {2: "tables (B, F)", 3: "series (B, C, T)", 4: "images (B, C, H, W)", 5: "volumes (B, C, D, H, W)"}


def images_in(path: Path, n_images: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The arrays x and y of an .npz file, read without pickle.

    Parameters
    ----------
    path
        The file.
    n_images
        The number of images to return, from the first on; None for all.

    Returns
    -------
    x, y
        Images (B, C, H, W), volumes (B, C, D, H, W), series (B, C, T) or tables (B, F), and classes (B,).

    Raises
    ------
    ValueError
        If the file cannot be read, an array is missing or has the wrong number of axes, or their lengths differ.
    """
    try:
        loaded = np.load(path, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise ValueError("it holds one array, not x and y")
        with loaded as file:
            missing = [name for name in ("x", "y") if name not in file.files]
            if missing:
                raise ValueError(f"it holds no {' and no '.join(missing)}, but {', '.join(file.files) or 'nothing'}")
            x_batch, y_batch = file["x"], file["y"]
    except Exception as error:  # what NumPy raises for files that are broken is of many types
        raise ValueError(
            f"--data {str(path)!r}: {error_line(error)}; save it with numpy.savez(path, x=images, y=classes)"
        ) from error
    if x_batch.ndim not in _SHAPES:
        raise ValueError(f"--data {str(path)!r}: x of shape {x_batch.shape} must be {', '.join(_SHAPES.values())}")
    if y_batch.ndim != 1 or len(y_batch) != len(x_batch):
        raise ValueError(f"--data {str(path)!r}: y of shape {y_batch.shape} must be one class for each of {len(x_batch)} x")
    if n_images is not None and not 1 <= n_images <= len(x_batch):
        raise ValueError(f"--images {n_images}: the file has {len(x_batch)}; pass 1 to {len(x_batch)}")
    return x_batch[:n_images], y_batch[:n_images]


@contextmanager
def engine(n_workers: int | None, scheduler: str | None) -> Iterator[Any]:
    """What runs the blocks of a comparison: a cluster of Dask with so many processes, one that is there, or nothing.

    Parameters
    ----------
    n_workers
        Of a cluster on this machine; their threads share its cores.
    scheduler
        The address of the scheduler of another cluster.

    Raises
    ------
    ValueError
        If Dask is not installed, cannot be reached, or both or no workers are asked for.
    """
    if n_workers is None and scheduler is None:
        yield None
        return
    if n_workers is not None and scheduler is not None:
        raise ValueError("--workers starts a cluster, and --scheduler names one that is there; pass one of them")
    if n_workers is not None and n_workers < 1:
        raise ValueError(f"--workers {n_workers}: pass 1 or more")
    try:
        import dask
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise ValueError(f"--workers and --scheduler need Dask ({error}): pip install 'quantus-senc[dask]'") from error
    n_threads = max((os.cpu_count() or 1) // (n_workers or 1), 1)
    environment = {"OMP_NUM_THREADS": str(n_threads)}
    folder = str(Path.cwd())  # where the module of the model is; new processes have the same path
    settings = {
        "distributed.nanny.pre-spawn-environ": environment,
        "distributed.scheduler.allowed-failures": 1000,  # a time limit ends the worker once for each cell
        "distributed.deploy.lost-worker-timeout": "1 hour",  # in which the nanny starts it again
    }
    with dask.config.set(settings), ExitStack() as stack:
        sys.path.insert(0, folder)
        stack.callback(sys.path.remove, folder)
        try:
            cluster = scheduler or stack.enter_context(LocalCluster(n_workers, threads_per_worker=1, dashboard_address=":0"))
            client = stack.enter_context(Client(cluster, timeout=_PATIENCE))
        except (OSError, ValueError) as error:
            raise ValueError(f"--scheduler {scheduler!r} cannot be reached ({error_line(error)})") from error
        yield client.get_executor()


def writable(folder: Path) -> None:
    """Create a folder, and raise ValueError if nothing can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(f"--out {str(folder)!r} cannot be written ({error.strerror or error})") from error
