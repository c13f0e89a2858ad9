"""Least squares of weights on masks, and where it leads to with ever more masks; by NumPy."""

import itertools

import numpy as np


def regression(masks, weights, mask_rate, interactions):
    """Coefficients of the features (m,) of weights (K,) on masks (K, m); with products of every two, if asked for."""
    centred = masks - (1 - mask_rate)
    columns = [np.ones(len(masks)), *masks.T.astype(float)]
    if interactions:
        columns += [centred[:, a] * centred[:, b] for a, b in itertools.combinations(range(masks.shape[1]), 2)]
    return np.linalg.lstsq(np.stack(columns, 1), weights, rcond=None)[0][1 : masks.shape[1] + 1]


def limit(masks, weights, mask_rate):
    """Cov(w, M_k) / Var(M_k), from the weights (2^m,) of every mask."""
    kept = 1 - mask_rate
    probabilities = np.prod(np.where(masks, kept, mask_rate), axis=1)
    mean = probabilities @ weights
    return (probabilities * (weights - mean)) @ (masks - kept) / (kept * mask_rate)
