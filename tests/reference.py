"""Algorithms 1 and 2 of the paper, and what it stands on, plainly in Python, NumPy and SciPy: one mask at a time."""

import copy
import hashlib
import itertools
import warnings

import numpy as np
import torch
from scipy.stats import spearmanr


def philox_4x32(counter, key):
    """Philox-4x32-10 (Salmon et al. 2011) on Python integers: four words of counter, two of key."""
    counter, key = list(counter), list(key)
    for _ in range(10):
        product_0, product_1 = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        high_0, low_0 = divmod(product_0, 2**32)
        high_1, low_1 = divmod(product_1, 2**32)
        counter = [high_1 ^ counter[1] ^ key[0], low_1, high_0 ^ counter[3] ^ key[1], low_0]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return counter


def keep_mask(seed, stream, index, n_features, mask_rate):
    """Which features mask number `index` of a stream keeps, (m,)."""
    words = []
    for block in range(-(-n_features // 4)):
        words += philox_4x32([block, index, stream % 2**32, stream >> 32], [seed % 2**32, seed >> 32])
    return np.array([word >= round(mask_rate * 2**32) for word in words[:n_features]])


def n_distinct(seed, stream, n_masks, n_features, mask_rate=0.8):
    """How many of so many masks differ."""
    return len({tuple(keep_mask(seed, stream, index, n_features, mask_rate)) for index in range(n_masks)})


def similarity(a, b):
    """Spearman's rho of two attributions; 0 where the second has no ranks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rho = spearmanr(np.ravel(a), np.ravel(b)).statistic
    return 0.0 if len(np.unique(b)) == 1 else rho


def probability(model, x, y):
    """P of class y for one input."""
    with torch.no_grad():
        return model(torch.tensor(x)[None]).softmax(-1)[0, y].item()


def data_senc(model, x, y, labels, explain, seed, index, n_masks, mask_rate=0.8, baseline=0.0):
    """Algorithm 1 for one input: prediction sensitivity (m,), explanation sensitivity (m,), score.

    `explain` takes one input and its class, and returns its attribution. `labels` (*spatial) count from 0.
    """
    m = labels.max() + 1
    confidence, explanation = probability(model, x, y), explain(x, y)
    prediction_sensitivity, explanation_sensitivity = np.zeros(m), np.zeros(m)
    for k in range(n_masks):
        keep = keep_mask(seed, index, k, m, mask_rate)
        perturbed = np.where(keep[labels], x, np.float32(baseline))
        change = abs(confidence - probability(model, perturbed, y))
        prediction_sensitivity += (1 - change) * keep
        explanation_sensitivity += similarity(explanation, explain(perturbed, y)) * keep
    score = consistency(prediction_sensitivity, explanation_sensitivity, resolution(n_masks, mask_rate))
    return prediction_sensitivity, explanation_sensitivity, score


def layer_stream(name):
    """What a layer's masks are drawn for."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "little")


def masked_model(model, layer, keep):
    """A copy of the model in which the weights of a layer's eliminated units are 0."""
    model = copy.deepcopy(model)
    module = model.get_submodule(layer)
    with torch.no_grad():
        for unit in np.flatnonzero(~keep):
            if isinstance(module, torch.nn.Linear):
                module.weight[:, unit] = 0
            elif module.transposed:
                n_out, n_in = module.out_channels // module.groups, module.in_channels // module.groups
                group, channel = divmod(int(unit), n_out)
                module.weight[group * n_in : (group + 1) * n_in, channel] = 0
            else:
                module.weight[unit] = 0
    return model


def parameter_senc(model, x, y, explain, layer, n_units, seed, n_masks, mask_rate=0.8):
    """Algorithm 2 for one input and layer: prediction sensitivity (m,), explanation sensitivity (m,), score.

    `explain` takes a model, one input and its class, and returns its attribution.
    """
    confidence, explanation = probability(model, x, y), explain(model, x, y)
    prediction_sensitivity, explanation_sensitivity = np.zeros(n_units), np.zeros(n_units)
    for k in range(n_masks):
        keep = keep_mask(seed, layer_stream(layer), k, n_units, mask_rate)
        perturbed = masked_model(model, layer, keep)
        change = abs(confidence - probability(perturbed, x, y))
        prediction_sensitivity += (1 - change) * keep
        explanation_sensitivity += similarity(explanation, explain(perturbed, x, y)) * keep
    score = consistency(prediction_sensitivity, explanation_sensitivity, resolution(n_masks, mask_rate))
    return prediction_sensitivity, explanation_sensitivity, score


def consistency(prediction, explanation, resolution):
    """Eq. 4 and 6; NaN where one of them does not distinguish the features."""
    prediction, explanation = with_ties(prediction, resolution), with_ties(explanation, resolution)
    if len(np.unique(prediction)) == 1 or len(np.unique(explanation)) == 1:
        return np.nan
    return spearmanr(prediction, explanation).statistic


def with_ties(sensitivity, resolution):
    """Sensitivities in groups, from the lowest up: what is no more than the resolution above a group's first is equal to it."""
    tied, first = np.zeros(len(sensitivity)), -np.inf
    for feature in np.argsort(sensitivity, kind="stable"):
        first = first if sensitivity[feature] - first <= resolution else sensitivity[feature]
        tied[feature] = first
    return tied


def resolution(n_masks, mask_rate):
    """What differences of the paper's sums rounding can make, if that of a weight is 4 units in the last place of 1."""
    return 4 * 2.0**-23 * np.sqrt(n_masks * mask_rate * (1 - mask_rate))


def top_k_agreement(prediction, explanation, k, resolution=0.0):
    """Eq. 5."""
    best = [set(np.argsort(-with_ties(values, resolution), kind="stable")[:k]) for values in (prediction, explanation)]
    return len(best[0] & best[1]) / k


def every_mask(n_features):
    """All masks of so many features, (2^m, m)."""
    return np.array(list(itertools.product([False, True], repeat=n_features)))


def limit(masks, weights, mask_rate):
    """What the sensitivities tend to: Cov(w, M_k) / Var(M_k), from the weights (2^m,) of every mask."""
    kept = 1 - mask_rate
    probabilities = np.prod(np.where(masks, kept, mask_rate), axis=1)
    mean = probabilities @ weights
    return (probabilities * (weights - mean)) @ (masks - kept) / (kept * mask_rate)


def regression(masks, weights, mask_rate, pairs):
    """Least squares of weights (K,) on masks (K, m): the coefficient of each feature; with products of pairs, if asked for."""
    centred = masks - (1 - mask_rate)
    columns = [np.ones(len(masks)), *masks.T.astype(float)]
    if pairs:
        columns += [centred[:, a] * centred[:, b] for a, b in itertools.combinations(range(masks.shape[1]), 2)]
    return np.linalg.lstsq(np.stack(columns, 1), weights, rcond=None)[0][1 : masks.shape[1] + 1]


def mask_weights(model, x, y, labels, explain, masks, baseline=0.0):
    """1 - confidence change and explanation similarity of every mask, (2, K)."""
    confidence, explanation = probability(model, x, y), explain(x, y)
    found = []
    for keep in masks:
        perturbed = np.where(keep[labels], x, np.float32(baseline))
        change = abs(confidence - probability(model, perturbed, y))
        found.append((1 - change, similarity(explanation, explain(perturbed, y))))
    return np.array(found).T
