"""Who does the blocks of a comparison: this process, or the processes of an engine."""

import threading
from typing import Any

from quantus_senc.comparison.block_work import BlockWork, kind_of_work
from quantus_senc.comparison.blocks import Block
from quantus_senc.comparison.progress import Display, Progress
from quantus_senc.comparison.run_folder import FolderRun
from quantus_senc.comparison.runs import MemoryRun, Run
from quantus_senc.comparison.workers import Job, run_jobs, threads_of
from quantus_senc.comparison.workload import Workload
from quantus_senc.core.checks import check_integer


def run_here(workload: Workload, blocks: list[Block], run: Run, display: Display) -> None:
    """Do blocks in this process, those last that other processes are at work on."""
    n_images = sum(len(block.places) for block in blocks)
    kinds = [kind_of_work(method, metric) for method in workload.methods for metric in workload.metrics]
    progress, busy = Progress(dict.fromkeys(kinds, n_images), display.show, display.note), []

    def work(block: Block, *, wait: bool) -> None:
        with run.lock(block.number, wait=wait):
            evaluation, store = workload.evaluation(block)(workload.model), run.store(block.number)
            BlockWork(evaluation, workload.methods, workload.metrics, store, progress).run()

    for block in blocks:
        try:
            work(block, wait=False)
        except TimeoutError:
            busy.append(block)
    for block in busy:
        work(block, wait=True)


def run_elsewhere(
    executor: Any, source: str | None, workload: Workload, blocks: list[Block], run: MemoryRun | FolderRun, display: Display
) -> None:
    """Let an engine do blocks, the largest first; `source` is the function that makes the model there, or None to send it."""
    n_scores = {block.number: workload.n_cells * len(block.places) for block in blocks}
    progress = Progress({"blocks": sum(n_scores.values())}, display.show)
    n_threads, first = threads_of(executor), min(run.description.blocks)
    jobs = (
        Job(
            evaluation=workload.evaluation(block),
            methods=workload.methods,
            metrics=workload.metrics,
            block=block.number,
            run=run if isinstance(run, FolderRun) else None,
            keeps_records=block.number == first,
            n_threads=n_threads,
            fingerprint=run.description.settings["model"]["fingerprint"],
        )
        for block in sorted(blocks, key=lambda block: -len(block.places))
    )
    run_jobs(executor, source or workload.model, jobs, run, lambda number: progress.done("blocks", n_scores[number]))


def check_sharing(shard: Any, folder: object, executor: object, timeout: object) -> None:
    """Raise ValueError if parts have nowhere to come together, or a time limit nobody who holds to it.

    Parameters
    ----------
    shard, folder, executor, timeout
        As for `compare`.
    """
    try:
        number, n = shard
    except (TypeError, ValueError):
        raise ValueError(f"shard={shard!r} must be (k, n): the k-th of n parts") from None
    check_integer("n of shard", n, 1, 2**31)
    check_integer("k of shard", number, 1, n)
    if n > 1 and folder is None:
        raise ValueError(f"shard={shard!r} needs a folder, in which the parts come together")
    if timeout is None:
        return
    if not isinstance(timeout, int | float) or not 0 < timeout < threading.TIMEOUT_MAX:
        raise ValueError(f"timeout={timeout!r} must be a number of seconds above 0, or None for no limit")
    if folder is None or executor is None:
        raise ValueError(f"timeout={timeout!r} needs an executor and a folder, because it ends the process that takes too long")
