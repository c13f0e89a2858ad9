"""Algorithm 1 of the paper, and what it stands on, in plain Python, NumPy and SciPy: one mask at a time, no cleverness."""

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
    score = similarity(without_noise(prediction_sensitivity), without_noise(explanation_sensitivity))
    return prediction_sensitivity, explanation_sensitivity, score


def without_noise(sensitivity):
    """Features whose sensitivities differ by rounding alone (9 digits agree) are tied."""
    return np.round(sensitivity / np.abs(sensitivity).max(), 9)


def top_k_agreement(prediction, explanation, k):
    """Eq. 5."""
    best = [set(np.argsort(-without_noise(values), kind="stable")[:k]) for values in (prediction, explanation)]
    return len(best[0] & best[1]) / k
