"""Dataclasses of arrays, tensors and plain values as named arrays for `numpy.savez`, without pickle."""

import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

T = TypeVar("T")


def npz_of(value: Any, place: str = "", *, compressed: bool = True) -> bytes:
    """An archive of the arrays in a value, with a header in JSON that holds everything else.

    The header has the structure of the dataclasses; an array in it is an index. Names stand in the header, because they need
    not be valid names of files. Integers are stored in the smallest type that holds them, and read in their own.

    Parameters
    ----------
    value
        A dataclass of arrays, tensors, plain values, and of lists, tuples, mappings and dataclasses of these.
    place
        Where the archive belongs, in any words; `from_npz` compares them.
    compressed
        Whether the archive is small, or is written quickly.
    """
    arrays: list[np.ndarray] = []
    header = _encoded(value, arrays) | {"place": place}
    named = {"header": np.array(json.dumps(header)), **{f"array_{index}": array for index, array in enumerate(arrays)}}
    file = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(file, allow_pickle=False, **named)
    return file.getvalue()


def from_npz(file: bytes | Path, kind: type[T], *others: type, place: str = "", without: tuple[str, ...] = ()) -> T:
    """The value from which `npz_of` has made an archive, bit for bit.

    Parameters
    ----------
    file
        The archive, or where it is.
    kind, others
        The class of the value, and the classes that its members may have.
    place
        What `npz_of` was given.
    without
        Names of members that are not read; they are None.

    Raises
    ------
    ValueError
        If the archive holds something else, or belongs to another place. An archive that is damaged may raise any error; none
        goes unnoticed, since the format has a checksum of every array.
    """
    with np.load(io.BytesIO(file) if isinstance(file, bytes) else file, allow_pickle=False) as arrays:
        if not without and (damaged := arrays.zip.testzip()):  # NumPy checks no sum of what its own header leaves out
            raise ValueError(f"{damaged} does not fit its checksum")
        header = json.loads(str(arrays["header"]))
        if without and isinstance(header, dict):
            header.get("fields", {}).update(dict.fromkeys(without))
        value = _decoded(header, arrays, {each.__name__: each for each in (kind, *others)})
    if not isinstance(value, kind):
        raise ValueError(f"the header describes a {type(value).__name__}, not {kind.__name__}")
    if (written := header.get("place", "")) != place:
        raise ValueError(f"it was written as {written!r}")
    return value


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value as JSON holds it. Arrays and tensors in it are appended to `arrays`."""
    if isinstance(value, Tensor | np.ndarray):
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        arrays.append(_smallest(array))
        kind = "tensor" if isinstance(value, Tensor) else "array"
        return {"kind": kind, "index": len(arrays) - 1, "dtype": array.dtype.str}
    if is_dataclass(value):
        members = {member.name: _encoded(getattr(value, member.name), arrays) for member in fields(value)}
        return {"kind": type(value).__name__, "fields": members}
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": [[name, _encoded(item, arrays)] for name, item in value.items()]}
    if isinstance(value, tuple | list):
        return {"kind": type(value).__name__, "items": [_encoded(item, arrays) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _smallest(array: np.ndarray) -> np.ndarray:
    if array.dtype.kind != "i" or not array.size:
        return array
    return array.astype(np.result_type(np.min_scalar_type(array.min()), np.min_scalar_type(array.max())))


def _decoded(value: Any, arrays: Mapping[str, np.ndarray], classes: Mapping[str, type]) -> Any:
    """The inverse of `_encoded`."""

    def each(values: Iterable[Any]) -> list[Any]:
        return [_decoded(item, arrays, classes) for item in values]

    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind in ("array", "tensor"):
        array = arrays[f"array_{value['index']}"].astype(value["dtype"], copy=False)
        return torch.from_numpy(array) if kind == "tensor" else array
    if kind in ("tuple", "list"):
        return (tuple if kind == "tuple" else list)(each(value["items"]))
    if kind == "mapping":
        names, items = zip(*value["items"], strict=True) if value["items"] else ((), ())
        return dict(zip(names, each(items), strict=True))
    return classes[kind](**dict(zip(value["fields"], each(value["fields"].values()), strict=True)))
