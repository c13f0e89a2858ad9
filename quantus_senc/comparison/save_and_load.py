"""Comparisons in folders: tables as CSV, settings as JSON, examples as arrays."""

import csv
import json
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd

from quantus_senc.comparison.examples import Examples, from_arrays, to_arrays


def write_folder(
    folder: str | Path, scores: pd.DataFrame, metrics: pd.DataFrame, settings: dict[str, Any], examples: Examples | None
) -> None:
    """Write the files of a comparison; see `Comparison.save`."""
    try:
        text = json.dumps(settings, indent=2, ensure_ascii=False)
    except TypeError as error:
        raise TypeError(
            f"settings hold what JSON cannot ({error}); turn it into text, numbers, lists or dicts first"
        ) from error
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, frame in (("scores", scores), ("metrics", metrics)):
            frame.to_csv(folder / f"{name}.csv", index=False, quoting=csv.QUOTE_NONNUMERIC)
        (folder / "settings.json").write_text(text + "\n", encoding="utf-8")
        (folder / "examples.npz").unlink(missing_ok=True)  # of an earlier comparison
        if examples is not None:
            np.savez_compressed(folder / "examples.npz", allow_pickle=False, **to_arrays(examples))
    except OSError as error:
        raise OSError(f"folder={str(folder)!r} cannot be written ({error}); pass one that you may write to") from error


def read_folder(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    """Read what `write_folder` has written: scores, metrics, settings and examples; see `Comparison.load`."""
    folder = Path(folder)
    missing = [name for name in ("scores.csv", "metrics.csv", "settings.json") if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"folder={str(folder)!r} holds no {' and no '.join(missing)}; pass a folder that Comparison.save has written"
        )
    try:
        return _read(folder)
    except (
        ValueError,
        KeyError,
        TypeError,
        BadZipFile,
        OSError,
    ) as error:  # errors of pandas, JSON and Unicode are ValueErrors
        raise ValueError(
            f"folder={str(folder)!r} holds a comparison that cannot be read ({type(error).__name__}: {error})"
        ) from error


def _read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    scores, metrics = (pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False) for name in ("scores", "metrics"))
    for column in ("score", "standard_error"):
        scores[column] = [float(text or "nan") for text in scores[column]]  # exact, unlike the parser of pandas
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    if not (folder / "examples.npz").is_file():
        return scores, metrics, settings, None
    with np.load(folder / "examples.npz", allow_pickle=False) as arrays:
        return scores, metrics, settings, from_arrays(arrays)
