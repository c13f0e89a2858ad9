"""Reasons, in words, why there is no score."""

from typing import Any

import numpy as np

from quantus_senc.core.record import Sensitivity
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.derived import source_of

Records = list[Sensitivity] | dict[str, list[Sensitivity]]  # one an image; of parameter SenC, by layer


def error_line(error: BaseException) -> str:
    """The class of an error and the first line of its message.

    Examples
    --------
    >>> error_line(ValueError("no gradient\\nat layer 3")), error_line(KeyboardInterrupt())
    ('ValueError: no gradient', 'KeyboardInterrupt')
    """
    text = str(error).encode(errors="backslashreplace").decode()  # a name of a file may hold what UTF-8 cannot
    lines = text.strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


def reasons(metric: Any, scores: list[float], maps: np.ndarray) -> list[str]:
    """Why each image has no score, as the records of the metric or the maps (B, ...) tell; empty for images that have one."""
    source = source_of(metric)
    if isinstance(source, SensitivityConsistency):
        by_image = zip(*records_by_layer(source.sensitivities), strict=True)
        flaws = [next((record.undefined for record in records if record.undefined), "") for records in by_image]
    else:
        flaws = [_flaw(values) for values in maps]
    return ["" if np.isfinite(score) else flaw for score, flaw in zip(scores, flaws, strict=True)]


def records_by_layer(records: Records) -> list[list[Sensitivity]]:
    """For each layer one record an image; the records of data SenC count as those of one layer."""
    return list(records.values()) if isinstance(records, dict) else [records]


def _flaw(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "an attribution that is not finite"
    return "a constant attribution" if values.max() == values.min() else "a score that is not finite"
