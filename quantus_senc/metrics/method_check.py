"""Is a method a function of the input alone? A random method is not, nor is one that looks at the rest of the batch."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from quantus_senc.core.philox import random_uniform
from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.ranks import centred_ranks, rank_correlation
from quantus_senc.core.same_result import (
    coarsely_same_attributions,
    is_deterministic,
    largest_finite,
    same_attributions,
    same_predictions,
    same_values,
)
from quantus_senc.model.explained_model import ExplainedModel, Outputs
from quantus_senc.model.pass_size import BatchLimit

RANDOM = "explanations or predictions differ for the same input"
DEPENDENT = "the explanation or prediction of an input changes with the other inputs of the batch"
_N_COPIES = 16  # of an image in a large pass
_LAST_DIGITS = 8  # units in the last place that a value of an image is changed by, at the most
_ROUNDING_VARIES = 4  # times that one rounding may move ranks further than another


@stage("checks")
def method_flaw(
    explained: ExplainedModel, limit: BatchLimit, inputs: Float[Tensor, "n *shape"], targets: Int64[Tensor, " n"]
) -> str:
    """RANDOM or DEPENDENT, if prediction or attribution is not a function of the input alone; else an empty string.

    Parameters
    ----------
    explained, limit
        The model with its method, and how many samples a pass may have.
    inputs, targets
        Samples that show it, and their classes.
    """
    check = _MethodCheck(explained, limit)
    together = check.run(inputs, targets)
    if not is_deterministic(*together, *check.run(inputs, targets)):
        return RANDOM
    if len(inputs) == 1:  # its mirror image keeps it company
        inputs, targets = torch.cat([inputs, inputs.flip(-1)]), targets.repeat(2)
        together = check.run(inputs, targets)
    same = check.same_among_copies(inputs, targets, together)
    if not explained.rounds_coarsely:  # there, another place or size of a pass may give something else, and it cannot be told
        same = same and check.same_elsewhere(inputs, targets, together) and check.same_in_every_size(inputs[:1], targets[:1])
    return "" if same else DEPENDENT


class _MethodCheck:
    """Runs samples in passes of other company and size."""

    def __init__(self, explained: ExplainedModel, limit: BatchLimit) -> None:
        self.explained, self.limit = explained, limit

    def run(self, inputs: Float[Tensor, "n *shape"], targets: Int64[Tensor, " n"]) -> Outputs:
        """Predictions and flattened maps."""
        predictions, maps = self.explained.run(inputs, targets, self.limit)
        return predictions, self.explained.attributions(maps)

    def same_among_copies(self, inputs: Float[Tensor, "n *shape"], targets: Int64[Tensor, " n"], together: Outputs) -> bool:
        """Whether each sample gives among copies of itself, at its own place, what it gave in one pass with the others.

        All passes are of the same size, because others are summed in other orders, and round differently. `together` is what
        the samples gave in one pass.
        """
        outputs = []
        for place in range(len(inputs)):
            copies = torch.full((len(inputs),), place, device=inputs.device)
            outputs.append([values[place] for values in self.run(inputs[copies], targets[copies])])
        predictions, maps = (torch.stack(values) for values in zip(*outputs, strict=True))
        same_maps = same_attributions(together[1], maps) & same_values(*map(_in_units_of_largest, (together[1], maps)))
        return bool((same_predictions(together[0], predictions) & same_maps).all())

    def same_elsewhere(self, inputs: Float[Tensor, "n *shape"], targets: Int64[Tensor, " n"], together: Outputs) -> bool:
        """Whether samples give the same at other places of a pass."""
        moved = self.run(inputs.roll(1, 0), targets.roll(1, 0))
        predictions, maps = (values.roll(-1, 0) for values in moved)
        return bool((same_predictions(together[0], predictions) & _same_elsewhere(together[1], maps)).all())

    def same_in_every_size(self, inputs: Float[Tensor, "1 *shape"], targets: Int64[Tensor, " 1"]) -> bool:
        """Whether a sample gives the same in a pass of its own as in a large pass of copies.

        Passes of other sizes are rounded otherwise, which may move a ReLU to the other side of its kink. So a map that differs
        is compared with the map of an input that differs in its last digits.
        """
        prediction, attribution = self.run(inputs, targets)
        copies = inputs.repeat(_N_COPIES, *[1] * (inputs.ndim - 1))
        predictions, maps = self.run(copies, targets.repeat(_N_COPIES))
        if not same_predictions(prediction[0], predictions[0]):
            return False
        if _same_elsewhere(attribution[0], maps[0]):
            return True
        noise = random_uniform(0, torch.zeros((), dtype=torch.int64, device=inputs.device), inputs.numel()) - 0.5
        digits = 2 * _LAST_DIGITS * torch.finfo(inputs.dtype).eps * noise.to(inputs.dtype)
        _, rounded = self.run(inputs * (1 + digits.view(inputs.shape)), targets)
        rho, _ = rank_correlation(centred_ranks(attribution), torch.cat([maps[:1], rounded]))
        return bool(1 - rho[0] <= _ROUNDING_VARIES * (1 - rho[1]))


def _in_units_of_largest(maps: Float[Tensor, "n v"]) -> Float[Tensor, "n v"]:
    """Maps whose size does not count, which the other samples may set without changing ranks."""
    largest = largest_finite(maps)[:, None]
    return maps / torch.where(largest > 0, largest, 1)


def _same_elsewhere(expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Which maps are the expected ones but for what rounding changes at another place of a pass."""
    return same_attributions(expected, values) | coarsely_same_attributions(expected, values)
