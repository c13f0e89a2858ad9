"""`quantus_senc.compare`: scores of explanation methods by several metrics, on the same images and model."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from quantus_senc.comparison.begin_run import begin
from quantus_senc.comparison.collect import collected
from quantus_senc.comparison.engine import check_sharing, run_elsewhere, run_here
from quantus_senc.comparison.model_source import loaded
from quantus_senc.comparison.progress import Display
from quantus_senc.comparison.result import Comparison
from quantus_senc.comparison.run_folder import FolderRun
from quantus_senc.comparison.runs import MemoryRun
from quantus_senc.comparison.workload import Workload
from quantus_senc.core.array_like import ArrayLike


def compare(
    model: nn.Module | str,
    x_batch: ArrayLike | Tensor | Dataset | DataLoader,
    y_batch: ArrayLike | Tensor | None = None,
    *,
    methods: str | Sequence[str] | Mapping[str, Any] | None = None,
    metrics: str | Sequence[str] | Mapping[str, Any] | None = None,
    n_masks: int | str = 500,
    mask_rate: float = 0.8,
    tolerance: float | None = None,
    seed: int = 42,
    block_size: int = 64,
    image_ids: ArrayLike | Tensor | None = None,
    softmax: bool | None = None,
    channel_first: bool = True,
    s_batch: ArrayLike | Tensor | None = None,
    custom_batch: ArrayLike | Tensor | None = None,
    folder: str | Path | None = None,
    fresh: bool = False,
    retry_failed: bool = False,
    shard: tuple[int, int] = (1, 1),
    executor: Any = None,
    timeout: float | None = None,
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
        Returns (B, classes), or something of which `adapt` makes that. Or "package.module:function", which returns the model,
        also in the processes of an executor, to which some models cannot be sent.
    x_batch
        Images (B, C, H, W), volumes (B, C, D, H, W), series (B, C, T) or tables (B, F): arrays or tensors. Or a table as a
        `pandas.DataFrame` of numbers, of which pictures show the names of the columns. Or a dataset of pairs of image and
        class, of which a block is read at a time, as it is of an array that is mapped to a file (`numpy.memmap`). Of a
        `DataLoader` only the dataset is used.
    y_batch
        The classes to explain, (B,), in the order of the rows of `x_batch`: the index of a `pandas.Series` is not read. None
        for those of the dataset.
    methods
        Names of methods of `quantus_senc.explain` and of controls ("random", "fixed random", "blurred noise", "Sobel", "blob",
        "input"); or a dict from any names to such names, to keywords of `explain`, to an `explain_func`, or to a pair of
        an `explain_func` and its keywords, or to an attribution method of Captum. By default the six methods of the paper, but
        no Grad-CAM for tables, and random maps. Names are strings, and differ from each other. An `explain_func` gets tensors
        on the model's device (arrays if it takes no tensors), and returns tensors or arrays.
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
    softmax
        Whether metrics look at the softmax probability or at the model's own output. None for what each metric does by itself:
        sensitivity consistency takes the probability.
    channel_first
        Whether channels are the first axis after the images, as the model takes them. If False they are the last, and the
        model, the methods and the metrics get them first.
    s_batch
        Masks of objects, (B, ...), for metrics of localisation.
    custom_batch
        Labels of features, (B, *spatial), for metrics that mask features.
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
        `ProcessPoolExecutor` that spawns, or `get_executor()` of a client of Dask. None for this process. Methods and metrics
        are sent along with each block, and so is the model, but only once to each worker of Dask. They must be picklable.
    timeout
        How many seconds a cell may take, and the explanations of a block by one method. A process of the executor that takes
        longer writes where it is into the folder, and ends. The cell counts as failed, and Dask goes on with the others; other
        executors stop, and the same call with a new one goes on. Methods are then not compared with those of earlier calls.
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
    check_sharing(shard, folder, executor, timeout)
    workload = Workload.from_arguments(
        loaded(model),
        x_batch,
        y_batch,
        methods=methods,
        metrics=metrics,
        block_size=block_size,
        image_ids=image_ids,
        softmax=softmax,
        channel_first=channel_first,
        s_batch=s_batch,
        custom_batch=custom_batch,
        n_masks=n_masks,
        mask_rate=mask_rate,
        tolerance=tolerance,
        seed=seed,
        **kwargs,
    )
    description, example = workload.description(notes or {}, with_images=folder is not None), workload.example()
    run: MemoryRun | FolderRun = (
        MemoryRun(description, example)
        if folder is None
        else begin(
            Path(folder).resolve(),
            description,
            example,
            partial(workload.probe, tries_methods=timeout is None),  # one that hangs would hang this process
            fresh=fresh,
            retry_failed=retry_failed,
            timeout=timeout,
        )
    )
    blocks = workload.blocks[shard[0] - 1 :: shard[1]]
    n_scores = workload.n_cells * sum(len(block.places) for block in blocks)
    with Display(n_scores, is_shown=display_progressbar) as display:
        if executor is None:
            run_here(workload, blocks, run, display)
        else:
            run_elsewhere(executor, model if isinstance(model, str) else None, workload, blocks, run, display)
    if isinstance(run, FolderRun):
        run.check()
    return Comparison(*collected(run))
