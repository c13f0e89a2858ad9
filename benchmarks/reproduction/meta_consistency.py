"""MetaQuantus's four criteria of a metric, from its scores before and after something was perturbed.

Each function takes the scores of L explanation methods for N images, `original` of shape (L, N), those for K perturbed copies
of the images or of the model, `perturbed` of shape (K, L, N), and which images count, `counts` of shape (K, N). Where the
perturbation is minor, images count that the model still predicts as before; where it is disruptive, those that it does not.
Each function returns one value in [0, 1] for each copy, (K,); 1 is best. Images without a score are left out where the score
is needed. NaN says that too few are left.

References
----------
Hedström et al., "The Meta-Evaluation Problem in Explainable AI: Identifying Reliable Estimators with MetaQuantus", TMLR 2023,
section 4: perturb, score, integrate.
"""

import numpy as np
from jaxtyping import Bool, Float64
from scipy.stats import wilcoxon

Original = Float64[np.ndarray, "L N"]
Perturbed = Float64[np.ndarray, "K L N"]
Counts = Bool[np.ndarray, "K N"]
Values = Float64[np.ndarray, " K"]


def unchanged_distribution(original: Original, perturbed: Perturbed, counts: Counts) -> Values:
    """Intra-consistency under a minor perturbation: IAC_NR = mean over methods of p.

    p is the two-sided p-value of Wilcoxon's signed-rank test of the original and the perturbed scores of a method, over the
    images that count. Zero differences are split between the two signs, so that p is 1 if no score changes. If scores move at
    random, p is uniform and the mean is 0.5.

    Examples
    --------
    >>> scores = np.arange(6.0)[None]
    >>> unchanged_distribution(scores, np.stack([scores, scores + 1]), np.ones((2, 6), bool)).round(3)
    array([1.   , 0.031])
    """
    values = [
        [_p_value(*pair, images) for pair in zip(original, copy, strict=True)] for copy, images in _copies(perturbed, counts)
    ]
    return _mean_of_rows(values)


def changed_distribution(original: Original, perturbed: Perturbed, counts: Counts) -> Values:
    """Intra-consistency under a disruptive perturbation: IAC_AR = mean over methods of 1 - p; see `unchanged_distribution`."""
    return 1 - unchanged_distribution(original, perturbed, counts)


def preserved_ranks(original: Original, perturbed: Perturbed, counts: Counts) -> Values:
    """Inter-consistency under a minor perturbation: IEC_NR = mean over images and methods of [rank' = rank].

    The rank of a method is its place among the L methods by their scores for one image; equal scores are ranked by the order of
    the methods. If ranks move at random, the mean is 1 / L.

    Examples
    --------
    >>> original, swapped = np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [3.0], [2.0]])
    >>> preserved_ranks(original, np.stack([original * 2, swapped]), np.ones((2, 1), bool)).round(3)
    array([1.   , 0.333])
    """
    values = []
    for copy, images in _copies(perturbed, counts):
        images = images & np.isfinite(original).all(0) & np.isfinite(copy).all(0)
        values.append((_ranks(original) == _ranks(copy))[:, images].ravel())
    return _mean_of_rows(values)


def worse_scores(original: Original, perturbed: Perturbed, counts: Counts, *, higher_is_better: bool) -> Values:
    """Inter-consistency under a disruptive perturbation: IEC_AR = mean over images and methods of [score' worse than score].

    If scores move at random, the mean is 0.5. The package `metaquantus` counts rises for every metric whose `score_direction`
    it is given, "higher" too.

    Examples
    --------
    >>> original, fallen = np.ones((1, 2)), np.array([[0.5, 1.5]])
    >>> everything = np.ones((1, 2), bool)
    >>> [worse_scores(original, fallen[None], everything, higher_is_better=better).item() for better in (True, False)]
    [0.5, 0.5]
    """
    values = []
    for copy, images in _copies(perturbed, counts):
        there = images & np.isfinite(original) & np.isfinite(copy)
        values.append((copy < original if higher_is_better else copy > original)[there])
    return _mean_of_rows(values)


def _p_value(before: np.ndarray, after: np.ndarray, images: np.ndarray) -> float:
    images = images & np.isfinite(before) & np.isfinite(after)
    if images.sum() < 2:
        return np.nan
    return float(wilcoxon(before[images], after[images], zero_method="zsplit").pvalue)


def _ranks(scores: np.ndarray) -> np.ndarray:
    return scores.argsort(0, kind="stable").argsort(0, kind="stable")


def _copies(perturbed: Perturbed, counts: Counts) -> list[tuple[np.ndarray, np.ndarray]]:
    return list(zip(perturbed, counts, strict=True))


def _mean_of_rows(rows: list) -> Values:
    """The mean of what is finite in each row; NaN if nothing is."""
    finite = [np.asarray(row, float)[np.isfinite(np.asarray(row, float))] for row in rows]
    return np.array([row.mean() if len(row) else np.nan for row in finite])
