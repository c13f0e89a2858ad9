"""What a run has so far, as the parts of a `Comparison`."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from quantus_senc.comparison.cells import Records
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.runs import Run
from quantus_senc.core.record import Sensitivity

NOT_DONE = "not done yet"


def collected(run: Run) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    """Scores, metrics, settings and examples of a run, finished or not; cells that are missing have a failure that says so."""
    description = run.description
    size = description.settings["parameters"]["block_size"]
    members: dict[int, list[int]] = {}
    for image in sorted(description.images):
        members.setdefault(image // size, []).append(image)
    stores = {block: run.store(block) for block in members}
    seconds = {method: dict.fromkeys(("explanation", *description.metrics), 0.0) for method in description.methods}
    by_image: dict[tuple[str, str, int], tuple[float, float, str]] = {}
    for block, images in members.items():
        for method in description.methods:
            explanation = stores[block].explanation(method)
            if explanation is not None:
                seconds[method]["explanation"] += explanation.seconds
            for metric in description.metrics:
                cell = stores[block].scores(method, metric)
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
    """The image with the lowest number, with a map and records of each method that has them."""
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
                records[type(cell.records)].setdefault(method, _first(cell.records))
    return replace(run.example, maps=maps, features=records[list], units=records[dict])


def _first(records: Records) -> Sensitivity:
    """The record of the first image; of parameter SenC in the first layer."""
    return (next(iter(records.values())) if isinstance(records, dict) else records)[0]
