"""How much prediction and explanation of perturbed samples differ from those of the original."""

from dataclasses import dataclass
from functools import cached_property

from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.ranks import centred_ranks, has_no_ranks, rank_correlation, select_rows, sum_of_squares

# Confidence changes of perturbed samples, explanation similarities, and whether the perturbed attributions are all equal.
Differences = tuple[Float[Tensor, " _"], Float[Tensor, " _"], Bool[Tensor, " _"]]


@dataclass(frozen=True, eq=False)
class Originals:
    """Unperturbed predictions P° and explanations e° of some images, on the model's device.

    Attributes
    ----------
    predictions
        Of the explained class.
    attributions
        Flattened maps.
    ranks
        Of the attributions; see `centred_ranks`.
    """

    predictions: Float[Tensor, " B"]
    attributions: Float[Tensor, "B v"]
    ranks: Float32[Tensor, "B v"]

    @classmethod
    def from_maps(cls, predictions: Float[Tensor, " B"], attributions: Float[Tensor, "B v"]) -> "Originals":
        """Rank the attributions."""
        return cls(predictions, attributions, centred_ranks(attributions))

    @cached_property
    def squares(self) -> Float[Tensor, " B"]:
        """Sums of the squares of the ranks."""
        return sum_of_squares(self.ranks)

    @property
    def unranked(self) -> Bool[Tensor, " B"]:
        """Whether the attributions of an image are all equal, and so have no ranks."""
        return has_no_ranks(self.ranks)

    @stage("similarity")
    def compare(
        self, images: Int64[Tensor, " p"], predictions: Float[Tensor, " p"], attributions: Float[Tensor, "p v"]
    ) -> Differences:
        """Compare perturbed samples of these images with their originals (Tan, WACV 2025, Eq. 1 to 3)."""
        return (self.predictions[images] - predictions).abs(), *self.similarity(images, attributions)

    def similarity(
        self, images: Int64[Tensor, " p"], attributions: Float[Tensor, "p v"]
    ) -> tuple[Float[Tensor, " p"], Bool[Tensor, " p"]]:
        """Spearman's rho of attributions of perturbed samples (Tan, WACV 2025, Eq. 3), and which of them have no ranks.

        Rho is 0 where either has no ranks.
        """
        return rank_correlation(select_rows(self.ranks, images), attributions, self.squares[images])
