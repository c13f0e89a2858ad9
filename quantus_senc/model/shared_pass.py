"""One forward pass for prediction and explanation, where the explanation method predicts its inputs anyway."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from quantus_senc.core.same_result import same_predictions
from quantus_senc.model.explained_model import ExplainedModel, Outputs


class SharedPass:
    """Predicts and explains inputs, in one pass where that is shown to give the same.

    Some explanation methods give the model exactly the inputs that they are asked about. The model's outputs are then the
    predictions. They are used if, for the first inputs, they equal the predictions of a pass of their own.

    Parameters
    ----------
    explained
        The model and the method.
    """

    def __init__(self, explained: ExplainedModel) -> None:
        self.explained = explained
        plain = not explained.model_kwargs and explained.last_softmax is None
        self.shares: bool | None = None if plain and not isinstance(explained.model, torch.jit.ScriptModule) else False

    def run(self, make: Callable[[], Float[Tensor, "p *shape"]], targets: Int64[Tensor, " p"]) -> Outputs:
        """Predictions and maps of the inputs that `make` makes anew each time."""
        if self.shares is False:
            inputs = make()
            return self.explained.predict(inputs, targets), self.explained.explain(inputs, targets)
        maps, seen = self._explain(make(), targets)
        if self.shares and seen is not None:
            return seen, maps
        predictions = self.explained.predict(make(), targets)
        if self.shares is None:
            self.shares = seen is not None and bool(same_predictions(predictions, seen).all())
        return predictions, maps

    def _explain(
        self, inputs: Float[Tensor, "p *shape"], targets: Int64[Tensor, " p"]
    ) -> tuple[Float[Tensor, "p *_"], Float[Tensor, " p"] | None]:
        """Maps, and predictions if the model was given exactly these inputs."""
        with self._outputs_for(inputs) as outputs:
            maps = self.explained.explain(inputs, targets)
        if not outputs:
            return maps, None
        return maps, self.explained.predictions(outputs[0], len(targets)).gather(1, targets[:, None])[:, 0]

    @contextmanager
    def _outputs_for(self, inputs: Tensor) -> Iterator[list[Tensor]]:
        """A list to which is added what the model, in evaluation mode, returns for the inputs as they are now."""
        place, version = _place(inputs), inputs._version
        outputs: list[Tensor] = []

        def look(module: Any, args: tuple[Any, ...], output: Any) -> None:
            if len(args) != 1 or module.training or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
                return
            unchanged = inputs._version == args[0]._version == version
            if place is not None and _place(args[0]) == place and unchanged:
                outputs.append(output.detach().clone())

        with self.explained.model.register_forward_hook(look):
            yield outputs


def _place(values: Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | None:
    """Where values lie in memory; None for values that lie nowhere, as within `torch.func.vmap`."""
    try:
        return values.data_ptr(), values.shape, values.stride()
    except RuntimeError:
        return None
