"""Is a method a function of the input alone? A random method is not, nor is one that looks at the rest of the batch."""

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from quantus_senc.core.profiler_marks import stage
from quantus_senc.core.same_result import (
    coarsely_same_attributions,
    is_deterministic,
    same_attributions,
    same_predictions,
)
from quantus_senc.core.similarity import Originals
from quantus_senc.model.explained_model import ExplainedModel, Outputs
from quantus_senc.model.pass_size import BatchLimit

RANDOM = "explanations or predictions differ for the same input"
DEPENDENT = "the explanation or prediction of an input changes with the other inputs of the batch"
_N_COPIES = 32  # of an image in a large pass


@stage("checks")
def method_flaw(explained: ExplainedModel, limit: BatchLimit, x: np.ndarray, y: np.ndarray, originals: Originals) -> str:
    """RANDOM or DEPENDENT, if prediction or attribution is not a function of the input alone; else an empty string.

    Parameters
    ----------
    x, y
        Images (B, \\*shape) and their classes (B,).
    originals
        What they gave before.
    """
    check = _MethodCheck(explained, limit)
    again = check.run(x, y)
    if not is_deterministic(originals.predictions, originals.attributions, *again):
        return RANDOM
    if not check.same_in_every_size(x[:1], y[:1]):
        return DEPENDENT
    if len(x) == 1:  # its mirror image keeps it company
        x, y = np.concatenate([x, np.flip(x, -1)]), y.repeat(2)
        again = check.run(x, y)
    return "" if check.same_in_every_company(x, y, again) else DEPENDENT


class _MethodCheck:
    """Runs inputs in passes of other company and size."""

    def __init__(self, explained: ExplainedModel, limit: BatchLimit) -> None:
        self.explained, self.limit = explained, limit

    def run(self, x: np.ndarray, y: np.ndarray) -> Outputs:
        """Predictions and flattened maps."""
        predictions, maps = self.explained.run(x, y, self.limit)
        return predictions, self.explained.attributions(maps)

    def same_in_every_company(self, x: np.ndarray, y: np.ndarray, together: Outputs) -> bool:
        """Whether images give the same when every other image is replaced by its neighbour, and at another place of the pass.

        All passes are of the same size, because others are summed in other orders, and round differently. `together` is what
        the images gave as they are.
        """
        images = np.arange(len(x))
        is_odd = images % 2 == 1
        right = np.where(images + 1 < len(x), images + 1, images - 1)
        predictions, maps = together
        for replaced, neighbour in ((is_odd, images - 1), (~is_odd, right)):
            order = np.where(replaced, neighbour, images)
            other_predictions, other_maps = self.run(x[order], y[order])
            same = same_predictions(predictions, other_predictions) & same_attributions(maps, other_maps)
            if not same[torch.from_numpy(~replaced).to(same.device)].all():
                return False
        moved_predictions, moved_maps = (values.roll(-1, 0) for values in self.run(np.roll(x, 1, 0), np.roll(y, 1, 0)))
        same = same_predictions(predictions, moved_predictions) & _same_elsewhere(maps, moved_maps)
        return bool(same.all())

    def same_in_every_size(self, x: np.ndarray, y: np.ndarray) -> bool:
        """Whether an image (1, \\*shape) gives the same in a pass of its own as in a large pass of copies.

        Arithmetic that rounds coarsely may give something else in passes of another size. There it cannot be told.
        """
        if self.explained.rounds_coarsely:
            return True
        prediction, attribution = self.run(x, y)
        predictions, maps = self.run(x.repeat(_N_COPIES, 0), y.repeat(_N_COPIES))
        return bool(same_predictions(prediction[0], predictions[0]) & _same_elsewhere(attribution[0], maps[0]))


def _same_elsewhere(expected: Float[Tensor, "*n v"], values: Float[Tensor, "*n v"]) -> Bool[Tensor, "*n"]:
    """Which maps are the expected ones but for what rounding changes at another place of a pass."""
    return same_attributions(expected, values) | coarsely_same_attributions(expected, values)
