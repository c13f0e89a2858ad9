"""Predictions and attributions of the same inputs, by one forward pass for both where that is proved to do."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from quantus_senc._explain import Subject


class Passes:
    """How inputs are predicted and explained in one call.

    An explanation method that gives the model exactly the inputs that it is asked about has already predicted them; so has
    one that gives it these together with others, as the last step of Integrated Gradients and before the baselines of
    DeepLift. Its predictions are used if, for the first inputs, they are those of a pass of their own.

    Parameters
    ----------
    subject
        The model and the method.
    """

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        plain = not subject.model_kwargs and subject.last_softmax is None
        self.shares: bool | None = None if plain and not isinstance(subject.model, torch.jit.ScriptModule) else False

    def both(
        self, make: Callable[[], Float[Tensor, "N *shape"]], targets: Int64[Tensor, " N"], *, parts: bool = True
    ) -> tuple[Float[Tensor, " N"], Float[Tensor, "N *_"]]:
        """Confidences and attributions, as the method returns these, of the inputs that `make` makes anew each time.

        `parts` says whether the inputs may be looked for among others that the model is given.
        """
        if self.shares is False:
            inputs = make()
            return self.subject.confidence(inputs, targets), self.subject.explain(inputs, targets)
        maps, found = self._explained(make(), targets, parts)
        if self.shares and found is not None:
            return found, maps
        confidence = self.subject.confidence(make(), targets)
        if self.shares is None:
            self.shares = found is not None and _alike(found, confidence, self.subject.rounding)
        return confidence, maps

    def _explained(
        self, inputs: Float[Tensor, "N *shape"], targets: Int64[Tensor, " N"], parts: bool
    ) -> tuple[Float[Tensor, "N *_"], Float[Tensor, " N"] | None]:
        """Attributions, and confidences if the model was given exactly these inputs."""
        with _outputs_for(self.subject.model, inputs, parts) as outputs:
            maps = self.subject.explain(inputs, targets)
        if not outputs:
            return maps, None
        return maps, self.subject.predictions(outputs[0], len(targets)).gather(1, targets[:, None])[:, 0]


def _alike(found: Float[Tensor, " N"], expected: Float[Tensor, " N"], rounding: float) -> bool:
    return torch.allclose(found, expected, rtol=1e-5, atol=rounding, equal_nan=True)


@contextmanager
def _outputs_for(model: nn.Module, inputs: Tensor, parts: bool) -> Iterator[list[Tensor]]:
    """A list to which is added what the model, in evaluation mode, returns for the inputs as they are now."""
    place, version, found = _place(inputs), inputs._version, []

    def look(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if len(args) != 1 or module.training or not isinstance(args[0], Tensor) or not isinstance(output, Tensor):
            return
        given = args[0]
        where = _place(given)
        if where is None:
            return
        if where == place and inputs._version == given._version == version:  # and nothing was changed in place
            found.append(output.detach().clone())
        elif parts and len(output) == len(given) and (part := _part(given, inputs)) is not None and inputs._version == version:
            found.append(output[part].detach().clone())

    with model.register_forward_hook(look):
        yield found


def _place(values: Tensor) -> tuple[int, torch.Size, tuple[int, ...]] | None:
    """Where values lie in memory; nothing for those that lie nowhere, as within `torch.func.vmap`."""
    try:
        return values.data_ptr(), values.shape, values.stride()
    except RuntimeError:
        return None


def _part(given: Tensor, inputs: Tensor) -> slice | None:
    """Where inputs stand in what the model is given: at the end, at the beginning, or nowhere."""
    n = len(inputs)
    repeated = len(given) > n and len(given) % n == 0 and given.shape[1:] == inputs.shape[1:] and given.dtype == inputs.dtype
    if not repeated or given.device.type != "cpu":  # elsewhere to compare them would be to wait for the device
        return None
    return next((part for part in (slice(-n, None), slice(n)) if torch.equal(given[part], inputs)), None)
