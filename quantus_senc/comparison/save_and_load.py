"""Comparisons in folders: tables as CSV, settings as JSON, examples as arrays."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from quantus_senc.comparison.encoding import from_npz, npz_of
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.folder import read_files, write_files
from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.record import Sensitivity

_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # what begins a formula in a spreadsheet


def write_folder(
    folder: str | Path, scores: pd.DataFrame, metrics: pd.DataFrame, settings: dict[str, Any], examples: Examples | None
) -> None:
    """Write the files of a comparison; see `Comparison.save`."""
    files = {
        "scores.csv": _csv_of(scores),
        "metrics.csv": _csv_of(metrics),
        "settings.json": _json_of(settings),
        "examples.npz": None if examples is None else npz_of(examples),
    }
    try:
        write_files(Path(folder), files)
    except OSError as error:
        raise OSError(f"folder={str(folder)!r} was not written ({error}); mend that, or pass another folder") from error


def read_folder(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    """Read what `write_folder` has written: scores, metrics, settings and examples; see `Comparison.load`."""
    files = read_files(Path(folder), _READERS)
    scores, metrics, settings, examples = (_value(folder, name, files.get(name)) for name in _READERS)
    return scores, metrics, settings, examples


def _value(folder: str | Path, name: str, data: bytes | None) -> Any:
    try:
        return _READERS[name](data)
    except Exception as error:  # what parsers raise for files that are broken is of many types
        raise ValueError(
            f"folder={str(folder)!r} holds {name!r}, which cannot be read ({type(error).__name__}: {error}); save the "
            "comparison again"
        ) from error


def _csv_of(frame: pd.DataFrame) -> bytes:
    return frame.map(_as_text).to_csv(index=False, quoting=csv.QUOTE_NONNUMERIC).encode()


def _as_text(value: Any) -> Any:
    """A value of a table as a spreadsheet shows it: with an apostrophe before a text that might be run as a formula.

    An apostrophe also stands before an apostrophe, so that whoever takes one away has the text as it was.
    """
    is_risky = isinstance(value, str) and (value != value.lstrip() or value.startswith((*_FORMULA, "'")))
    return f"'{value}" if is_risky else value


def _table(data: bytes) -> pd.DataFrame:
    frame = pd.read_csv(io.BytesIO(data), dtype=str, keep_default_na=False)
    frame = frame.map(lambda text: text.removeprefix("'"))
    for column in {"score", "standard_error"} & {*frame}:
        frame[column] = [float(text or "nan") for text in frame[column]]  # exact, unlike the parser of pandas
    return frame


def _json_of(settings: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(settings, indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"settings hold what JSON cannot ({error}); turn it into text, numbers, lists or dicts first"
        ) from error
    return f"{text}\n".encode(errors="backslashreplace")  # JSON reads \ud800 as the lone surrogate that it stands for


def _examples(data: bytes | None) -> Examples | None:
    return None if data is None else from_npz(data, Examples, Sensitivity, MaskDesign)


_READERS: dict[str, Callable[[Any], Any]] = {
    "scores.csv": _table,
    "metrics.csv": _table,
    "settings.json": json.loads,
    "examples.npz": _examples,
}
