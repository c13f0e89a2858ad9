"""This module holds the stages of sensitivity consistency: features, masks, rank correlation, estimators and ties."""

# This file is part of Quantus, which is free software under the terms of the GNU Lesser General Public License,
# version 3 or (at your option) any later version. It comes WITHOUT ANY WARRANTY. See COPYING.LESSER.
# Quantus project URL: <https://github.com/understandable-machine-intelligence-lab/Quantus>.

import math
from typing import Any, Callable, Optional

import numpy as np
from scipy.linalg import LinAlgError, cho_factor, cho_solve
from scipy.stats import rankdata
from skimage.segmentation import slic


def label_features(
    x: np.ndarray, segment_func: Optional[Callable] = None, **kwargs: Any
) -> np.ndarray:
    """
    Divide an input into features: superpixels of images, windows of time series, columns of tables.

    Parameters
    ----------
    x: np.ndarray
        One input: (channels, ...), or (columns,).
    segment_func: callable, optional
        A function from the input to integer labels of its positions. If None, images are segmented by SLIC with
        about 'pixels_per_segment' (50) pixels a superpixel, and time series in about 20 windows.
    kwargs: optional
        Keyword arguments for segment_func; without one, for SLIC.

    Returns
    -------
    np.ndarray
        The feature that each position belongs to, 0, 1, ...; without the axis of channels.
    """
    if segment_func is not None:
        labels = np.asarray(segment_func(x, **kwargs))
    elif x.ndim < 3:
        steps = x.shape[-1]
        labels = np.arange(steps) // (1 if x.ndim == 1 else -(-steps // 20))
    else:
        # Channels are scaled and rounded, so that normalised images have the same superpixels as the originals.
        spatial = tuple(range(1, x.ndim))
        pixels = np.nan_to_num(x.astype(np.float64), posinf=0.0, neginf=0.0)
        low = pixels.min(axis=spatial, keepdims=True)
        high = pixels.max(axis=spatial, keepdims=True)
        scaled = np.round((pixels - low) / np.maximum(high - low, 1e-12) * 2**12)
        n_segments = max(1, x[0].size // kwargs.pop("pixels_per_segment", 50))
        kwargs = {"n_segments": n_segments, "start_label": 0, **kwargs}
        labels = slic(np.moveaxis(scaled / 2**12, 0, -1), channel_axis=-1, **kwargs)
    spatial_shape = x.shape if x.ndim == 1 else x.shape[1:]
    if labels.shape != spatial_shape:
        raise ValueError(
            f"The labels of features have shape {labels.shape}, but must have shape {spatial_shape}."
        )
    return np.unique(labels, return_inverse=True)[1].reshape(labels.shape)


def random_words(seed: int, stream: int, n_rows: int, n_words: int) -> np.ndarray:
    """
    Draw 32-bit words that are a function of the seed, the stream, the row and the position alone (Philox-4x32-10).

    Parameters
    ----------
    seed: integer
        The seed, in [0, 2^64).
    stream: integer
        What the words are drawn for, in [0, 2^64).
    n_rows: integer
        The number of rows.
    n_words: integer
        The number of words in each row. Longer rows begin with shorter ones.

    Returns
    -------
    np.ndarray
        The words, of shape (n_rows, n_words).

    References
    ----------
        1) John K. Salmon et al.: "Parallel random numbers: as easy as 1, 2, 3." SC (2011).
    """
    shift, low = np.uint64(32), np.uint64(2**32 - 1)
    blocks = np.arange(-(-n_words // 4), dtype=np.uint64)[None]
    rows = np.arange(n_rows, dtype=np.uint64)[:, None]
    c0, c1 = np.broadcast_arrays(blocks, rows)
    c2, c3 = np.full_like(c0, stream % 2**32), np.full_like(c0, stream >> 32)
    k0, k1 = seed % 2**32, seed >> 32
    for _ in range(10):
        even, odd = c0 * np.uint64(0xD2511F53), c2 * np.uint64(0xCD9E8D57)
        c0, c1 = (odd >> shift) ^ c1 ^ np.uint64(k0), odd & low
        c2, c3 = (even >> shift) ^ c3 ^ np.uint64(k1), even & low
        k0, k1 = (k0 + 0x9E3779B9) % 2**32, (k1 + 0xBB67AE85) % 2**32
    return np.stack([c0, c1, c2, c3], axis=-1).reshape(n_rows, -1)[:, :n_words]


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """
    Spearman's rank correlation of each row of a with the same row of b, with average ranks for ties.

    Parameters
    ----------
    a, b: np.ndarray
        Arrays of the same shape (..., v).

    Returns
    -------
    np.ndarray
        The correlations; NaN where a row is constant or holds a NaN.
    """
    centre = (a.shape[-1] + 1) / 2
    a_ranks, b_ranks = (rankdata(values, axis=-1) - centre for values in (a, b))
    scale = np.sqrt((a_ranks**2).sum(axis=-1) * (b_ranks**2).sum(axis=-1))
    covariance = np.asarray((a_ranks * b_ranks).sum(axis=-1))
    known = (scale > 0) & ~np.isnan(a).any(axis=-1) & ~np.isnan(b).any(axis=-1)
    return np.where(known, covariance / np.where(known, scale, 1.0), np.nan)


def regress(
    masks: np.ndarray, weights: np.ndarray, probabilities: np.ndarray, mask_rate: float
) -> np.ndarray:
    """
    Fit the weights of masks as linear functions of the features that they keep, by least squares.

    Products of every two features are fitted, too, where masks suffice: they take up what would be noise otherwise.

    Parameters
    ----------
    masks: np.ndarray
        Masks, of shape (n, n_features).
    weights: np.ndarray
        Their weights, of shape (n, 2).
    probabilities: np.ndarray
        How much each mask counts, of shape (n,).
    mask_rate: float
        The probability with which a mask eliminates a feature.

    Returns
    -------
    np.ndarray
        The coefficients of the features, of shape (2, n_features); NaN where masks do not tell the features apart.
    """
    n_masks, n_features = masks.shape
    rarest = min(mask_rate, 1 - mask_rate)
    fewest = max(2 * (1 + n_features), math.ceil(round(10 / rarest, 6)))
    is_drawn = n_masks != 2**n_features
    if is_drawn and n_masks < fewest:
        raise ValueError(
            f"n_masks={n_masks} is too few for estimator='regression' with {n_features} features and "
            f"mask_rate={mask_rate}; it takes at least {fewest}."
        )
    kept = masks.astype(np.float64)
    features = np.column_stack([np.ones(n_masks), kept])
    candidates = [features]
    n_terms = 1 + n_features * (n_features + 1) // 2
    if is_drawn and n_masks * rarest**2 >= 10 and n_terms <= min(1024, n_masks // 2):
        later, earlier = np.tril_indices(n_features, -1)
        centred = kept - (1 - mask_rate)
        products = centred[:, later] * centred[:, earlier]
        candidates.insert(0, np.column_stack([features, products]))
    for terms in candidates:
        counted = terms.T * probabilities
        gram = counted @ terms
        try:
            factor = cho_factor(gram, lower=True)
        except LinAlgError:
            continue
        if (np.diag(factor[0]) ** 2 > 1e-10 * np.diag(gram)).all():
            return cho_solve(factor, counted @ weights)[1:][:n_features].T
    return np.full((2, n_features), np.nan)


def tie_tolerances(
    rounding: np.ndarray,
    largest: float,
    n_masks: int,
    n_free: int,
    mask_rate: float,
    estimator: str,
) -> np.ndarray:
    """
    How far rounding alone can move the sensitivities of two features apart.

    Parameters
    ----------
    rounding: np.ndarray
        How far rounding moves the two weights of a mask.
    largest: float
        An upper bound of the predictions.
    n_masks: integer
        The number of masks.
    n_free: integer
        The number of features whose elimination can change anything.
    mask_rate: float
        The probability with which a mask eliminates a feature.
    estimator: string
        The name of the estimator.

    Returns
    -------
    np.ndarray
        The tolerances for prediction and explanation.
    """
    variance = mask_rate * (1 - mask_rate)
    # Masks that agree in all other features are moved by the same, others independently.
    spread = 2 * (1 - 2 * variance) ** max(n_free - 2, 0)
    if estimator == "paper" or n_masks != 2**n_free:
        spread += 2 / (n_masks * variance)
    sums = 64 * 2.0**-52 * (1 + largest) / variance
    scale = variance * n_masks if estimator == "paper" else 1.0
    return scale * (math.sqrt(spread) * rounding + sums)


def merge_ties(values: np.ndarray, tolerance: float) -> np.ndarray:
    """
    Make values equal that differ by no more than rounding, in groups from the lowest value up.

    Parameters
    ----------
    values: np.ndarray
        The sensitivity of each feature.
    tolerance: float
        How far a value may be above the lowest of its group.

    Returns
    -------
    np.ndarray
        The values, each replaced by the lowest of its group.
    """
    merged, first = np.empty_like(values), -np.inf
    for place in np.argsort(values, kind="stable"):
        if values[place] - first > tolerance:
            first = values[place]
        merged[place] = first
    return merged
