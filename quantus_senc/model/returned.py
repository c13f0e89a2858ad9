"""What models return: scores (N, classes), or something of which they can be taken, or something to be asked about."""

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from jaxtyping import Num
from torch import Tensor

_MOST_SHOWN = 8  # of the entries of what a model returned


class UnfitOutputs(ValueError):
    """A model returned something else than one score for each input and class.

    Parameters
    ----------
    outputs
        What it returned.
    n
        For how many inputs.
    """

    def __init__(self, outputs: Any, n: int) -> None:
        super().__init__(
            f"the model returned {described(outputs)} for {n} inputs, but must return ({n}, classes); {_remedy(outputs, n)}"
        )
        self.outputs, self.n = outputs, n

    def __reduce__(self) -> tuple[type[ValueError], tuple[str]]:
        return ValueError, (str(self),)  # other processes need no more


def check_outputs(outputs: Any, n: int) -> Num[Tensor, "_ classes"]:
    """What a model returned for n inputs.

    Raises
    ------
    UnfitOutputs
        If it is not (n, classes). The message shows what it is, and the line to write.
    """
    if not isinstance(outputs, Tensor) or outputs.ndim != 2 or len(outputs) != n:
        raise UnfitOutputs(outputs, n)
    return outputs


def only_scores(outputs: Any, n: int) -> str | int | None:
    """The key, index or name of the scores (n, classes) within what a model returned; None if that is not clear.

    They are the logits, or else the only tensor of this shape.

    Examples
    --------
    >>> import torch
    >>> only_scores({"features": torch.ones(2, 8, 4), "scores": torch.ones(2, 3)}, n=2)
    'scores'
    """
    candidates = _candidates(outputs, n)
    if "logits" in candidates:
        return "logits"
    return candidates[0] if len(candidates) == 1 else None


def described(outputs: Any) -> str:
    """What a model returned in a few words: types, keys and shapes.

    Examples
    --------
    >>> import torch
    >>> described((torch.ones(2, 3), None))
    'tuple([0]: shape (2, 3), [1]: NoneType)'
    """
    if isinstance(outputs, Tensor):
        return f"shape {tuple(outputs.shape)}"
    entries = list(_entries(outputs))
    if not entries:
        return type(outputs).__name__
    shown = [f"{_written(key)}: {_kind(value)}" for key, value in entries[:_MOST_SHOWN]]
    return f"{type(outputs).__name__}({', '.join(shown)}{', …' * (len(entries) > _MOST_SHOWN)})"


def _entries(outputs: Any) -> Iterator[tuple[str | int, Any]]:
    """Keys and values of a dict, an object with fields, or a sequence."""
    if isinstance(outputs, Mapping):
        yield from outputs.items()
    elif is_dataclass(outputs):
        yield from ((field.name, getattr(outputs, field.name)) for field in fields(outputs))
    elif isinstance(outputs, tuple | list):
        yield from zip(getattr(outputs, "_fields", range(len(outputs))), outputs, strict=True)


def _candidates(outputs: Any, n: int) -> list[str | int]:
    return [
        key
        for key, value in _entries(outputs)
        if isinstance(value, Tensor) and value.ndim == 2 and len(value) == n and value.is_floating_point()
    ]


def _written(key: str | int) -> str:
    return f"[{key}]" if isinstance(key, int) else repr(key)


def _kind(value: Any) -> str:
    return f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__


def _remedy(outputs: Any, n: int) -> str:
    """The line that a user may write."""
    if candidates := _candidates(outputs, n):
        others = f", or another of {', '.join(map(_written, candidates[1:]))}" * (len(candidates) > 1)
        return f"pass quantus_senc.adapt(model, output={candidates[0]!r}){others}"
    if isinstance(outputs, Tensor) and outputs.shape == (n,):
        return (
            "pass quantus_senc.adapt(model, activation='binary') if it is the logit of class 1, or "
            "quantus_senc.adapt(model, activation=None, spread=…) if it is a regression"
        )
    for picked, dense in [("", outputs), *((f"[{key!r}]", value) for key, value in _entries(outputs))]:
        if isinstance(dense, Tensor) and dense.ndim > 2 and len(dense) == n:
            mean = f"returned{picked}.mean({tuple(range(2, dense.ndim))})"
            return f"pass quantus_senc.adapt(model, output=lambda returned: {mean}), or the mean over a mask, for instance"
    return f"pass quantus_senc.adapt(model, output=function), where the function makes ({n}, classes) of it"
