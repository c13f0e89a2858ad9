"""`quantus_senc.compare`: scores of explanation methods by several metrics, on the same images and model."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from torch import Tensor, nn
from tqdm.auto import tqdm

from quantus_senc.comparison.blocks import Block, blocks_of
from quantus_senc.comparison.cells import Evaluation, MethodResult, SharedArguments
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.named_methods import DEFAULT_METHODS, Method, named_methods
from quantus_senc.comparison.named_metrics import named_metrics
from quantus_senc.comparison.result import Comparison
from quantus_senc.comparison.settings import metric_table, settings_of
from quantus_senc.core.checks import check_inputs, check_integer
from quantus_senc.metrics.image_batch import numbered
from quantus_senc.model.arrays import host_array
from quantus_senc.model.explained_model import n_classes


def compare(
    model: nn.Module,
    x_batch: ArrayLike | Tensor,
    y_batch: ArrayLike | Tensor,
    *,
    methods: str | Sequence[str] | Mapping[str, Any] = DEFAULT_METHODS,
    metrics: str | Sequence[str] | Mapping[str, Any] | None = None,
    n_masks: int | str = 500,
    mask_rate: float = 0.8,
    tolerance: float | None = None,
    seed: int = 42,
    block_size: int = 64,
    image_ids: ArrayLike | Tensor | None = None,
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
        Returns (B, classes).
    x_batch
        Images (B, C, H, W), series (B, C, T) or tables (B, F); arrays or tensors.
    y_batch
        The classes to explain, (B,).
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
    display_progressbar
        Whether progress is shown.
    kwargs
        More parameters of `DataSensitivityConsistency`: `segment_func`, `segment_func_kwargs`, `perturb_baseline`.

    Returns
    -------
    Comparison
        With `to_frame`, `summary`, `agreement`, `verdict`, `save` and `report`.

    Raises
    ------
    ValueError
        If an argument is wrong. It is raised before any score is computed.

    Examples
    --------
    >>> import torch
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> result = compare(model, torch.rand(5, 4), [0, 1, 2, 0, 1], methods=["Saliency", "random"], metrics=["SenC", "MPRT"])
    >>> result.summary()[["metric", "method"]].values.tolist()
    [['SenC', 'Saliency'], ['SenC', 'random'], ['MPRT', 'Saliency'], ['MPRT', 'random']]
    """
    x_batch, y_batch = host_array(x_batch), host_array(y_batch)
    check_inputs(model, x_batch, y_batch, None)
    check_integer("block_size", block_size, 1, 2**63 - 1)
    numbers = numbered(image_ids, len(x_batch))
    method_by_name = named_methods(methods)
    parameters = {"n_masks": n_masks, "mask_rate": mask_rate, "tolerance": tolerance, "seed": seed, **kwargs}
    metric_by_name = named_metrics(metrics, x_batch, model, n_classes=n_classes(model, x_batch, y_batch), **parameters)
    described = metric_table(metric_by_name)
    blocks = blocks_of(numbers.tolist(), block_size)
    evaluations = (  # one after the other, because they hold copies of the images
        Evaluation(model, x_batch[block.places], y_batch[block.places], numbers[block.places], block.seed(seed))
        for block in blocks
    )
    n_cells = len(blocks) * len(method_by_name) * len(metric_by_name)
    with tqdm(total=n_cells, unit="score", disable=not display_progressbar) as progress:
        results = [_results(evaluation, method_by_name, metric_by_name, progress) for evaluation in evaluations]
    first = blocks[0].places[0]
    return Comparison(
        _scores(blocks, results, numbers.tolist()),
        described,
        settings_of(model, x_batch, method_by_name, parameters | {"block_size": block_size}, _seconds(results)),
        _examples(x_batch[first], int(y_batch[first]), results[0]) if x_batch.ndim == 4 else None,
    )


def _results(
    evaluation: Evaluation, methods: Mapping[str, Method], metrics: Mapping[str, Any], progress: "tqdm[Any]"
) -> dict[str, MethodResult]:
    """The result of every method for a block. The metrics' shared arguments are handed on from method to method."""
    results: dict[str, MethodResult] = {}
    shared: SharedArguments = {}
    for name, method in methods.items():
        results[name], shared = evaluation.evaluate(name, method, metrics, shared, progress)
    return results


def _scores(blocks: list[Block], results: list[dict[str, MethodResult]], image_ids: list[int]) -> pd.DataFrame:
    """One row per metric, method and image, in the order of the call."""
    rows = [
        (metric, method, image_ids[place], *values)
        for metric in next(iter(results[0].values())).cells
        for method in results[0]
        for place, values in sorted(
            (place, values)
            for block, of_block in zip(blocks, results, strict=True)
            for place, values in zip(block.places, of_block[method].cells[metric].by_image(), strict=True)
        )
    ]
    return pd.DataFrame(rows, columns=["metric", "method", "image", "score", "standard_error", "failure"])


def _seconds(results: list[dict[str, MethodResult]]) -> dict[str, dict[str, float]]:
    """The seconds of all blocks, by method and step."""
    total: dict[str, Counter[str]] = {name: Counter() for name in results[0]}
    for of_block in results:
        for name, result in of_block.items():
            total[name].update(result.seconds)
    return {name: dict(seconds) for name, seconds in total.items()}


def _examples(image: np.ndarray, target: int, results: Mapping[str, MethodResult]) -> Examples:
    """The image with the lowest number, with a map and records of each method that has them."""
    return Examples(
        image=image,
        target=target,
        maps={name: result.attribution for name, result in results.items() if result.attribution is not None},
        features={name: result.features for name, result in results.items() if result.features is not None},
        units={name: result.units for name, result in results.items() if result.units is not None},
    )
