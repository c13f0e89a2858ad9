"""The frames that a comparison is made of, checked."""

from typing import Any

import numpy as np
import pandas as pd

from quantus_senc.comparison.names import check_text

SCORE_COLUMNS = {"metric": str, "method": str, "image": np.int64, "score": float, "standard_error": float, "failure": str}
METRIC_COLUMNS = {"metric": str, "category": str, "direction": str, "why": str, "parameters": str}


def checked(name: str, frame: pd.DataFrame, columns: dict[str, Any], key: list[str]) -> pd.DataFrame:
    """A copy of a frame with these columns in these types.

    Parameters
    ----------
    name
        The name that the frame has in error messages.
    frame
        What a user has passed.
    columns
        Types by column. Texts that are missing become empty.
    key
        Columns that together tell the rows apart.

    Raises
    ------
    ValueError
        If a column is missing or holds other types, a row occurs twice, or a text cannot be written in UTF-8.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        raise ValueError(f"{name} lack the columns {missing}; pass a frame with {list(columns)}")
    if frame[key].isna().any(axis=None):
        raise ValueError(f"{name} hold NaN among {key}; give every row all of them")
    empty = {column: "" for column, kind in columns.items() if kind is str}
    frame = frame[list(columns)].fillna(empty)
    for text in pd.unique(frame[list(empty)].to_numpy().ravel()):
        check_text(name, str(text))
    try:
        frame = frame.astype(columns).reset_index(drop=True)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{name} hold what is no number where one must be ({error}); correct it") from error
    twice = frame.loc[frame.duplicated(key), key]
    if len(twice):
        raise ValueError(f"{name} hold {twice.iloc[0].to_dict()} more than once; keep one row of it")
    return frame


def check_together(scores: pd.DataFrame, metrics: pd.DataFrame, settings: Any) -> None:
    """Raise ValueError if a direction is unknown, a metric of the scores is not described, or settings are no dict."""
    unknown = sorted(set(metrics["direction"]) - {"higher", "lower"})
    if unknown:
        raise ValueError(f"metrics hold directions {unknown}; write 'higher' or 'lower', whichever is better")
    if not isinstance(settings, dict):
        raise ValueError(f"settings={settings!r} must be a dict; pass {{}} if nothing is known")
    controls = settings.get("controls", [])
    if not isinstance(controls, list):
        raise ValueError(f"settings hold controls={controls!r}, which is no list; put the names of methods in one")
    missing = sorted(set(scores["metric"]) - set(metrics["metric"]))
    if missing:
        raise ValueError(f"scores are of metrics {missing} that `metrics` has no row for; add one for each")
