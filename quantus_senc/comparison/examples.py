"""One image of a comparison with its maps and sensitivities, for figures, and its form in a file."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from quantus_senc.core.masks import MaskDesign
from quantus_senc.core.record import Sensitivity


@dataclass(frozen=True, eq=False)
class Examples:
    """One image, its attribution maps and its sensitivities.

    Attributes
    ----------
    image
        (C, H, W).
    target
        The class that is explained.
    maps
        By the name of the method: an attribution map (H, W).
    features
        By the name of the method: the record of the image by the first data SenC metric.
    units
        By the name of the method: the record of the image and one layer by the first parameter SenC metric.
    """

    image: np.ndarray
    target: int
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, Sensitivity] = field(default_factory=dict)
    units: Mapping[str, Sensitivity] = field(default_factory=dict)


_CLASSES: dict[str, type] = {cls.__name__: cls for cls in (Examples, Sensitivity, MaskDesign)}


def to_arrays(examples: Examples) -> dict[str, np.ndarray]:
    """Arrays by name, for `numpy.savez`: one for each array or tensor, and a header in JSON with everything else.

    The header has the structure of the dataclasses; an array in it is an index. Names of methods stand in the header,
    because they need not be valid names of files.
    """
    arrays: list[np.ndarray] = []
    header = _encoded(examples, arrays)
    return {"header": np.array(json.dumps(header)), **{f"array_{index}": array for index, array in enumerate(arrays)}}


def from_arrays(arrays: Mapping[str, np.ndarray]) -> Examples:
    """The examples from which `to_arrays` has made these arrays, bit for bit.

    Raises
    ------
    ValueError
        If the arrays hold something else. Arrays that are damaged may raise any error.
    """
    examples = _decoded(json.loads(str(arrays["header"])), arrays)
    if not isinstance(examples, Examples):
        raise ValueError(f"the header describes a {type(examples).__name__}, not Examples; write it with `to_arrays`")
    return examples


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    """A value as JSON holds it. Arrays and tensors in it are appended to `arrays`."""
    if isinstance(value, Tensor | np.ndarray):
        arrays.append(value.detach().cpu().numpy() if isinstance(value, Tensor) else value)
        return {"kind": "tensor" if isinstance(value, Tensor) else "array", "index": len(arrays) - 1}
    if is_dataclass(value):
        members = {member.name: _encoded(getattr(value, member.name), arrays) for member in fields(value)}
        return {"kind": type(value).__name__, "fields": members}
    if isinstance(value, Mapping):
        return {"kind": "mapping", "items": [[name, _encoded(item, arrays)] for name, item in value.items()]}
    if isinstance(value, tuple):
        return {"kind": "tuple", "items": [_encoded(item, arrays) for item in value]}
    return value.item() if isinstance(value, np.generic) else value


def _decoded(value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """The inverse of `_encoded`."""
    if not isinstance(value, dict):
        return value
    kind = value["kind"]
    if kind in ("array", "tensor"):
        array = arrays[f"array_{value['index']}"]
        return torch.from_numpy(array) if kind == "tensor" else array
    if kind == "mapping":
        return {name: _decoded(item, arrays) for name, item in value["items"]}
    if kind == "tuple":
        return tuple(_decoded(item, arrays) for item in value["items"])
    return _CLASSES[kind](**{name: _decoded(item, arrays) for name, item in value["fields"].items()})
