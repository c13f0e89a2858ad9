"""What a model and explanation methods do with one image: whether they are the same as those that began a run.

No look at code or attributes can tell that of any model and method. So both are tried on an image that the run keeps.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.description import OtherComparisonError
from quantus_senc.comparison.named_methods import Method
from quantus_senc.model.arrays import host_array, model_device, model_precision
from quantus_senc.model.state import preserving, seeded

_ROUNDING = 1e-3  # of the largest value
_ROUNDING_ELSEWHERE = 1e-2  # on another device
_NEARLY_ALL = 0.999  # of the values, because rounding may move a ReLU to the other side of its kink


@dataclass(frozen=True, eq=False)
class Probe:
    """One image, and what a model and methods have made of it.

    Attributes
    ----------
    image, target
        The image and its class.
    outputs
        What the model returned, (1, classes); None if it returns something else each time.
    maps
        By the name of the method: its map, (1, ...); None if it returns another one each time, or has raised an error.
    """

    image: np.ndarray
    target: int
    outputs: np.ndarray | None
    maps: Mapping[str, np.ndarray | None]

    def with_more(self, other: "Probe", *, same_device: bool) -> "Probe":
        """The same with the maps of more methods; of those from another device none is kept, since none can be compared.

        Parameters
        ----------
        other
            What another call has made of the same image.
        same_device
            Whether sums are rounded there in the same way.

        Raises
        ------
        OtherComparisonError
            If it is not the same. The message says what.
        """
        if changed := differences(self, other, same_device=same_device):
            raise OtherComparisonError(changed)
        more = other.maps if same_device else dict.fromkeys(other.maps)
        return replace(self, maps={**more, **{name: known for name, known in self.maps.items() if known is not None}})


def probed(model: nn.Module, methods: Mapping[str, Method], image: np.ndarray, target: int, seed: int) -> Probe:
    """Run a model and methods on one image, with seeded generators. Model and generators are as before afterwards.

    Parameters
    ----------
    model, methods
        As for `Evaluation`; methods by name.
    image, target
        An image without the axis of a batch, and its class.
    seed
        In [0, 2^64).
    """
    evaluation = Evaluation(model, image[None], np.array([target]), torch.zeros(1, dtype=torch.int64), seed)

    def outputs() -> np.ndarray:
        inputs = torch.tensor(image[None], dtype=model_precision(model), device=model_device(model))
        with torch.no_grad():
            return host_array(model(inputs)).copy()

    def maps_by(method: Method) -> Callable[[], np.ndarray]:
        return lambda: evaluation.attributions(method)

    return Probe(
        image,
        target,
        _same_twice(lambda: preserving(model, lambda restore: seeded(seed, outputs))),
        {name: _same_twice(maps_by(method)) for name, method in methods.items()},
    )


def differences(before: Probe, now: Probe, *, same_device: bool) -> list[str]:
    """What is not the same as before, in words.

    Parameters
    ----------
    before, now
        What was made of the same image.
    same_device
        Whether both were made where sums are rounded in the same way. If not, maps are not compared, because deep networks may
        amplify rounding.
    """
    words = []
    rounding = _ROUNDING if same_device else _ROUNDING_ELSEWHERE
    if before.outputs is not None and not _is_same(before.outputs, now.outputs, rounding):
        words.append(f"the model (its outputs for the first image {_distance(before.outputs, now.outputs)})")
    for name, expected in before.maps.items() if same_device else ():
        if expected is not None and name in now.maps and not _is_same(expected, now.maps[name], rounding):
            what = "is another one" if now.maps[name] is not None else "is another one each time, or an error"
            words.append(f"method {name!r} (its map of the first image {what})")
    return words


def _same_twice(run: Callable[[], np.ndarray]) -> np.ndarray | None:
    """What a function returns, if it returns the same again; None if it does not, or raises an error."""
    try:
        first = run()
        return first if _is_same(first, run(), _ROUNDING) else None
    except Exception:  # models and methods may raise anything
        return None


def _is_same(before: np.ndarray, now: np.ndarray | None, rounding: float) -> bool:
    """Whether nearly all values are as before but for rounding; NaN and infinity equal themselves."""
    if now is None or now.shape != before.shape:
        return False
    old, new = before.astype(np.float64), now.astype(np.float64)
    largest = np.abs(old, where=np.isfinite(old), out=np.zeros_like(old)).max(initial=0)
    near = np.isclose(new, old, rtol=0, atol=rounding * largest, equal_nan=True)
    return bool(near.size == 0 or near.mean() >= _NEARLY_ALL)


def _distance(before: np.ndarray, now: np.ndarray | None) -> str:
    """How far outputs are from those before, in words."""
    if now is None:
        return "are others each time, or an error"
    if now.shape != before.shape:
        return f"have the shape {now.shape}, not {before.shape}"
    with np.errstate(invalid="ignore"):
        return f"differ by {np.abs(now.astype(np.float64) - before).max():.3g}"
