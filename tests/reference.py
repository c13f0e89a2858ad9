"""Algorithms 1 and 2 of the paper, plainly in Python, NumPy and SciPy: one mask at a time. The masks (K, m) are given."""

import copy
import warnings

import numpy as np
import torch
from scipy.stats import spearmanr


def data_senc(model, x, y, labels, explain, masks, baseline=0.0, tie_tolerance=0.0):
    """Algorithm 1 for one input: prediction sensitivity (m,), explanation sensitivity (m,), score.

    `explain` takes one input and its class, and returns its attribution. `labels` (*spatial) count from 0.
    """
    prediction, explanation = data_weights(model, x, y, labels, explain, masks, baseline) @ masks
    return prediction, explanation, consistency(prediction, explanation, tie_tolerance)


def data_weights(model, x, y, labels, explain, masks, baseline=0.0):
    """1 - confidence change and explanation similarity of every mask, (2, K)."""
    confidence, explanation = probability(model, x, y), explain(x, y)
    weights = []
    for keep in masks:
        perturbed = np.where(keep[labels], x, np.float32(baseline))
        change = abs(confidence - probability(model, perturbed, y))
        weights.append((1 - change, similarity(explanation, explain(perturbed, y))))
    return np.array(weights).T


def parameter_senc(model, x, y, explain, layer, masks, tie_tolerance=0.0):
    """Algorithm 2 for one input and layer: prediction sensitivity (m,), explanation sensitivity (m,), score.

    `explain` takes a model, one input and its class, and returns its attribution.
    """
    prediction, explanation = parameter_weights(model, x, y, explain, layer, masks) @ masks
    return prediction, explanation, consistency(prediction, explanation, tie_tolerance)


def parameter_weights(model, x, y, explain, layer, masks):
    """1 - confidence change and explanation similarity of every mask, (2, K)."""
    confidence, explanation = probability(model, x, y), explain(model, x, y)
    weights, perturbed = [], copy.deepcopy(model)
    masked, weight = perturbed.get_submodule(layer), model.get_submodule(layer).weight.detach()
    for keep in masks:
        masked.weight.data.copy_(weight)
        eliminate(masked, keep)
        change = abs(confidence - probability(perturbed, x, y))
        weights.append((1 - change, similarity(explanation, explain(perturbed, x, y))))
    return np.array(weights).T


def masked_model(model, layer, keep):
    """A copy of the model in which the weights of a layer's eliminated units are 0."""
    model = copy.deepcopy(model)
    eliminate(model.get_submodule(layer), keep)
    return model


def eliminate(module, keep):
    """Set the weights of a layer's eliminated units to 0."""
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


def consistency(prediction, explanation, tie_tolerance):
    """Eq. 4 and 6; NaN where one of them does not distinguish the features."""
    tolerances = np.broadcast_to(tie_tolerance, 2)
    prediction, explanation = with_ties(prediction, tolerances[0]), with_ties(explanation, tolerances[1])
    if len(np.unique(prediction)) == 1 or len(np.unique(explanation)) == 1:
        return np.nan
    return spearmanr(prediction, explanation).statistic


def with_ties(sensitivity, tie_tolerance):
    """Sensitivities in groups, from the lowest up: what is at most the tolerance above a group's first is equal to it."""
    tied, first = np.zeros(len(sensitivity)), -np.inf
    for feature in np.argsort(sensitivity, kind="stable"):
        first = first if sensitivity[feature] - first <= tie_tolerance else sensitivity[feature]
        tied[feature] = first
    return tied


def rounding(n_masks, mask_rate, n_features, unit=2.0**-23):
    """How far rounding can move the paper's sums apart, for prediction and explanation.

    It moves a prediction of 1 by 16 units in the last place, a similarity by 160; and masks that are alike by the same.
    """
    variance = mask_rate * (1 - mask_rate)
    drawn, alike = 2 * n_masks * variance, 2 * (n_masks * variance) ** 2 * (1 - 2 * variance) ** max(n_features - 2, 0)
    return unit * np.array([16, 160]) * np.sqrt(drawn + alike)


def top_k_agreement(prediction, explanation, k, tie_tolerance=0.0):
    """Eq. 5."""
    tied = map(with_ties, (prediction, explanation), np.broadcast_to(tie_tolerance, 2))
    best = [set(np.argsort(-values, kind="stable")[:k]) for values in tied]
    return len(best[0] & best[1]) / k
