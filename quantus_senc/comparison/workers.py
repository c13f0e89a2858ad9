"""The blocks of a comparison in other processes: any engine with the `submit` of `concurrent.futures`."""

import os
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from threading import Lock
from typing import Any

import torch
from torch import nn

from quantus_senc.comparison.block_work import BlockWork, Store
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.failures import error_line
from quantus_senc.comparison.fingerprints import of_model
from quantus_senc.comparison.model_source import loaded
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.progress import Progress
from quantus_senc.comparison.run_folder import FolderRun
from quantus_senc.comparison.runs import MemoryRun, MemoryStore, Run
from quantus_senc.model.first_look import fitted_model
from quantus_senc.model.warn import warn

_MOST_WAITING = 64  # blocks that are with the engine at a time, each with its images
_PAUSE = 0.05  # seconds between looks at what is done
_ONE_AT_A_TIME = Lock()  # because torch's and NumPy's generators belong to the process


@dataclass(frozen=True, eq=False)
class Job:
    """The work of one block, which can be sent to another process.

    Attributes
    ----------
    evaluation
        Makes the evaluation on the model that the process has.
    methods, metrics
        As in `BlockWork`.
    block
        The number of the block.
    run
        The folder where the cells are written; None to return them.
    keeps_records
        Whether cells are returned with their records.
    n_threads
        Of torch; None for as many as the engine has set.
    fingerprint
        Of the model, which a function that makes it must return in every process.
    """

    evaluation: Callable[[nn.Module], Evaluation]
    methods: Mapping[str, Method]
    metrics: Mapping[str, Any]
    block: int
    run: FolderRun | None
    keeps_records: bool
    n_threads: int | None
    fingerprint: str

    def do(self, model: nn.Module | str | bytes) -> MemoryStore | None:
        """Do the cells of the block; return them unless they are in a folder. A process does one job at a time."""
        with _ONE_AT_A_TIME, _threads(self.n_threads):
            evaluation = self.evaluation(loaded(model))
            if isinstance(model, str):
                fitted, _ = fitted_model(evaluation.model, evaluation.x_batch, evaluation.y_batch)
                if of_model(fitted) != self.fingerprint:
                    raise ValueError(f"{model!r} returns another model here than in the process that has sent the work")
                evaluation = replace(evaluation, model=fitted)
            if self.run is None:
                store = MemoryStore(keeps_records=self.keeps_records)
                self._do(evaluation, store)
                return store
            with self.run.lock(self.block, wait=True):
                self._do(evaluation, self.run.store(self.block))
            return None

    def _do(self, evaluation: Evaluation, store: Store) -> None:
        BlockWork(evaluation, self.methods, self.metrics, store, Progress.silent()).run()


def run_jobs(executor: Any, model: nn.Module | str, jobs: Iterable[Job], run: Run, done: Callable[[int], object]) -> None:
    """Let an engine do blocks, those first that stand first.

    Parameters
    ----------
    executor
        Its `submit(function, *arguments)` returns futures with `done`, `result` and `cancel`.
    model
        It is sent along with each job, but once to each worker of Dask; or "package.module:function", which makes it there.
    jobs
        They are made when their turn has come.
    run
        Takes the cells that workers return.
    done
        Called with the number of each block that is done.

    Raises
    ------
    ValueError
        If a job cannot be sent to another process. The message says what of it cannot.
    RuntimeError
        If a worker has died, and the engine does not do its work again.
    """
    client = getattr(executor, "_client", None)  # of Dask
    if client is not None and not client.scheduler_info()["workers"]:
        warn("The cluster has no workers yet; the run waits for the first.")
    waiting, pending, sent = iter(jobs), dict[Any, Job](), _sent(client, model)
    try:
        while True:
            for job in islice(waiting, _MOST_WAITING - len(pending)):
                pending[_submitted(executor, job, sent)] = job
            if not pending:
                return
            ended = [future for future in pending if future.done()]
            for future in ended:
                job = pending.pop(future)
                store = _result(future, job, model)
                if isinstance(run, MemoryRun) and store is not None:
                    run.put(job.block, store)
                done(job.block)
            if not ended:
                time.sleep(_PAUSE)
    finally:
        for future in pending:
            future.cancel()


def _submitted(executor: Any, job: Job, model: Any) -> Any:
    try:
        return executor.submit(Job.do, job, model)
    except BrokenExecutor as error:
        raise _worker_died(error) from error


def _worker_died(error: BrokenExecutor) -> RuntimeError:
    return RuntimeError(
        f"a worker has died ({error_line(error)}); with a folder, the same call with a new executor goes on where this one has "
        "stopped"
    )


def _sent(client: Any, model: nn.Module | str) -> Any:
    """What stands for the model in the arguments of a job.

    Dask, whose client is given, would carry the model in every job. So it gets a task whose result is the pickle of the model:
    workers hand it on to each other, and if all that have it die, the task is done again.
    """
    if client is None or isinstance(model, str):
        return model
    import cloudpickle  # Dask needs it

    return client.submit(bytes, cloudpickle.dumps(model), pure=False)


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


def _result(future: Any, job: Job, model: nn.Module | str) -> MemoryStore | None:
    try:
        return future.result()
    except BrokenExecutor as error:
        raise _worker_died(error) from error
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        for name, part in {
            "the model": model,
            **_named("method", job.methods),
            **_named("metric", job.metrics),
        }.items():
            try:
                pickle.dumps(part)
            except Exception as reason:  # objects raise anything here
                also = "; or pass model='package.module:function', which workers call" if part is model else ""
                raise ValueError(
                    f"{name} cannot be sent to a worker ({error_line(reason)}); define its functions and classes at the top of "
                    f"a module that can be imported, or leave out the executor{also}"
                ) from error
        raise


def _named(kind: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{kind} {name!r}": value for name, value in values.items()}
