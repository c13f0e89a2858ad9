"""The plan of a run: how many masks an image gets, which they are, and how sensitivities are estimated from them."""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc.core.estimators import Estimate, Masks, affords_interactions, enough_masks, exhaustive, paper, regression
from quantus_senc.core.masks import MaskDesign

FIRST_CHECK = 256  # masks, after which the standard error is first compared with the tolerance
_GROWTH = 1.5  # of the number of masks, from one comparison to the next
_MOST_FEATURES = 20  # of which all masks are run


@dataclass(frozen=True)
class Plan:
    """The parameters of a metric that say how sensitivities are estimated.

    Attributes
    ----------
    seed, mask_rate, n_masks, estimator, tolerance
        As users give them.
    shows_errors
        Whether the standard error is computed during the run although there is no tolerance, for the progress bar.
    repeats
        Whether a mask gives the same again. Where it does not, a run of all masks would have an error, too, so it is not done
        unless users ask for it.
    """

    seed: int
    mask_rate: float
    n_masks: int | str
    estimator: str
    tolerance: float | None
    shows_errors: bool = False
    repeats: bool = True

    @property
    def knows_inert_features(self) -> bool:
        """Whether features that equal the baseline are left out, since eliminating them changes nothing."""
        return self.estimator == "regression" or isinstance(self.n_masks, str)

    def is_exhaustive(self, n_free: int) -> bool:
        """Whether all masks of so many features are run: on demand, or if these are no more than would be drawn."""
        if isinstance(self.n_masks, str):
            return True
        fewest = self.n_masks if self.tolerance is None else min(self.n_masks, FIRST_CHECK)
        return self.estimator == "regression" and 2**n_free <= fewest and (self.repeats or n_free == 0)

    def mask_count(self, n_free: int) -> int:
        """How many masks an image with so many free features gets, at the most."""
        return 2**n_free if self.is_exhaustive(n_free) else int(self.n_masks)

    def checkpoints(self) -> list[int]:
        """The numbers of masks after which standard errors are computed during the run."""
        if isinstance(self.n_masks, str) or (self.tolerance is None and not self.shows_errors):
            return []
        checks, stop = [], FIRST_CHECK
        while stop < self.n_masks:
            checks.append(stop)
            stop = int(_GROWTH * stop)
        return checks

    def check(self, n_free: int, features: str) -> None:
        """Raise ValueError if so many features are too many for all masks, or the drawn masks too few for them."""
        if isinstance(self.n_masks, str):
            if n_free > _MOST_FEATURES:
                raise ValueError(
                    f"n_masks='all' takes 2^{n_free} masks for {n_free} {features}; that is done for at most {_MOST_FEATURES}: "
                    "pass a number, or make them fewer"
                )
        elif self.estimator == "regression" and not self.is_exhaustive(n_free):
            enough = enough_masks(n_free, self.mask_rate)
            if self.n_masks < enough:
                raise ValueError(
                    f"n_masks={self.n_masks} is too few for estimator='regression' with {n_free} {features} and "
                    f"mask_rate={self.mask_rate}; it takes at least {enough}"
                )

    def design(self, streams: Int64[Tensor, " r"], free: Bool[Tensor, "r m"]) -> MaskDesign:
        """The masks of images of which these features are free."""
        counts = free.sum(1).tolist()
        n_masks = tuple(self.mask_count(count) for count in counts)
        return MaskDesign(self.seed, self.mask_rate, streams, free, n_masks, tuple(map(self.is_exhaustive, counts)))

    def estimate(self, masks: Masks, weights: Float64[Tensor, "n K 2"], n_features: int, *, is_exhaustive: bool) -> Estimate:
        """Sensitivities of free features from the masks that images have had, restricted to these features."""
        n_masks = weights.shape[1]
        if is_exhaustive:
            return exhaustive(masks, weights, self.mask_rate, estimator=self.estimator)
        if self.estimator == "paper":
            estimate = paper(masks, weights)
        else:
            interactions = affords_interactions(n_features, n_masks, self.mask_rate)
            estimate = regression(masks, weights, self.mask_rate, interactions=interactions)
        if n_masks < enough_masks(n_features, self.mask_rate):
            return replace(estimate, deviations=torch.full_like(estimate.deviations, torch.nan))
        return estimate

    def tie_tolerance(
        self, rounding: Float64[Tensor, " 2"], largest: float, n_masks: int, n_free: int, *, is_exhaustive: bool
    ) -> Float64[Tensor, " 2"]:
        """Return how far rounding alone can move the sensitivities of two features apart, for prediction and explanation.

        Parameters
        ----------
        rounding
            How far rounding moves the two weights of a mask. Masks that are alike are moved by the same, others independently.
        largest
            An upper bound on the image's predictions.
        """
        variance = self.mask_rate * (1 - self.mask_rate)
        # Two coefficients differ by sums over the masks that keep one of two features. A mask counts by its probability, or by
        # 1 / K if drawn. Two such masks are alike if they agree in all other features.
        alike = 2 * (1 - 2 * variance) ** max(n_free - 2, 0)
        spread = math.sqrt(alike if is_exhaustive else alike + 2 / (n_masks * variance))
        scale = 1.0 if self.estimator == "regression" else variance * (1 if is_exhaustive else n_masks)
        double = 64 * 2.0**-52 * (1 + largest) / variance  # the rounding of the sums themselves
        return scale * (spread * rounding + double)
