"""What the scores of a model are, and how its predictions follow from them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, fx, nn

from quantus_senc.model.returned import check_outputs, described

ACTIVATIONS = ("softmax", "binary", "sigmoid")


@dataclass(frozen=True)
class Adapter:
    """The arguments of `adapt`, but for the model; see there."""

    output: str | int | Callable[[Any], Tensor] | None = None
    activation: str | None = "softmax"
    spread: Any = 1.0
    perturb: str | Callable[[Tensor], dict[str, Any]] | None = None
    forward_kwargs: dict[str, Any] = field(default_factory=dict)

    def call(self, model: nn.Module, inputs: Tensor, kwargs: dict[str, Any]) -> Any:
        """What the model returns for inputs."""
        fixed = {
            name: _for_each(value, inputs.shape[0], inputs.device) if isinstance(value, Tensor) else value
            for name, value in self.forward_kwargs.items()
        }
        if self.perturb is None:
            return model(inputs, **{**fixed, **kwargs})
        given = {self.perturb: inputs} if isinstance(self.perturb, str) else self.perturb(inputs)
        return model(**{**given, **fixed, **kwargs})

    def scores(self, returned: Any, inputs: Tensor) -> Float[Tensor, "N classes"]:
        """The scores in what the model returned for inputs."""
        outputs = self._picked(returned)
        if not isinstance(inputs, Tensor):  # while torch.fx traces the model
            outputs = outputs.reshape(outputs.shape[0], -1)
        else:
            one_value = isinstance(outputs, Tensor) and outputs.ndim == 1
            outputs = check_outputs(outputs[:, None] if one_value else outputs, len(inputs))
            if self.activation == "binary" and outputs.shape[1] != 1:
                raise ValueError(
                    f"activation='binary' takes one logit an input, but the model returned {outputs.shape[1]}; pass "
                    "activation='softmax' for classes, or 'sigmoid' for labels"
                )
        # Both classes have maps, unlike with the logits (0, z), and halves are exact.
        return torch.cat([outputs * -0.5, outputs * 0.5], 1) if self.activation == "binary" else outputs

    def _picked(self, returned: Any) -> Any:
        if self.output is None:
            return returned
        if callable(self.output):
            return self.output(returned)
        try:
            if isinstance(self.output, str) and not isinstance(returned, Mapping):
                return getattr(returned, self.output)
            return returned[self.output]
        except (AttributeError, IndexError, KeyError, TypeError) as error:
            raise ValueError(
                f"output={self.output!r} is not in what the model returned, {described(returned)}; pass what is, or a function"
            ) from error

    def activated(self, scores: Float[Tensor, "N classes"]) -> Float[Tensor, "N classes"]:
        """Predictions from scores."""
        if self.activation == "sigmoid":
            return scores.sigmoid()
        if self.activation is None:
            return scores / torch.as_tensor(self.spread).to(scores)
        return scores.softmax(-1)

    def __str__(self) -> str:
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        shown = {name: value for name, value in given.items() if name == "activation" or value != getattr(AS_IT_IS, name)}
        return ", ".join(f"{name}={_in_words(value)}" for name, value in shown.items())


AS_IT_IS = Adapter()  # of a model that returns (N, classes)


def _in_words(value: Any) -> str:
    if callable(value):
        return getattr(value, "__qualname__", type(value).__qualname__)
    return repr(value) if isinstance(value, str | int | float | list | None) else "…"


@fx.wrap  # for tensors have no methods that take what stands for a number while torch.fx traces a model
def _for_each(value: Tensor, n: int, device: torch.device) -> Tensor:
    """An argument as it goes with n inputs: on their device, and a single row for each of them."""
    value = value.to(device)
    return value.expand(n, *value.shape[1:]) if value.ndim > 1 and len(value) == 1 else value
