"""Comparisons in folders: tables as CSV, settings as JSON, examples as arrays."""

import csv
import json
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from quantus_senc._consistency import Sensitivity
from quantus_senc._examples import Examples


def save(
    folder: str | Path, scores: pd.DataFrame, metrics: pd.DataFrame, settings: dict[str, Any], examples: Examples | None
) -> None:
    """Write the parts of a comparison; see `Comparison.save`."""
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
            np.savez_compressed(folder / "examples.npz", allow_pickle=False, **_packed(examples))
    except OSError as error:
        raise OSError(f"folder={str(folder)!r} cannot be written ({error}); pass one that you may write to") from error


def load(folder: str | Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    """Read what `save` has written: scores, metrics, settings and examples."""
    folder = Path(folder)
    missing = [name for name in ("scores.csv", "metrics.csv", "settings.json") if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"folder={str(folder)!r} holds no {' and no '.join(missing)}; pass a folder that Comparison.save has written"
        )
    try:
        return _read(folder)
    except (ValueError, KeyError, TypeError, BadZipFile, OSError) as error:  # pandas's, JSON's and Unicode's are ValueErrors
        raise ValueError(
            f"folder={str(folder)!r} holds a comparison that cannot be read ({type(error).__name__}: {error})"
        ) from error


def _read(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any], Examples | None]:
    scores, metrics = (pd.read_csv(folder / f"{name}.csv", dtype=str, keep_default_na=False) for name in ("scores", "metrics"))
    for column in ("score", "standard_error"):
        scores[column] = [float(text or "nan") for text in scores[column]]  # exact, as pandas's own reader is not always
    settings = json.loads((folder / "settings.json").read_text(encoding="utf-8"))
    if not (folder / "examples.npz").is_file():
        return scores, metrics, settings, None
    with np.load(folder / "examples.npz", allow_pickle=False) as packed:
        return scores, metrics, settings, _unpacked(packed)


def _packed(examples: Examples) -> dict[str, np.ndarray]:
    """Arrays by position and a header in JSON, as names may be anything."""
    arrays = {"image": np.asarray(examples.image)}
    arrays |= {f"maps_{index}": np.asarray(values) for index, values in enumerate(examples.maps.values())}
    header: dict[str, Any] = {"target": int(examples.target), "maps": list(examples.maps)}
    for kind in ("features", "units"):
        records: Mapping[str, Sensitivity] = getattr(examples, kind)
        header[kind] = list(records)
        header[f"{kind}_plain"] = []
        for index, record in enumerate(records.values()):
            values = {field.name: getattr(record, field.name) for field in fields(record)}
            arrays |= {f"{kind}_{index}_{name}": value.numpy() for name, value in values.items() if isinstance(value, Tensor)}
            header[f"{kind}_plain"].append({name: value for name, value in values.items() if not isinstance(value, Tensor)})
    return arrays | {"header": np.array(json.dumps(header))}


def _unpacked(packed: Mapping[str, np.ndarray]) -> Examples:
    header = json.loads(str(packed["header"]))
    maps = {name: packed[f"maps_{index}"] for index, name in enumerate(header["maps"])}
    features, units = (
        {
            name: _record(packed, f"{kind}_{index}_", plain)
            for index, (name, plain) in enumerate(zip(header[kind], header[f"{kind}_plain"], strict=True))
        }
        for kind in ("features", "units")
    )
    return Examples(packed["image"], header["target"], maps, features, units)


def _record(packed: Mapping[str, np.ndarray], prefix: str, plain: dict[str, Any]) -> Sensitivity:
    tensors = {name.removeprefix(prefix): torch.from_numpy(packed[name]) for name in packed if name.startswith(prefix)}
    return Sensitivity(**(plain | tensors))
