"""Is this the same result? What rounding may change in predictions and attributions, and what it may not.

The same sample in a batch of another size is computed by sums in another order. In single precision each addition errs by
up to 6e-8 of its result, a deep network adds up a few hundred of such errors, and a softmax multiplies them by the size of
the logits. So the tolerances below are, relative to the largest value of a sample: 1e-6 for what one operation rounds, and
1e-4 for what a whole network rounds. Rounding may also move a ReLU to the other side of its kink. That changes few values
of a map by much. Hence two questions:

- `same_attributions`: are the ranks the same, but among values that rounding may move? Explanation similarity is made of ranks.
- `same_values`: are nearly all values the same? A method that is random changes most of its values.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from quantus_senc.core.ranks import centred_ranks, has_no_ranks, rank_correlation

OPERATION_ROUNDING = 1e-6  # of the largest value
NETWORK_ROUNDING = 1e-4  # of the largest value
_SMALLEST_PREDICTION = 1e-2  # below which a probability rounds like this one
_LEVEL = 1e-5  # how far rounding may move a value of a map, relative to the value itself
_SAME_RANKS = 1 - 1e-5  # Spearman's rho
_NEARLY_SAME_RANKS = 1 - 1e-4
_COARSE_ROUNDING = 5e-3  # of the largest value
_KINKED = 1e-3  # how far a value may move, relative to itself, where a network is not smooth
_NEARLY_ALL = 0.98  # of the values of a map
_MOST_SAMPLES = 0.75


def same_predictions(expected: Float[Tensor, "*n"], predicted: Float[Tensor, "*n"]) -> Bool[Tensor, "*n"]:
    """Say which predictions equal the expected ones but for rounding; NaN equals NaN."""
    atol = NETWORK_ROUNDING * _SMALLEST_PREDICTION
    return predicted.isclose(expected, rtol=NETWORK_ROUNDING, atol=atol, equal_nan=True)


def largest_finite(values: Float[Tensor, "*n v"]) -> Float[Tensor, "*n"]:
    """The largest size of the finite values of each sample: an infinite one says nothing of how the others are rounded."""
    return values.abs().where(values.isfinite(), 0).amax(-1)


def same_attributions(
    expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"], rounding: Float[Tensor, "*#n"] | None = None
) -> Bool[Tensor, "*n"]:
    """Say which maps have the ranks of the expected ones, but among values that rounding may move; NaN equals NaN.

    Plateaus, as interpolation makes them, are level but for rounding. Their order does not count.

    Parameters
    ----------
    rounding
        How far rounding may move the values of a map; `OPERATION_ROUNDING` of its largest value by default. In any case it may
        move a value by a small share of the value itself.

    Examples
    --------
    >>> expected, values = torch.tensor([0.1, 0.1, 3.0]), torch.tensor([0.1 + 1e-7, 0.1, 3.0])
    >>> same_attributions(expected, values), rank_correlation(centred_ranks(expected), values)[0]
    (tensor(True), tensor(0.8660, dtype=torch.float64))
    """
    if rounding is None:
        rounding = OPERATION_ROUNDING * largest_finite(expected)
    level = (values - expected).abs() <= (_LEVEL * expected.abs()).maximum(rounding[..., None])
    ranks = centred_ranks(expected)
    rho, constant = rank_correlation(ranks, torch.where(level, expected, values))
    return (rho > _SAME_RANKS) | (constant & has_no_ranks(ranks)) | (values.isnan().any(-1) & expected.isnan().any(-1))


def coarsely_same_attributions(expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Say which maps are the expected ones but for coarse rounding, which depends on the place of a sample in its pass.

    With the ten bits that TF32 keeps, values of maps at other places differed by up to 1.4e-3 of the largest, and Spearman's
    rho was at least 1 - 3e-6 (gradients of a ResNet50 on an H100).
    """
    rho, _ = rank_correlation(centred_ranks(expected), values)
    return coarsely_same_values(expected, values) & (rho > _NEARLY_SAME_RANKS)


def coarsely_same_values(expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Say in which samples all values are the expected ones but for coarse rounding, relative to the largest; NaN equals NaN.

    Examples
    --------
    >>> coarsely_same_values(torch.tensor([[1.0, 1.0], [0.0, 2.0]]), torch.tensor([[1.0, 1.001], [0.1, 2.0]]))
    tensor([ True, False])
    """
    near = (values - expected).abs() <= _COARSE_ROUNDING * largest_finite(expected)[..., None]
    return (near | (values == expected) | (values.isnan() & expected.isnan())).all(-1)


def same_values(expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Say in which maps nearly all values are the expected ones, each relative to itself; NaN equals NaN.

    Examples
    --------
    >>> same_values(torch.tensor([[1e-9, 1.0], [1e-9, 1.0]]), torch.tensor([[1.0001e-9, 1.0], [2e-9, 1.0]]))
    tensor([ True, False])
    """
    return values.isclose(expected, rtol=_KINKED, atol=0, equal_nan=True).double().mean(-1) >= _NEARLY_ALL


def is_deterministic(
    predictions: Float[Tensor, " n"],
    attributions: Float[Tensor, "n v"],
    predictions_again: Float[Tensor, " n"],
    attributions_again: Float[Tensor, "n v"],
) -> bool:
    """Say whether a model and an explanation method have returned the same for most samples as for the same samples before."""
    same_maps = same_values(attributions, attributions_again) | coarsely_same_attributions(attributions, attributions_again)
    same = same_values(predictions[:, None], predictions_again[:, None]) & same_maps
    return bool(same.double().mean() >= _MOST_SAMPLES)
