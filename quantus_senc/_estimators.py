"""From sums over masks to sensitivities, and what they would be without each block of masks."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from quantus_senc._sensitivity import N_BLOCKS, n_terms

ESTIMATORS = ("paper", "regression")
_MOST_TERMS = 1024  # least squares takes their square in memory, their cube in time
_FEWEST_PER_TERM = 2  # masks
_FEWEST_KEPT = 10  # how often a feature is to be kept, and to be eliminated, on average; and any two of them together
_BLOCK_VALUES = 2**22  # how many values the normal equations of some blocks may have together


def enough_masks(n_features: int, mask_rate: float) -> int:
    """How many drawn masks the regression of so many features takes at the least.

    Examples
    --------
    >>> enough_masks(16, 0.8), enough_masks(512, 0.8), enough_masks(16, 0.99)
    (50, 1026, 1000)
    """
    rarer = min(mask_rate, 1 - mask_rate)
    return max(_FEWEST_PER_TERM * n_terms(n_features, 0), math.ceil(round(_FEWEST_KEPT / rarer, 6)))


def affords_pairs(n_features: int, n_masks: int, mask_rate: float) -> bool:
    """Whether so many drawn masks suffice to fit a coefficient for every pair of features.

    Examples
    --------
    >>> affords_pairs(16, 273, 0.8), affords_pairs(16, 274, 0.8), affords_pairs(16, 274, 0.9), affords_pairs(100, 5000, 0.5)
    (False, True, False, False)
    """
    rarest = n_masks * min(mask_rate, 1 - mask_rate) ** 2
    return rarest >= _FEWEST_KEPT and n_terms(n_features, n_features) <= min(_MOST_TERMS, n_masks // _FEWEST_PER_TERM)


def paper(blocks: Float64[Tensor, "*n G 2 t"], n_masks: int) -> tuple[Float64[Tensor, "*n 2 m"], Float64[Tensor, "*n G 2 m"]]:
    """Sums of masks, each times its weight: S_k = sum over i of w_i M_ik.

    Parameters
    ----------
    blocks
        Sums of `terms` without pairs.
    n_masks
        How many masks they are sums of.

    Returns
    -------
    Tensor
        Prediction and explanation sensitivity.
    Tensor
        How much a block of masks changes them: the difference to what the other blocks give for as many masks.

    References
    ----------
    Tan, WACV 2025, Eq. 1 and 2.
    """
    by_block = blocks[..., 1:]
    total = by_block.sum(-3)
    n_others = n_masks - (n_masks - torch.arange(N_BLOCKS) + N_BLOCKS - 1) // N_BLOCKS
    others = (total[..., None, :, :] - by_block) * (n_masks / n_others.clamp(1).double())[:, None, None]
    return total, total[..., None, :, :] - others


def every_mask_limit(blocks: Float64[Tensor, "*n G 2 t"], mask_rate: float) -> Float64[Tensor, "*n 2 m"]:
    """Where least squares leads to, Cov(w, M_k) / Var(M_k), from sums over all masks times their probabilities."""
    total, kept = blocks.sum(-3), 1 - mask_rate
    return (total[..., 1:] - kept * total[..., :1]) / (kept * mask_rate)


@dataclass(frozen=True)
class Estimate:
    """Sensitivities of one image, and how far they can be trusted.

    Attributes
    ----------
    sensitivities
        To prediction and explanation.
    deviations
        How much each block of masks changes them.
    resolution
        What differences of the two rounding alone can make.
    undefined
        Why they mean nothing, or an empty string.
    """

    sensitivities: Float64[Tensor, "2 m"]
    deviations: Float64[Tensor, "G 2 m"]
    resolution: Float64[Tensor, " 2"]
    undefined: str = ""

    def first(self, n_features: int) -> "Estimate":
        """Those of the first features alone."""
        return replace(self, sensitivities=self.sensitivities[:, :n_features], deviations=self.deviations[..., :n_features])


@dataclass(frozen=True)
class LeastSquares:
    """Weights as linear functions of the masks' terms.

    Attributes
    ----------
    coefficients
        Of each term, for each of several weights; NaN where the masks do not tell the terms apart.
    deviations
        How much each block of masks changes them.
    is_singular
        Whether the masks, or those of all blocks but one, do not tell the terms apart.
    """

    coefficients: Float64[Tensor, "t c"]
    deviations: Float64[Tensor, "G t c"]
    is_singular: bool

    @classmethod
    def fit(
        cls, rows: Callable[[Int64[Tensor, " k"]], Float[Tensor, "k t"]], n_masks: int, products: Float64[Tensor, "G t c"]
    ) -> "LeastSquares":
        """Least squares from sums; the Gram matrix is summed from the masks anew, which are a function of their numbers.

        Parameters
        ----------
        rows
            From masks' numbers to their terms.
        n_masks
            The masks are number 0 … n_masks - 1.
        products
            Sums of terms times weights over the masks of each block.
        """
        numbers = torch.arange(n_masks)
        gram = torch.stack([_gram(rows(some)) for some in numbers.split(4096)]).sum(0)
        total = products.sum(0)
        coefficients, singular = _solve(gram, total)
        deviations, flaws = [], [singular]
        n_rows = -(-n_masks // N_BLOCKS)
        for blocks in torch.arange(N_BLOCKS).split(max(_BLOCK_VALUES // (len(gram) * max(len(gram), n_rows)), 1)):
            members = blocks[:, None] + N_BLOCKS * torch.arange(n_rows)
            found = rows(members.flatten()).unflatten(0, members.shape) * (members < n_masks)[..., None]
            others, singular = _solve(gram - _gram(found), total - products[blocks])
            deviations.append(coefficients - others)
            flaws.append(singular.any())
        return cls(coefficients, torch.cat(deviations), bool(torch.stack(flaws).any()))


def _gram(rows: Float[Tensor, "*n k t"]) -> Float64[Tensor, "*n t t"]:
    return rows.double().mT @ rows.double()


def _solve(
    gram: Float64[Tensor, "*#n t t"], products: Float64[Tensor, "*n t c"]
) -> tuple[Float64[Tensor, "*n t c"], Bool[Tensor, "*#n"]]:
    """The solution of positive definite systems, NaN throughout where one is singular; and which are."""
    factor, failed = torch.linalg.cholesky_ex(gram)
    # What share of each term's square the terms before it leave unexplained.
    left = factor.diagonal(dim1=-2, dim2=-1).square() / gram.diagonal(dim1=-2, dim2=-1)
    singular = (failed != 0) | ~(left > 1e-10).all(-1)
    return torch.cholesky_solve(products, factor).masked_fill(singular[..., None, None], torch.nan), singular
