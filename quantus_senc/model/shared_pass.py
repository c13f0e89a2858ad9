"""One forward pass for prediction and explanation, where the explanation method predicts its inputs anyway."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from quantus_senc.core.same_result import same_predictions
from quantus_senc.model.explained_model import ExplainedModel, Outputs, SoftmaxCalls


class SharedPassDiffers(Exception):
    """Predictions of earlier shared passes are doubtful."""


class SharedPass:
    """Predicts and explains inputs, in one pass where that is shown to give the same.

    Some explanation methods give the model exactly the inputs that they are asked about. The model's outputs are then the
    predictions. They are used if they equal the predictions of a pass of their own. That is looked at in the first pass, and
    again in the 4th, 16th, 64th, and so on: a method may do something to the model for some inputs only.

    Parameters
    ----------
    explained
        The model and the method.
    """

    def __init__(self, explained: ExplainedModel) -> None:
        self.explained = explained
        plain = not explained.model_kwargs and not isinstance(explained.model, torch.jit.ScriptModule)
        self.shares, self.n_passes = plain, 0

    def run(self, make: Callable[[], Float[Tensor, "p *shape"]], targets: Int64[Tensor, " p"]) -> Outputs:
        """Predictions and maps of the inputs that `make` makes anew each time.

        Raises
        ------
        SharedPassDiffers
            If a later pass shows that passes must not be shared. From then on they are not.
        """
        if not self.shares:
            inputs = make()
            return self.explained.predict(inputs, targets), self.explained.explain(inputs, targets)
        maps, seen = self._explain(make(), targets)
        self.n_passes += 1
        if seen is not None and self.n_passes != 4 ** (self.n_passes.bit_length() // 2):
            return seen, maps
        predictions = self.explained.predict(make(), targets)
        if seen is None:
            self.shares = self.n_passes > 1
        elif not same_predictions(predictions, seen).all():
            self.shares = False
            if self.n_passes > 1:
                raise SharedPassDiffers
        return predictions, maps

    def _explain(
        self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"]
    ) -> tuple[Float[Tensor, "p *_"], Float[Tensor, " p"] | None]:
        """Maps, and predictions if the model was given exactly these inputs."""
        with self.explained.softmax_calls() as calls, self._outputs_for(inputs, calls) as seen:
            maps = self.explained.explain(inputs, targets)
        return maps, seen[0].gather(1, targets[:, None])[:, 0] if seen else None

    @contextmanager
    def _outputs_for(self, inputs: Tensor, calls: SoftmaxCalls) -> Iterator[list[Tensor]]:
        """A list to which is added what the model, in evaluation mode, predicts for the inputs as they are now."""
        place, version = _place(inputs), inputs._version
        seen: list[Tensor] = []

        def look(module: Any, args: tuple[Any, ...], output: Any) -> None:
            if len(args) != 1 or module.training or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
                return
            unchanged = inputs._version == args[0]._version == version
            if place is not None and _place(args[0]) == place and unchanged and not seen:
                with torch.no_grad():
                    seen.append(self.explained.predictions(output, len(inputs), calls).clone())

        with self.explained.model.register_forward_hook(look):
            yield seen


def _place(values: Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | None:
    """Where values lie in memory; None for values that lie nowhere, as within `torch.func.vmap`."""
    try:
        return values.data_ptr(), values.shape, values.stride()
    except RuntimeError:
        return None
