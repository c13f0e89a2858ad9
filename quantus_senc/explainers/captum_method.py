"""Attribution methods of Captum, as users have made them, in the form in which metrics of Quantus take a method."""

import copy
from typing import Any

from captum.attr import Attribution
from torch import Tensor, nn

from quantus_senc.model.adapted import class_of
from quantus_senc.model.arrays import as_tensor


class CaptumMethod:
    """An `explain_func` that asks an attribution method of Captum.

    Metrics that randomise weights explain copies of the model. For these, the method and the methods within it are copied, too,
    and have the copy's modules in the places of the model's.

    Parameters
    ----------
    attribution
        Such as `captum.attr.Saliency(model)`.

    Raises
    ------
    ValueError
        If the method was made of a function instead of a model; or, in a call, of another model.

    Examples
    --------
    >>> import torch
    >>> from captum.attr import Saliency
    >>> model = nn.Linear(3, 2)
    >>> CaptumMethod(Saliency(model))(model=model, inputs=torch.rand(1, 3), targets=torch.tensor([1])).shape
    torch.Size([1, 3])
    """

    def __init__(self, attribution: Attribution) -> None:
        self.attribution = attribution
        self.__name__ = type(attribution).__name__
        model = getattr(attribution, "model", None) or attribution.forward_func
        if not isinstance(model, nn.Module):
            raise ValueError(f"captum.attr.{self.__name__} was made of {model!r}; make it of a torch.nn.Module")
        self.model: nn.Module = model

    def __call__(self, model: nn.Module, inputs: Tensor, targets: Tensor, device: object = None, **kwargs: Any) -> Tensor:
        """Attributions of the classes (B,), in the shape of the inputs.

        Parameters
        ----------
        model, inputs, targets
            As for every `explain_func`.
        device
            Not used: Quantus passes it.
        kwargs
            For `attribute`.
        """
        if not _is_copy(model, self.model):
            raise ValueError(f"captum.attr.{self.__name__} was made of another model than this one; make it of this model")
        attribution = self.attribution if model is self.model else self._of(self.attribution, model)
        return as_tensor(attribution.attribute(inputs, target=targets, **kwargs))

    def _of(self, attribution: Attribution, model: nn.Module) -> Any:
        """A copy of a method for another model of the same structure."""
        names = {id(module): name for name, module in self.model.named_modules()}
        other = copy.copy(attribution)
        for attribute, value in vars(attribution).items():
            if isinstance(value, Attribution):
                setattr(other, attribute, self._of(value, model))
            elif isinstance(value, nn.Module) and id(value) in names:
                setattr(other, attribute, model.get_submodule(names[id(value)]))
            elif isinstance(value, list):
                setattr(other, attribute, list(value))  # of hooks, which belong to one model
        return other


def _is_copy(model: nn.Module, other: nn.Module) -> bool:
    """Whether two models have the same class, adapter and modules by name: one may be a copy with other weights."""
    modules = [[(name, type(module)) for name, module in one.named_modules() if name] for one in (model, other)]
    return class_of(model) == class_of(other) and modules[0] == modules[1]
