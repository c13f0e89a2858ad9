"""What a run has so far, as the parts of a `Comparison`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from quantus_senc.comparison.blocks import blocks_of
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.failures import records_by_layer
from quantus_senc.comparison.runs import Run
from quantus_senc.core.record import Sensitivity

NOT_DONE = "not done yet"


def collected(run: Run) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    """Scores, metrics, settings and examples of a run, finished or not; cells that are missing have a failure that says so."""
    description = run.description
    seconds = {method: dict.fromkeys(("explanation", *description.metrics), 0.0) for method in description.methods}
    by_image: dict[tuple[str, str, int], tuple[float, float, str]] = {}
    for block in blocks_of(description.images, description.settings["parameters"]["block_size"]):
        store, images = run.store(block.number), [description.images[place] for place in block.places]
        for method in description.methods:
            explanation = store.explanation(method)
            if explanation is not None:
                seconds[method]["explanation"] += explanation.seconds
            for metric in description.metrics:
                cell = store.scores(method, metric)
                values = [(np.nan, np.nan, NOT_DONE)] * len(images) if cell is None else list(cell.by_image())
                by_image |= {(metric, method, image): value for image, value in zip(images, values, strict=True)}
                if cell is not None:
                    seconds[method][metric] += cell.seconds
    rows = [
        (metric, method, image, *by_image[metric, method, image])
        for metric in description.metrics
        for method in description.methods
        for image in description.images
    ]
    scores = pd.DataFrame(rows, columns=["metric", "method", "image", "score", "standard_error", "failure"])
    return scores, description.metric_table(), description.all_settings(seconds), _examples(run)


def _examples(run: Run) -> Examples | None:
    """The image with the lowest number, with a map and records (of the first layer) of each method that has them."""
    if run.example is None:
        return None
    store, maps = run.store(min(run.description.blocks)), {}
    records: dict[type, dict[str, Sensitivity]] = {list: {}, dict: {}}
    for method in run.description.methods:
        explanation = store.explanation(method)
        if explanation is not None and explanation.attribution is not None:
            maps[method] = explanation.attribution
        for metric in run.description.metrics:
            cell = store.cell(method, metric)
            if cell is not None and cell.records:
                records[type(cell.records)].setdefault(method, records_by_layer(cell.records)[0][0])
    return replace(run.example, maps=maps, features=records[list], units=records[dict])
