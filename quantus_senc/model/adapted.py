"""A model as it is, and what its scores are: `adapt` makes a model of it that returns (N, classes)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from quantus_senc.core.checks import check_known
from quantus_senc.model.adapter import ACTIVATIONS, AS_IT_IS, Adapter
from quantus_senc.model.returned import UnfitOutputs, only_scores


class Adapted(nn.Module):
    """A model that returns (N, classes), around one that returns something else. See `adapt`.

    Modules and parameters have the names that they have in the model inside: layers are named by users.

    Parameters
    ----------
    model
        The model inside.
    adapter
        What its scores are.
    """

    def __init__(self, model: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self._adapter = adapter
        self._adapted = model
        self.training = model.training

    def forward(self, inputs: Tensor, *, activated: bool = False, **kwargs: Any) -> Float[Tensor, "N classes"]:
        """The scores of inputs, or predictions if they are to be activated; other keywords are the model's."""
        scores = self._adapter.scores(self._adapter.call(self._adapted, inputs, kwargs), inputs)
        return self._adapter.activated(scores) if activated else scores

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """The module and those of the model inside, by the names that they have there."""
        memo = set() if memo is None else memo
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        yield from self._adapted.named_modules(memo, prefix, remove_duplicate)

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if "_adapted" not in self.__dict__.get("_modules", {}):  # while it is copied
                raise
            inside = self._modules["_adapted"]
            return vars(inside)[name] if name in vars(inside) else inside.__getattr__(name)  # type: ignore[union-attr]

    def __setattr__(self, name: str, value: Any) -> None:
        inside = self.__dict__.get("_modules", {}).get("_adapted")
        if inside is not None and name in inside._modules:  # Quantus replaces a softmax by its name
            setattr(inside, name, value)
        else:
            super().__setattr__(name, value)

    def extra_repr(self) -> str:
        """What the scores are."""
        return str(self._adapter)


def adapt(
    model: nn.Module,
    *,
    output: str | int | Callable[[Any], Tensor] | None = None,
    activation: str | None = "softmax",
    spread: Any = 1.0,
    perturb: str | Callable[[Tensor], dict[str, Any]] | None = None,
    forward_kwargs: Mapping[str, Any] | None = None,
) -> nn.Module:
    """A model for metrics, `explain` and `compare`, which returns (N, classes), from one that returns something else.

    It shares modules, parameters and hooks with the model, and their names. What explanation methods explain are the scores:
    what the model returns before the activation. What metrics call the prediction is the activation of the scores.

    Parameters
    ----------
    model
        Any module.
    output
        Where the scores are in what the model returns: a key, an index, the name of an attribute; or a function from what it
        returns to (N, classes), such as the mean over a mask of a segmentation (N, classes, H, W). None takes what the model
        returns. Metrics, `explain` and `compare` then find `logits`, and scores that are the only tensor (N, classes).
    activation
        "softmax": classes that exclude each other. "binary": one logit z, (N, 1) or (N,); class 1 has the probability
        sigmoid(z), and class 0 the rest; their scores are z / 2 and -z / 2. "sigmoid": labels, each with a probability of its
        own; the label to explain stands in `y_batch`. None: the prediction is the score in units of `spread`, as of a
        regression, (N, outputs) or (N,), or of a model that returns probabilities; `y_batch` holds indices of outputs, 0 if
        there is one.
    spread
        For `activation=None`: by how much outputs differ, one number or one for each output. A change by the spread counts as
        much as that of a probability from 0 to 1. For a regression it is the standard deviation of the outputs over your data:
        `model(x).std(0)`. It belongs to the model and not to a call, so that an image has the same score in any call.
    perturb
        The name of the argument of the model's `forward` that is masked and explained; or a function from what is masked to
        arguments, as a dict. None: the first argument. Other inputs of an image can be more channels of it, of which the
        function makes arguments, without gradients: `lambda x: {"pixels": x[:, :3], "depth": x[:, 3:].detach()}`. The
        `perturb_baseline` of data SenC must then leave them as they are: `lambda x: torch.cat([0 * x[:3], x[3:]])`. (Metrics of
        Quantus change them, too.)
    forward_kwargs
        More arguments of `forward`, the same for all inputs. Of a tensor (1, \\*shape) each input gets the row.

    Returns
    -------
    Module
        Metrics that are not of this package apply softmax to what it returns, if they are told to, whatever the activation.

    Raises
    ------
    ValueError
        If an argument is wrong.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> class Classifier(nn.Linear):
    ...     def forward(self, inputs):
    ...         return SimpleNamespace(scores=super().forward(inputs), features=inputs)
    >>> adapt(Classifier(4, 3), output="scores")(torch.ones(2, 4)).shape
    torch.Size([2, 3])
    >>> adapt(nn.Linear(4, 1), activation="binary")(torch.ones(2, 4)).shape
    torch.Size([2, 2])
    """
    if not isinstance(model, nn.Module):
        raise ValueError(f"model={type(model).__name__} must be a torch.nn.Module")
    if not callable(output) and not isinstance(output, str | int | None):
        raise ValueError(f"output={output!r} must be a key, an index, a function of what the model returns, or None")
    if not callable(perturb) and not isinstance(perturb, str | None):
        raise ValueError(f"perturb={perturb!r} must be the name of an argument, a function from the input to a dict, or None")
    if activation is not None:
        check_known("activation", str(activation), ACTIVATIONS)
    amounts = torch.as_tensor(spread, dtype=torch.float64, device="cpu")
    if not (amounts.isfinite() & (amounts > 0)).all() or amounts.ndim > 1:
        raise ValueError(f"spread={spread!r} must be positive, one number or one for each output, such as model(x).std(0)")
    if activation is not None and not (amounts == 1).all():
        raise ValueError(f"spread={spread!r} is for activation=None, and not for {activation!r}; leave it out")
    return Adapted(model, Adapter(output, activation, amounts.tolist(), perturb, dict(forward_kwargs or {})))


def recognised(model: nn.Module, error: UnfitOutputs) -> tuple[nn.Module, str]:
    """The model, adapted to what it has returned, and what users are told of that, once for a model.

    Raises
    ------
    UnfitOutputs
        The same error, if it is not clear where the scores are.
    """
    output = only_scores(error.outputs, error.n)
    inside, adapter = (model._adapted, model._adapter) if isinstance(model, Adapted) else (model, AS_IT_IS)
    if output is None or adapter.output is not None:
        raise error
    note = (
        f"Of what the model returns ({type(error.outputs).__name__}), output={output!r} is taken for the scores of the "
        f"classes. Pass quantus_senc.adapt(model, output={output!r}), or another output, and this is not said."
    )
    return Adapted(inside, replace(adapter, output=output)), note


def adapter_of(model: nn.Module) -> Adapter:
    """What the scores of a model are: of one that is not adapted, what it returns."""
    return model._adapter if isinstance(model, Adapted) else AS_IT_IS


def class_of(model: nn.Module) -> str:
    """The name of a model's class, with what it is adapted by."""
    if not isinstance(model, Adapted):
        return type(model).__name__
    return f"{class_of(model._adapted)}({model._adapter})"
