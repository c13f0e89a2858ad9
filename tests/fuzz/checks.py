"""What must hold of the record of an image: its weights are those of the paper's algorithm, and all else follows from them."""

import re
import warnings

import numpy as np
import torch
from scipy.stats import spearmanr

from quantus_senc.core.estimators import N_BLOCKS, affords_interactions, terms
from tests import estimates, reference

# The errors that users may see, with the arguments that they name.
ERRORS = [
    "every image has a single feature, with segment_func=",
    r"n_masks=\d+ is too few for estimator='regression'",
    r"layer '.*' has one unit, and ranks need two; leave it out of layers=",
    r"explain_\w+ needs neighbours, but inputs of shape",
    r"layers=.* leaves no convolution or fully connected layer",
    "strategy='hooks' cannot be used",
    r"inputs of shape .* have no places for Grad-CAM",
    r"layer=None, and \w+ calls no convolution",
    r"layer='.*' returns .* which has no places for Grad-CAM",
    "method='LRP': Captum has no rule for",
    "method='.*' needs every nonlinearity as a module",
    "perturb_baseline='blur' needs neighbours",
    r"x_batch of shape .* has too many axes to infer channel_first",
    r"Cannot infer channel-first/channel-last order. Try setting the `channel_first` argument",  # by quantus.explain
    r"Only batched 1D and 2D multi-channel input dimensions supported",  # by quantus.explain
]
_LARGEST_TIE = 1e-4  # of the sensitivities


def call(metric, *args, **kwargs):
    """What a call of a metric returns, with its warnings; None if it raises an error that users may see."""
    with warnings.catch_warnings(record=True) as caught, np.errstate(all="ignore"):
        warnings.simplefilter("always")
        try:
            returned = metric(*args, **kwargs)
        except ValueError as error:
            if not any(re.search(known, str(error)) for known in ERRORS):
                raise
            return None, []
    return returned, [str(one.message) for one in caught if one.filename == "quantus_senc"]


def check_record(record, score, metric, weights):
    """Compare a record with the literal weights of its masks; without them only with itself.

    Parameters
    ----------
    weights
        `oracle.Weights`, or None.
    """
    if weights is not None:
        _check_weights(record, weights)
    found = record.weights.numpy()
    assert np.isnan(score) == bool(record.undefined), (score, record.undefined)
    assert np.isnan(found).any() == (record.undefined.startswith("NaN")) or record.undefined == "a single feature"
    if np.isnan(found).any() or len(record.prediction) < 2:
        return
    expected = _sensitivities(record, metric)
    if expected is None:
        assert record.undefined
        return
    scale = np.abs(found).sum(0)[:, None] if metric.estimator == "paper" else np.abs(found).max(0)[:, None]
    sensitivities = np.stack([record.prediction, record.explanation])
    np.testing.assert_array_less(np.abs(sensitivities - expected), 1e-9 * (1 + scale) * np.ones_like(expected))
    assert (record.tie_tolerance.numpy() <= _LARGEST_TIE * (1 + scale[:, 0])).all()
    if not record.undefined:
        tied = [
            reference.with_ties(values, tolerance)
            for values, tolerance in zip(sensitivities, record.tie_tolerance.tolist(), strict=True)
        ]
        np.testing.assert_allclose(score, spearmanr(*tied).statistic, atol=1e-9)


def _check_weights(record, weights):
    """Each weight is the literal one, within its tolerance."""
    found, values, tolerance = record.weights.numpy(), weights.values, weights.tolerance
    if weights.unranked or record.undefined == "a constant attribution":  # there are no ranks to compare with
        assert weights.unranked or (tolerance[:, 1] > 1).all()
        found, values, tolerance = found[:, :1], values[:, :1], tolerance[:, :1]
    tolerance = np.nan_to_num(tolerance, nan=np.inf)
    both_nan = np.isnan(found) & np.isnan(values)
    wrong = ~((np.abs(found - values) <= tolerance) | both_nan | (tolerance > 2))
    assert not wrong.any(), f"masks {np.argwhere(wrong)[:4].tolist()}: {found[wrong][:4]}, literally {values[wrong][:4]}"
    sharp = weights.tolerance[:, 1] < 1e-3
    np.testing.assert_array_equal(record.constant.numpy()[sharp], weights.constant[sharp])


def _sensitivities(record, metric):
    """By NumPy, from the record's masks and weights; None where masks do not tell the features apart."""
    masks, weights, rate = record.masks().numpy(), record.weights.numpy(), metric.mask_rate
    free = record.design.free[0, : masks.shape[1]].cpu().numpy()
    expected = np.zeros((2, masks.shape[1]))
    if record.design.exhaustive[0]:
        return _limits(expected, masks, weights, rate, free, metric.estimator)
    if metric.estimator == "paper":
        return weights.T @ masks
    interactions = affords_interactions(int(record.design.free.sum()), len(masks), rate)
    for products in (interactions, False):
        if _tells_apart(masks[:, free], rate, products):
            expected[:, free] = [estimates.regression(masks[:, free], column, rate, products) for column in weights.T]
            return expected
    return None


def _limits(expected, masks, weights, rate, free, estimator):
    """Of all masks, times their probabilities."""
    masks = masks[:, free]
    probabilities = np.prod(np.where(masks, 1 - rate, rate), axis=1)
    if estimator == "regression":
        expected[:, free] = [estimates.limit(masks, column, rate) for column in weights.T]
    else:
        expected[:] = ((1 - rate) * (probabilities @ weights))[:, None]
        expected[:, free] = (probabilities[:, None] * weights).T @ masks
    return expected


def _tells_apart(masks, rate, products):
    """Whether least squares has one solution, also without any of the blocks of masks that standard errors compare."""
    columns = terms(torch.tensor(masks), rate, interactions=products).numpy()
    numbers = np.arange(len(masks))
    chosen = [numbers >= 0, *(numbers % N_BLOCKS != block for block in range(N_BLOCKS))]
    return all(np.linalg.matrix_rank(columns[rows]) == columns.shape[1] for rows in chosen)
