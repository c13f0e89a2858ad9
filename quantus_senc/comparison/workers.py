"""The blocks of a comparison in other processes: any engine with the `submit` of `concurrent.futures`."""

import os
import pickle
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from quantus_senc.comparison.block_work import BlockWork, Store
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.runs import FolderRun, MemoryRun, MemoryStore, Run

_MOST_WAITING = 64  # blocks that are with the engine at a time, each with its images
_PAUSE = 0.05  # seconds between looks at what is done
_ONE_AT_A_TIME = Lock()  # because torch's and NumPy's generators belong to the process


@dataclass(frozen=True, eq=False)
class Job:
    """The work of one block, which can be sent to another process.

    Attributes
    ----------
    evaluation, methods, metrics
        As in `BlockWork`.
    block
        The number of the block.
    folder
        Where the cells are written; None to return them.
    retry_failed
        Whether cells with an error are done again.
    keeps_records
        Whether cells are returned with their records.
    n_threads
        Of torch; None for as many as the engine has set.
    """

    evaluation: Evaluation
    methods: Mapping[str, Method]
    metrics: Mapping[str, Any]
    block: int
    folder: Path | None
    retry_failed: bool
    keeps_records: bool
    n_threads: int | None

    def run(self) -> MemoryStore | None:
        """Do the cells of the block; return them unless they are in a folder. A process runs one job at a time."""
        with _ONE_AT_A_TIME, _threads(self.n_threads):
            if self.folder is None:
                store = MemoryStore(keeps_records=self.keeps_records)
                self._run(store)
                return store
            run = FolderRun(self.folder, retry_failed=self.retry_failed)
            with run.lock(self.block, wait=True):
                self._run(run.store(self.block))
            return None

    def _run(self, store: Store) -> None:
        BlockWork(self.evaluation, self.methods, self.metrics, store, lambda what: None).run()


def run_jobs(executor: Any, jobs: list[Callable[[], Job]], run: Run, done: Callable[[], object]) -> None:
    """Let an engine do blocks, those first that stand first.

    Parameters
    ----------
    executor
        Its `submit(function, argument)` returns futures with `done`, `result` and `cancel`.
    jobs
        Make the jobs, when their turn has come.
    run
        Takes the cells that workers return.
    done
        Called for each block that is done.

    Raises
    ------
    ValueError
        If a job cannot be sent to another process. The message says what of it cannot.
    RuntimeError
        If a worker has died, and the engine does not do its work again.
    """
    waiting, pending = list(reversed(jobs)), dict[Any, Job]()
    try:
        while waiting or pending:
            while waiting and len(pending) < _MOST_WAITING:
                job = waiting.pop()()
                pending[executor.submit(Job.run, job)] = job
            ended = [future for future in pending if future.done()]
            for future in ended:
                job = pending.pop(future)
                store = _result(future, job)
                if isinstance(run, MemoryRun) and store is not None:
                    run.put(job.block, store)
                done()
            if not ended:
                time.sleep(_PAUSE)
    finally:
        for future in pending:
            future.cancel()


def threads_of(executor: Any) -> int | None:
    """How many threads each process of a pool gets, so that together they use the cores; None for other engines."""
    n_workers = getattr(executor, "_max_workers", None)
    return max((os.cpu_count() or 1) // n_workers, 1) if n_workers else None


@contextmanager
def _threads(n: int | None) -> Iterator[None]:
    """Let torch have so many threads for a while."""
    before = torch.get_num_threads()
    torch.set_num_threads(n or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _result(future: Any, job: Job) -> MemoryStore | None:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise RuntimeError(
            f"a worker has died ({error_line(error)}); with a folder, the same call goes on where this one has stopped"
        ) from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        for name, part in {
            "the model": job.evaluation.model,
            **_named("method", job.methods),
            **_named("metric", job.metrics),
        }.items():
            try:
                pickle.dumps(part)
            except Exception as reason:  # objects raise anything here
                raise ValueError(
                    f"{name} cannot be sent to a worker ({error_line(reason)}); define its functions and classes at the top of "
                    "a module that can be imported, or leave out the executor"
                ) from error
        raise


def _named(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind} {name!r}": value for name, value in values.items()}
