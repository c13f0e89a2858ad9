"""Tables of pandas as arrays, and the names of their columns."""

from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from quantus_senc.core.wording import listed

_MOST_IN_AN_ERROR = 10


def frame_array(name: str, frame: pd.DataFrame) -> np.ndarray:
    """The numbers of a frame, (B, F), in the type that its columns have in common, or else in double precision.

    Parameters
    ----------
    name
        Of the argument that the frame is.
    frame
        Its index and its names are not read. Missing values are NaN.

    Raises
    ------
    ValueError
        If columns are not numeric.
    """
    if others := [f"{column!r} ({dtype})" for column, dtype in frame.dtypes.items() if not is_numeric_dtype(dtype)]:
        more = [f"{len(others) - _MOST_IN_AN_ERROR} more"] if len(others) > _MOST_IN_AN_ERROR else []
        raise ValueError(
            f"{name} is a DataFrame whose columns {listed(others[:_MOST_IN_AN_ERROR] + more)} are not numeric; encode them as "
            "numbers, with pandas.get_dummies for instance, or leave them out"
        )
    values = frame.to_numpy()
    return frame.to_numpy(np.float64, na_value=np.nan) if values.dtype.hasobject else values  # of bool and float, for instance


def column_names(values: Any) -> list[str] | None:
    """The names of a frame's columns, where they are no texts with "column" before them; None for anything else.

    Examples
    --------
    >>> column_names(pd.DataFrame({"age": [31.0], 0: [1.0]})), column_names([[31.0, 1.0]])
    (['age', 'column 0'], None)
    """
    if not isinstance(values, pd.DataFrame):
        return None
    return [name if isinstance(name, str) else f"column {name}" for name in values.columns]
