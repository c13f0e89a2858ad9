"""Estimators: from masks and their weights to the sensitivity of each feature.

The weights of a mask are w = 1 - confidence change (for the prediction) and w = explanation similarity (for the
explanation). All estimators are functions of the masks (K, m) and the weights (n, K, 2) of n images that share these masks.
Masks are a function of their numbers 0 … K - 1, so that only a few need to be in memory: `masks(numbers)` are these rows.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc.core.masks import probability

Masks = Callable[[Int64[Tensor, " k"]], Bool[Tensor, "k m"]]
ESTIMATORS = ("paper", "regression")
N_BLOCKS = 32  # masks number i, i + 32, i + 64, ... are one block; standard errors compare the blocks
_MOST_TERMS = 1024  # least squares takes their square in memory, their cube in time
_FEWEST_PER_TERM = 2  # masks
_FEWEST_KEPT = 10  # how often masks keep, and eliminate, a feature on average; and any two features together
_CHUNK_VALUES = 2**18  # values of masks or terms that are made at a time
_BLOCK_VALUES = 2**22  # values of the normal equations that are solved at a time


@dataclass(frozen=True, eq=False)
class Estimate:
    """Sensitivities of images that share their masks.

    Attributes
    ----------
    sensitivities
        To prediction and explanation. NaN where the masks do not tell the features apart.
    steady
        The same without the noise that both of the paper's sums have in common; their ranks have the same limit.
    deviations
        How much each block of masks changes `steady`: the difference to what the other blocks give, as large as noise makes it.
    inert
        The sensitivities of a feature that has no effect.
    """

    sensitivities: Float64[Tensor, "n 2 m"]
    steady: Float64[Tensor, "n 2 m"]
    deviations: Float64[Tensor, "n G 2 m"]
    inert: Float64[Tensor, "n 2"]


def paper(masks: Masks, weights: Float64[Tensor, "n K 2"]) -> Estimate:
    """Sum the masks, each times its weight: S_k = sum over i of w_i M_ik.

    How many masks keep a feature is chance, which is the same in both sums and by far their largest noise. Sums of the weights
    less their mean are free of it. They tend to the covariance of weight and mask, by which ever more masks rank the features.

    References
    ----------
    Tan, WACV 2025, Eq. 1 and 2.

    Examples
    --------
    >>> masks = torch.tensor([[True, False], [True, True]])
    >>> paper(masks.__getitem__, torch.tensor([[[0.5, 0.25], [1.0, 0.0]]], dtype=torch.float64)).sensitivities
    tensor([[[1.5000, 1.0000],
             [0.2500, 0.0000]]], dtype=torch.float64)
    """
    n_images, n_masks, by_block = *weights.shape[:2], torch.zeros(()).double()
    both = torch.cat([weights, weights - weights.mean(1, keepdim=True)])
    for kept, shared in _by_block(lambda numbers: masks(numbers).double(), both, torch.arange(N_BLOCKS)):
        by_block = by_block + shared.mT @ kept
    by_block = by_block.unflatten(1, (-1, 2)).transpose(0, 1)
    sums, total = by_block.sum(1).split(n_images)
    by_block = by_block[n_images:]
    n_others = n_masks - torch.tensor([len(range(block, n_masks, N_BLOCKS)) for block in range(N_BLOCKS)])
    others = (total[:, None] - by_block) * (n_masks / n_others.clamp(1).double())[:, None, None]
    return Estimate(sums, total, total[:, None] - others, torch.zeros_like(weights[:, 0]))


def regression(masks: Masks, weights: Float64[Tensor, "n K 2"], mask_rate: float, *, interactions: bool) -> Estimate:
    """Fit the weights as linear functions of the masks by least squares; the coefficients are the sensitivities.

    Parameters
    ----------
    mask_rate
        The probability with which a mask eliminates a feature.
    interactions
        Whether products of every two features are fitted, too. They take up scatter that is noise otherwise. Masks that do
        not tell the products apart are fitted without them.
    """

    def rows(numbers: Int64[Tensor, " k"]) -> Float64[Tensor, "k t"]:
        return terms(masks(numbers), mask_rate, interactions=interactions)

    def sums_of(blocks: Int64[Tensor, " g"]) -> tuple[Float64[Tensor, "g t t"], Float64[Tensor, "g t c"]]:
        grams = products = torch.zeros(()).double()
        for values, shared in _by_block(rows, weights, blocks):
            grams, products = grams + values.mT @ values, products + values.mT @ shared
        return grams, products

    first = torch.zeros(1, dtype=torch.int64)
    n_features, n_terms = masks(first).shape[1], rows(first).shape[1]
    groups = torch.arange(N_BLOCKS).split(max(_BLOCK_VALUES // n_terms**2, 1))
    gram = product = torch.zeros(()).double()
    for blocks in groups:
        grams, products = sums_of(blocks)
        gram, product = gram + grams.sum(0), product + products.sum(0)
    whole, singular = _solve(gram, product)
    deviations = []
    for blocks in groups:
        grams, products = sums_of(blocks)
        others, flaws = _solve(gram - grams, product - products)
        deviations.append(whole - others)
        singular = singular | flaws.any()
    if singular and interactions:
        return regression(masks, weights, mask_rate, interactions=False)
    features, columns = slice(1, 1 + n_features), (-1, 2)
    coefficients = whole[features].unflatten(1, columns).permute(1, 2, 0)
    # The whole fit follows each mask's noise, which makes squares of the deviations larger by 1 / (1 - terms / masks).
    scale = math.sqrt(max(1 - n_terms / weights.shape[1], 0.0))
    deviation = scale * torch.cat(deviations)[:, features].unflatten(2, columns).permute(2, 0, 3, 1)
    return Estimate(coefficients, coefficients, deviation, torch.zeros_like(weights[:, 0]))


def exhaustive(masks: Masks, weights: Float64[Tensor, "n K 2"], mask_rate: float, *, estimator: str) -> Estimate:
    """Return what the estimators lead to with ever more masks, from all masks that there are, times their probabilities.

    Least squares leads to Cov(w, M_k) / Var(M_k). The mean of the paper's sums leads to E[w M_k]. There is no error, so the
    deviations are 0.
    """
    kept, mean, product = 1 - mask_rate, torch.zeros(()).double(), torch.zeros(()).double()
    every = torch.arange(weights.shape[1])
    for numbers in _chunks(every, masks(every[:1]).shape[1]):
        rows = masks(numbers)
        shared = weights[:, numbers] * probability(rows, mask_rate)[:, None]
        mean = mean + shared.sum(1)
        product = product + shared.mT @ rows.double()  # E[w M_k]
    values, inert = product, kept * mean
    if estimator == "regression":
        values, inert = (product - inert[..., None]) / (kept * mask_rate), torch.zeros_like(mean)
    return Estimate(values, values, values.new_zeros(len(weights), N_BLOCKS, 2, values.shape[-1]), inert)


def terms(masks: Bool[Tensor, "k m"], mask_rate: float, *, interactions: bool) -> Float64[Tensor, "k t"]:
    """Return what least squares fits: 1, M_j of every feature, and (M_j - p)(M_k - p) of every two, with p = 1 - mask rate.

    The products are centred so that they correlate neither with the M_j nor with each other.

    Examples
    --------
    >>> terms(torch.tensor([[True, True]]), 0.5, interactions=True)
    tensor([[1.0000, 1.0000, 1.0000, 0.2500]], dtype=torch.float64)
    """
    kept = masks.double()
    columns = [kept.new_ones(len(kept), 1), kept]
    if interactions:
        later, earlier = torch.tril_indices(masks.shape[1], masks.shape[1], -1)
        centred = kept - (1 - mask_rate)
        columns.append(centred[:, later] * centred[:, earlier])
    return torch.cat(columns, 1)


def enough_masks(n_features: int, mask_rate: float) -> int:
    """Return how many drawn masks the regression of so many features takes at least.

    Examples
    --------
    >>> enough_masks(16, 0.8), enough_masks(512, 0.8), enough_masks(16, 0.99)
    (50, 1026, 1000)
    """
    rarer = min(mask_rate, 1 - mask_rate)
    return max(_FEWEST_PER_TERM * (1 + n_features), math.ceil(round(_FEWEST_KEPT / rarer, 6)))


def affords_interactions(n_features: int, n_masks: int, mask_rate: float) -> bool:
    """Say whether so many drawn masks suffice to fit a coefficient for every two features.

    Examples
    --------
    >>> affords_interactions(16, 273, 0.8), affords_interactions(16, 274, 0.8), affords_interactions(16, 274, 0.9)
    (False, True, False)
    """
    rarest = n_masks * min(mask_rate, 1 - mask_rate) ** 2
    n_terms = 1 + n_features + n_features * (n_features - 1) // 2
    return rarest >= _FEWEST_KEPT and n_terms <= min(_MOST_TERMS, n_masks // _FEWEST_PER_TERM)


def _by_block(
    rows: Callable[[Int64[Tensor, " k"]], Float64[Tensor, "k t"]],
    weights: Float64[Tensor, "n K 2"],
    blocks: Int64[Tensor, " g"],
) -> Iterator[tuple[Float64[Tensor, "g r t"], Float64[Tensor, "g r c"]]]:
    """Rows of masks and the masks' weights in all images, for some blocks side by side and a bounded number at a time.

    Blocks have equally many; in the place of masks that there are not, rows are 0.
    """
    n_masks = weights.shape[1]
    n_values = len(blocks) * rows(torch.zeros(1, dtype=torch.int64)).shape[1]
    for rounds in torch.arange(-(-n_masks // N_BLOCKS)).split(max(_CHUNK_VALUES // max(n_values, 1), 1)):
        numbers = N_BLOCKS * rounds + blocks[:, None]
        existing = numbers.clamp(max=n_masks - 1)
        values = rows(existing.flatten()).unflatten(0, numbers.shape) * (numbers < n_masks)[..., None]
        yield values, weights[:, existing].permute(1, 2, 0, 3).flatten(2)


def _chunks(numbers: Int64[Tensor, " k"], width: int) -> tuple[Int64[Tensor, " _"], ...]:
    """Numbers of masks of which so many values each are made at a time."""
    return numbers.split(max(_CHUNK_VALUES // max(width, 1), 1))


def _solve(
    gram: Float64[Tensor, "*#n t t"], products: Float64[Tensor, "*n t c"]
) -> tuple[Float64[Tensor, "*n t c"], Bool[Tensor, "*#n"]]:
    """The solutions of positive definite systems, NaN throughout for singular ones; and whether each is singular."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    # The share of each term's square that the terms before it leave unexplained.
    unexplained = factor.diagonal(dim1=-2, dim2=-1).square() / gram.diagonal(dim1=-2, dim2=-1)
    singular = (failed != 0) | ~(unexplained > 1e-10).all(-1)
    return torch.cholesky_solve(products, factor).masked_fill(singular[..., None, None], torch.nan), singular
