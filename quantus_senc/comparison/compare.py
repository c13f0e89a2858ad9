"""`quantus_senc.compare`: scores of explanation methods by several metrics, on the same images and model."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from quantus_senc.comparison.block_work import BlockWork
from quantus_senc.comparison.blocks import Block, blocks_of
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.collect import collected
from quantus_senc.comparison.dataset_images import images_and_classes
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.fingerprints import of_arrays
from quantus_senc.comparison.named_methods import DEFAULT_METHODS, named_methods
from quantus_senc.comparison.named_metrics import named_metrics
from quantus_senc.comparison.result import Comparison
from quantus_senc.comparison.runs import FolderRun, MemoryRun, Run
from quantus_senc.comparison.settings import described
from quantus_senc.comparison.workers import Job, run_jobs, threads_of
from quantus_senc.core.checks import check_inputs, check_integer
from quantus_senc.metrics.image_batch import numbered
from quantus_senc.model.first_look import fitted_model


def compare(
    model: nn.Module,
    x_batch: ArrayLike | Tensor | Dataset | DataLoader,
    y_batch: ArrayLike | Tensor | None = None,
    *,
    methods: str | Sequence[str] | Mapping[str, Any] = DEFAULT_METHODS,
    metrics: str | Sequence[str] | Mapping[str, Any] | None = None,
    n_masks: int | str = 500,
    mask_rate: float = 0.8,
    tolerance: float | None = None,
    seed: int = 42,
    block_size: int = 64,
    image_ids: ArrayLike | Tensor | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    shard: tuple[int, int] = (1, 1),
    executor: Any = None,
    notes: Mapping[str, str] | None = None,
    display_progressbar: bool = False,
    **kwargs: Any,
) -> Comparison:
    """Compare explanation methods by sensitivity consistency, faithfulness and randomisation metrics.

    If a method or a metric raises an error, only its own scores are missing, and the result holds the reason. The images
    are segmented once, and the masked images are predicted once, for all methods. The model is not changed. Images are
    evaluated in blocks, one after the other.

    Parameters
    ----------
    model
        Returns (B, classes), or something of which `adapt` makes that.
    x_batch
        Images (B, C, H, W), series (B, C, T) or tables (B, F); arrays or tensors. Or a dataset of pairs of image and class, of
        which a block is read at a time, as it is of an array that is mapped to a file (`numpy.memmap`). Of a `DataLoader` only
        the dataset is used.
    y_batch
        The classes to explain, (B,). None for those of the dataset.
    methods
        Names of methods of `quantus_senc.explain` and of controls ("random", "fixed random", "blurred noise", "Sobel", "blob",
        "input"); or a dict from any names to such names, to keywords of `explain`, to an `explain_func`, or to a pair of
        an `explain_func` and its keywords. By default the six methods of the paper, and random maps. Names are strings, and
        differ from each other.
    metrics
        Names of metrics; or a dict from any names to such names or to metrics, as for `quantus.evaluate`. Each metric must
        return one number per image. Names are as for methods. None runs all metrics of `quantus_senc.default_metrics`.
    n_masks, mask_rate, tolerance
        Parameters of the sensitivity consistency metrics.
    seed
        Of all metrics.
    block_size
        The number of images that metrics and methods get at a time: those whose numbers have the same quotient by it. What
        metrics of Quantus and methods draw from global generators is a function of the seed and of this quotient, so that
        their scores depend on the size, but not on the other blocks of the call.
    image_ids
        The number of each image in the whole data set, (B,), in [0, 2^63); by default 0 ... B - 1. Sensitivity consistency
        draws masks for this number. So any images get the scores that they get among all; with metrics of Quantus, any
        whole blocks.
    folder
        Where each cell (a method, a metric, a block) is written as soon as it is done. If it holds cells already, these are not
        done again: the same call goes on where an earlier one was stopped. More methods, metrics and images can be added;
        what was there before must be the same. Several processes may work in the same folder.
    fresh
        Whether what the folder holds of an earlier comparison is deleted first.
    retry_failed
        Whether cells of the folder whose method or metric has raised an error are done again.
    shard
        (k, n): only every n-th block, from the k-th on, in 1 ... n. The result has the other blocks if the folder has them.
    executor
        What runs the blocks, in other processes: anything with the `submit` of `concurrent.futures`, such as a
        `ProcessPoolExecutor` that spawns, or `get_executor()` of a client of Dask. None for this process. Model, methods and
        metrics are sent along with each block, so that they must be picklable.
    notes
        What the settings of the result are to say besides, such as where the model comes from.
    display_progressbar
        Whether progress is shown.
    kwargs
        More parameters of `DataSensitivityConsistency`: `segment_func`, `segment_func_kwargs`, `perturb_baseline`.

    Returns
    -------
    Comparison
        With `to_frame`, `summary`, `agreement`, `verdict`, `save` and `report`; of all that the folder holds, if there is one.

    Raises
    ------
    ValueError
        If an argument is wrong, or the folder holds something else. It is raised before any score is computed.
    OSError
        If the folder cannot be written. Cells that are there stay.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> result = compare(model, torch.rand(5, 4), [0, 1, 2, 0, 1], methods=["Saliency", "random"], metrics=["SenC", "MPRT"])
    >>> result.summary()[["metric", "method"]].values.tolist()
    [['SenC', 'Saliency'], ['SenC', 'random'], ['MPRT', 'Saliency'], ['MPRT', 'random']]
    """
    images, targets = images_and_classes(x_batch, y_batch)
    check_inputs(model, images, targets, None)
    check_integer("block_size", block_size, 1, 2**63 - 1)
    numbers = numbered(image_ids, len(images))
    method_by_name = named_methods(methods)
    parameters = {"n_masks": n_masks, "mask_rate": mask_rate, "tolerance": tolerance, "seed": seed, **kwargs}
    model, n_classes = fitted_model(model, images, targets)
    metric_by_name = named_metrics(metrics, images, model, n_classes=n_classes, **parameters)
    check_shard(shard, folder)
    blocks = blocks_of(numbers.tolist(), block_size)
    description = described(
        model, images, method_by_name, metric_by_name, parameters | {"block_size": block_size}, numbers.tolist()
    )
    description.settings.update(notes or {})
    for block in blocks:
        places = block.places
        description.blocks[block.number] = of_arrays(images[places], targets[places], numbers[places].numpy())
    first = blocks[0].places[0]
    example = Examples(images[first], int(targets[first])) if images.ndim == 4 else None
    run: Run = (
        MemoryRun(description, example)
        if folder is None
        else FolderRun.begin(Path(folder), description, example, fresh=fresh, retry_failed=retry_failed)
    )
    mine = blocks[shard[0] - 1 :: shard[1]]
    n_cells = len(method_by_name) * len(metric_by_name)

    def evaluation(block: Block) -> Evaluation:
        return Evaluation(model, images[block.places], targets[block.places], numbers[block.places], block.seed(seed))

    def job(block: Block) -> Job:
        in_folder = None if folder is None else Path(folder).resolve()  # another process may be elsewhere
        is_first = block.number == min(description.blocks)
        parts = (method_by_name, metric_by_name, block.number, in_folder, retry_failed, is_first, threads_of(executor))
        return Job(evaluation(block), *parts)

    with tqdm(total=len(mine) * n_cells, unit="score", disable=not display_progressbar) as progress:
        if executor is not None:
            largest_first = sorted(mine, key=lambda block: -len(block.places))
            run_jobs(executor, [partial(job, block) for block in largest_first], run, lambda: progress.update(n_cells))
        else:

            def told(what: str) -> None:
                progress.set_description(what) if what else progress.update()

            def work(block: Block) -> None:
                BlockWork(evaluation(block), method_by_name, metric_by_name, run.store(block.number), told).run()

            run_here(mine, run, work)
    return Comparison(*collected(run))


def run_here(blocks: list[Block], run: Run, work: Callable[[Block], None]) -> None:
    """Do blocks in this process, those last that other processes are at work on."""
    busy = []
    for block in blocks:
        try:
            with run.lock(block.number, wait=False):
                work(block)
        except TimeoutError:
            busy.append(block)
    for block in busy:
        with run.lock(block.number, wait=True):
            work(block)


def check_shard(shard: Any, folder: object) -> None:
    """Raise ValueError unless `shard` is (k, n) with k in 1 ... n, and there is a folder that the others use, too."""
    try:
        number, n = shard
    except (TypeError, ValueError):
        raise ValueError(f"shard={shard!r} must be (k, n): the k-th of n parts") from None
    check_integer("n of shard", n, 1, 2**31)
    check_integer("k of shard", number, 1, n)
    if n > 1 and folder is None:
        raise ValueError(f"shard={shard!r} needs a folder, in which the parts come together")
