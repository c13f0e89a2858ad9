"""Between NumPy, where Quantus is at home, and tensors."""

from collections import Counter
from collections.abc import Callable
from functools import wraps
from itertools import chain
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.core.same_result import same_attributions
from quantus_senc.model.frames import frame_array


def host_array(values: ArrayLike | Tensor, name: str = "an argument") -> np.ndarray:
    """An array, in NumPy's native byte order, of what users have as arrays, tensors, lists, or frames and series of pandas.

    Parameters
    ----------
    values
        What a user has passed.
    name
        Of the argument, for errors.

    Raises
    ------
    ValueError
        If a frame has columns that are not numeric.
    """
    if isinstance(values, Tensor):
        values = values.detach().to_dense().cpu()
        return (values.float() if values.dtype is torch.bfloat16 else values).numpy()
    return _native(frame_array(name, values) if isinstance(values, pd.DataFrame) else np.asarray(values), ["C"])


def as_tensor(values: Any) -> Tensor:
    """A tensor of whatever an `explain_func` returns, without a graph, and without a copy where that is possible."""
    if isinstance(values, np.ndarray):
        values = _native(values, ["C", "W"])  # torch warns of what it can't write
    return torch.as_tensor(values).detach()


def _native(array: np.ndarray, requirements: list[Literal["C", "W"]]) -> np.ndarray:
    """The same numbers as torch takes them: in native byte order and known precision, without negative strides."""
    dtype = array.dtype.newbyteorder("=") if array.dtype.kind in "fiu" else array.dtype
    array = np.require(array, np.float64 if dtype == np.longdouble else dtype, requirements)
    return array.copy() if min(array.strides, default=0) < 0 else array  # NumPy ignores the stride of an axis of size 1


def agrees(supplied: np.ndarray, computed: np.ndarray) -> bool:
    """Whether the attributions of every image rank the same but for rounding, whatever axes of size 1 they have."""
    if supplied.size != computed.size or len(supplied) != len(computed):
        return False
    expected, values = (torch.as_tensor(maps.reshape(len(computed), -1), dtype=torch.float64) for maps in (computed, supplied))
    return bool(same_attributions(expected, values).all())


def takes_arrays(explain_func: Callable[..., Any]) -> Callable[..., Any]:
    """The same explanation method, given arrays where it would be given tensors."""

    def explain_arrays(model: nn.Module, inputs: Tensor, targets: Tensor, **kwargs: Any) -> Any:
        return explain_func(model=model, inputs=host_array(inputs), targets=host_array(targets), **kwargs)

    return explain_arrays


def giving_arrays(explain_func: Callable[..., Any]) -> Callable[..., np.ndarray]:
    """The same explanation method for callers that have arrays and want arrays.

    The method gets copies: tensors on the model's device and in its precision, or arrays if it takes no tensors.
    """

    def explain(model: nn.Module, inputs: ArrayLike | Tensor, targets: ArrayLike | Tensor, **kwargs: Any) -> np.ndarray:
        arrays = host_array(inputs), host_array(targets)
        tensors = torch.tensor(arrays[0], dtype=model_precision(model)), torch.tensor(arrays[1])
        x, y = (tensor.to(model_device(model)) for tensor in tensors)
        try:
            # A copy, because the method may fill the same memory again at its next call.
            return host_array(explain_func(model=model, inputs=x, targets=y, **copied(kwargs))).copy()
        except (TypeError, AttributeError) as error:
            x_array, y_array = (array.copy() for array in arrays)
            try:
                return host_array(explain_func(model=model, inputs=x_array, targets=y_array, **copied(kwargs))).copy()
            except Exception:
                raise error from None

    return explain


def for_arrays_too(explain: Callable[..., Tensor]) -> Callable[..., Any]:
    """The same explanation method, which gives arrays for inputs that are arrays."""

    @wraps(explain)
    def explain_either(model: nn.Module, inputs: ArrayLike | Tensor, targets: ArrayLike | Tensor, **kwargs: Any) -> Any:
        if isinstance(inputs, Tensor):
            return explain(model, inputs.detach(), torch.as_tensor(targets, device=inputs.device), **kwargs)
        return host_array(explain(model, as_tensor(host_array(inputs, "inputs")), as_tensor(host_array(targets)), **kwargs))

    return explain_either


def copied(kwargs: Any) -> Any:
    """Keywords of which the callee may alter dicts, lists, tuples, arrays and tensors without the caller's noticing."""
    if isinstance(kwargs, dict):
        return {key: copied(value) for key, value in kwargs.items()}
    if type(kwargs) in (list, tuple):
        return type(kwargs)(map(copied, kwargs))
    if isinstance(kwargs, np.ndarray):
        return kwargs.copy()
    return kwargs.clone() if type(kwargs) is Tensor and not kwargs.requires_grad else kwargs


def model_device(model: nn.Module) -> torch.device:
    """The device of a model's first tensor; the CPU for a model that has none."""
    return next((tensor.device for tensor in chain(model.parameters(), model.buffers())), torch.device("cpu"))


def model_precision(model: nn.Module) -> torch.dtype:
    """What most of a model's parameters have, or else its buffers; single precision for a model that has none."""
    for tensors in (model.parameters(), model.buffers()):
        if precisions := Counter(tensor.dtype for tensor in tensors if tensor.is_floating_point()):
            return precisions.most_common(1)[0][0]
    return torch.float32


def call_device(device: object, model: nn.Module) -> str | None:
    """The device of a call in torch's words: "gpu", as Quantus calls it, is "cuda"; None is the model's own.

    Raises
    ------
    ValueError
        If torch knows no such device, or the model is elsewhere.
    """
    if device is None:
        return None
    own = model_device(model)
    try:
        asked = torch.device("cuda" if device == "gpu" else device)  # type: ignore[call-overload]
    except (RuntimeError, TypeError) as error:
        raise ValueError(f"device={device!r} is none; pass None for the model's own, 'cpu' or 'gpu'") from error
    if asked.type != own.type or asked.index not in (None, own.index or 0):
        raise ValueError(
            f"device={device!r}, but the model is on {own}; pass device=None, or move it with model.to({str(asked)!r})"
        )
    return str(asked)
