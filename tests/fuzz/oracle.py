"""The weights of masks as the paper's algorithms have them, one sample at a time, and how far rounding may move each.

Ranks jump where values cross, and gradients where a ReLU or a maximum changes sides. So the tolerance of a weight is derived
from its case: the sample is explained again after a change of a few units in the last place, up and down. How far that moves
the map is taken for rounding. Values of the map that are closer than that may have any order.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import rankdata

from quantus_senc import explain
from tests import reference
from tests.fuzz.models import logits

_JITTER = 8  # units in the last place by which inputs are changed
_ROUNDING = 64  # units in the last place of the largest value by which sums in another order may move a value
_RANK_ROUNDING = 1e-5  # of Spearman's rho, of ranks in single precision
_CAUTION = 8  # by how much rounding may be more than the change of inputs shows


@dataclass(frozen=True)
class Reading:
    """What a model says of one sample: prediction and flat map, and how far rounding moves both.

    `exact` are the values of the map that do not move at all.
    """

    prediction: float
    values: np.ndarray
    prediction_rounding: float
    rounding: float
    exact: np.ndarray


class Literal:
    """Predictions and explanations of one sample at a time, by a model in evaluation mode."""

    def __init__(self, explain_func, softmax, absolute, normalise_func):
        self.explain_func, self.softmax = explain_func, softmax
        self.absolute, self.normalise_func = absolute, normalise_func
        self.prepared = None, None

    def read(self, model, x, y):
        """The reading of a sample (1, *shape)."""
        unit = torch.finfo(x.dtype).eps
        largest = x.nan_to_num(posinf=0, neginf=0).abs().max().item()
        signs = torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=x.dtype) * 2 - 1
        jitter = _JITTER * unit * largest * signs
        prediction, values = self._outputs(model, x, y)
        moved = [self._outputs(model, x + change, y) for change in (jitter, -jitter)]
        how_far = np.nanmax([np.abs(other - values) for _, other in moved] + [np.zeros_like(values)])
        size = np.abs(values[np.isfinite(values)]).max(initial=0)
        rounding = _CAUTION * how_far + _ROUNDING * max(unit, _unit(values)) * size
        prediction_moved = max(abs(other - prediction) for other, _ in moved)
        return Reading(
            prediction=prediction,
            values=values,
            prediction_rounding=_CAUTION * prediction_moved + _ROUNDING * unit * (1 + abs(prediction)),
            rounding=rounding,
            exact=np.all([other == values for _, other in moved], axis=0) | (values == 0),
        )

    def _method_for(self, model, x):
        """The method; of this package's, prepared for the model, because tracing takes longest."""
        keywords = getattr(self.explain_func, "keywords", {})
        if getattr(self.explain_func, "func", None) is not explain:
            return self.explain_func
        if self.prepared[0] is not model:
            self.prepared = model, explain.prepare(model, x, **keywords)
        return self.prepared[1]

    def _outputs(self, model, x, y):
        with torch.no_grad():
            outputs = logits(model, x.clone())
            prediction = (outputs.softmax(-1) if self.softmax else outputs)[0, y].item()
        maps = self._method_for(model, x)(model=model, inputs=x.clone(), targets=torch.tensor([y]))
        model.eval()
        maps = maps.detach().numpy() if isinstance(maps, torch.Tensor) else np.asarray(maps)
        maps = maps.astype(np.float64 if maps.dtype == np.float64 else np.float32)
        if self.normalise_func is not None:
            maps = self.normalise_func(maps.copy())
        values = np.array(maps[0], dtype=float).ravel()
        return prediction, np.abs(values) if self.absolute else values


@dataclass(frozen=True)
class Weights:
    """1 - confidence change and explanation similarity (K, 2), and how far each may be off.

    `constant` are the masks whose maps are constant, `unranked` says whether the original map is.
    """

    values: np.ndarray
    tolerance: np.ndarray
    constant: np.ndarray
    unranked: bool

    @classmethod
    def compare(cls, original, masked):
        """The weights of masked samples, in comparison with the original."""
        changes = [abs(original.prediction - one.prediction) for one in masked]
        rounding = [original.prediction_rounding + one.prediction_rounding for one in masked]
        similarities = [_similarity(original.values, one.values) for one in masked]
        doubt = _doubt(original)
        doubts = [min(2.0, doubt + _doubt(one)) for one in masked]
        return cls(
            values=np.stack([1 - np.array(changes), similarities], 1),
            tolerance=np.stack([rounding, np.add(doubts, _RANK_ROUNDING)], 1),
            constant=np.array([_is_constant(one.values) for one in masked]),
            unranked=_is_constant(original.values),
        )


def _is_constant(values):
    return len(np.unique(values)) == 1 and not np.isnan(values).any()


def _similarity(a, b):
    return np.nan if np.isnan([*a, *b]).any() else reference.similarity(a, b)


def _unit(values):
    """A unit in the last place of single precision, if that is what the values have."""
    return 0.0 if (values != values.astype(np.float32)).any() else 2.0**-23


def _doubt(reading):
    """How far Spearman's rho may move if the values that rounding may exchange are in any order.

    A value in a run of s such values moves by at most s - 1 ranks, and rho by at most twice the relative change of the ranks'
    vector. It is infinite for a map whose values are equal but for rounding.
    """
    order = np.argsort(reading.values)
    values, exact = reading.values[order], reading.exact[order]
    moved, start = 0.0, 0
    for stop in [*(np.flatnonzero(~(np.diff(values) <= reading.rounding)) + 1), len(values)]:
        run = slice(start, stop)
        if not (exact[run].all() and values[start] == values[stop - 1]):
            moved += (stop - start) * (stop - start - 1) ** 2
        start = stop
    ranks = np.linalg.norm(rankdata(values) - (len(values) + 1) / 2)
    with np.errstate(divide="ignore"):
        return 2 * np.sqrt(moved) / ranks if moved else 0.0
