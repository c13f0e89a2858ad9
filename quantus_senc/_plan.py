"""How many masks an image gets, and which."""

import math
from dataclasses import dataclass

from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from quantus_senc._estimators import enough_masks
from quantus_senc._masks import MaskDesign

FIRST_CHECK = 256  # masks, after which it is first asked whether a standard error is within the tolerance
_MOST_FEATURES = 20  # of which every mask is tried


@dataclass(frozen=True)
class Plan:
    """How sensitivities are estimated: the parameters of a metric that say so.

    Attributes
    ----------
    seed, mask_rate, n_masks, estimator, tolerance
        As users give them.
    checked
        Whether the standard error is found on the way: for the tolerance, or for users to see.
    listing
        Whether every mask may be tried instead of drawing some, without being asked for. The error of doing so is 0, which is
        wrong for a method that gives something else each time.
    """

    seed: int
    mask_rate: float
    n_masks: int | str
    estimator: str
    tolerance: float | None
    checked: bool
    listing: bool = True

    @property
    def most_masks(self) -> int:
        """The ceiling on drawn masks; none are drawn where every mask is tried."""
        return 0 if isinstance(self.n_masks, str) else self.n_masks

    @property
    def tells_changes(self) -> bool:
        """Whether features whose elimination changes nothing are told apart from others."""
        return self.estimator == "regression" or isinstance(self.n_masks, str)

    def is_complete(self, n_free: int) -> bool:
        """Whether every mask of so many features is tried: if asked for, or if that takes no more than drawing some."""
        if isinstance(self.n_masks, str):
            return True
        fewest = self.n_masks if self.tolerance is None else min(self.n_masks, FIRST_CHECK)
        return self.estimator == "regression" and 2**n_free <= fewest and (self.listing or n_free == 0)

    def mask_count(self, n_free: int) -> int:
        """How many masks an image with so many free features gets, at the most."""
        return 2**n_free if self.is_complete(n_free) else int(self.n_masks)

    def resolution(
        self, rounding: Float64[Tensor, " 2"], largest: Float64[Tensor, ""], n_masks: int, n_free: int, *, complete: bool
    ) -> Float64[Tensor, " 2"]:
        """What differences of prediction and explanation sensitivities rounding alone can make.

        Parameters
        ----------
        rounding
            The standard deviation of the rounding errors of weights, which are independent.
        largest
            How large a prediction is.
        complete
            Whether the sums are over all masks of so many features, rather than drawn ones.
        """
        variance = self.mask_rate * (1 - self.mask_rate)
        # Of a coefficient: 1 / sqrt(n p q) from n drawn masks; from all of them, whose shares multiply up.
        spread = math.sqrt(2 * (1 - 2 * variance) ** (n_free - 1)) if complete else 1 / math.sqrt(n_masks * variance)
        scale = 1.0 if self.estimator == "regression" else variance * (1 if complete else n_masks)
        double = 64 * 2.0**-52 * (1 + largest) / variance  # that of the sums themselves
        return scale * (spread * rounding + double)

    def check(self, n_free: int, what: str) -> None:
        """Raise ValueError if so many features are too many to try every mask, or for so few drawn masks."""
        if isinstance(self.n_masks, str):
            if n_free > _MOST_FEATURES:
                raise ValueError(
                    f"n_masks='all' takes 2^{n_free} masks for {n_free} {what}; that is done for at most {_MOST_FEATURES}: "
                    "pass a number, or make them fewer"
                )
        elif self.estimator == "regression" and not self.is_complete(n_free):
            enough = enough_masks(n_free, self.mask_rate)
            if self.n_masks < enough:
                raise ValueError(
                    f"n_masks={self.n_masks} is too few for estimator='regression' with {n_free} {what} and "
                    f"mask_rate={self.mask_rate}; it takes at least {enough}"
                )

    def design(self, streams: Int64[Tensor, " B"], free: Bool[Tensor, "B m"]) -> MaskDesign:
        """The masks of images of which these features are free."""
        counts = free.sum(1).tolist()
        n_masks = tuple(self.mask_count(count) for count in counts)
        return MaskDesign(self.seed, self.mask_rate, streams, free, n_masks, tuple(map(self.is_complete, counts)))
