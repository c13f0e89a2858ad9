"""The first look at a model: what it returns for one input, what is to be said of that, and which classes it has."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from quantus_senc.model.adapted import adapter_of, recognised
from quantus_senc.model.explained_model import ExplainedModel, SoftmaxCalls
from quantus_senc.model.returned import UnfitOutputs, check_outputs
from quantus_senc.model.state import preserving
from quantus_senc.model.warn import warn_once

_MOVING = ("Cat", "Mul", "Select", "Slice", "Squeeze", "Unsqueeze", "View", "ReshapeAlias")  # begins of autograd's names
_ONE_VALUE = (
    "the model returns one value for each input, and the softmax of one value is always 1, so that no mask changes the "
    "prediction; pass quantus_senc.adapt(model, activation='binary') if it is the logit of class 1, or "
    "quantus_senc.adapt(model, activation=None, spread=…) if it is a regression"
)
_PROBABILITIES = (
    "The model returns probabilities already ({}), and {} is applied to them again, which hides most changes. Let the model "
    "return what comes before its last activation, or pass quantus_senc.adapt(model, activation=None) (or softmax=False to "
    "the metric)."
)


@dataclass(frozen=True, eq=False)
class FirstLook:
    """What one input has shown of a model.

    Attributes
    ----------
    explained
        With a model that returns (B, classes): adapted, if that was necessary.
    n_classes
        How many classes it has.
    note
        What users are told, once for a model, of how it was adapted; or an empty string.
    doubts
        What speaks against how its scores are taken.
    """

    explained: ExplainedModel
    n_classes: int
    note: str
    doubts: list[str]


def first_look(explained: ExplainedModel, x_batch: np.ndarray, y_batch: np.ndarray) -> FirstLook:
    """What the first input shows of a model.

    Raises
    ------
    UnfitOutputs
        If the model does not return (B, classes), and it is not clear where in what it returns these are.
    ValueError
        If a target is not one of its classes, or softmax makes the prediction 1 for any input, because there is one class.
    """
    inputs, note = explained.inputs(x_batch[:1]), ""
    try:
        scores, calls = _scores(explained, inputs)
    except UnfitOutputs as error:
        model, note = recognised(explained.model, error)
        explained = replace(explained, model=model)
        scores, calls = _scores(explained, inputs)
    adapter, n_classes = adapter_of(explained.model), scores.shape[1]
    if explained.softmax and adapter.activation == "softmax" and n_classes == 1:
        raise ValueError(_ONE_VALUE)
    _check_targets(y_batch, n_classes)
    ends_in_softmax = any(returned is scores for _, returned in calls)
    doubts = _doubts(explained, inputs, scores) if explained.softmax and not ends_in_softmax else []
    return FirstLook(explained, n_classes, note, doubts)


def fitted_model(model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray) -> tuple[nn.Module, int]:
    """A model that returns (B, classes), adapted if that is necessary, and how many classes it has.

    Users are told of the note and of doubts, each once for a model.

    Raises
    ------
    ValueError
        As `first_look`, or if the model fails on the first input.
    """
    explained = ExplainedModel(model, {}, True, lambda **kwargs: None, {}, None, False)
    try:
        look: FirstLook = preserving(model, lambda restore: first_look(explained, x_batch, y_batch))
    except ValueError:
        raise
    except Exception as error:  # a model may raise anything for inputs that do not fit it
        raise ValueError(f"the model fails on x_batch of shape {x_batch.shape}: {error}") from error
    for message in filter(None, [look.note, *look.doubts]):
        warn_once(model, message)
    return look.explained.model, look.n_classes


def _scores(explained: ExplainedModel, inputs: Tensor) -> tuple[Float[Tensor, "1 classes"], SoftmaxCalls]:
    outputs, calls = explained.outputs(inputs)
    return check_outputs(outputs, len(inputs)), calls


def _check_targets(y_batch: np.ndarray, n_classes: int) -> None:
    if y_batch.min() < 0 or y_batch.max() >= n_classes:
        one_logit = "; if its one value is the logit of class 1, pass quantus_senc.adapt(model, activation='binary')"
        raise ValueError(
            f"y_batch holds classes from {y_batch.min()} to {y_batch.max()}, but the model has classes 0 … "
            f"{n_classes - 1}; pass the index of the class to explain{one_logit * (n_classes == 1)}"
        )


def _doubts(explained: ExplainedModel, inputs: Tensor, scores: Float[Tensor, "1 classes"]) -> list[str]:
    """What speaks against the activation of a model's scores: that they are probabilities."""
    activation = adapter_of(explained.model).activation
    values = 2 * scores[:, 1:] if activation == "binary" else scores
    if activation is None or not ((values >= 0) & (values <= 1)).all():
        return []
    applied = "softmax" if activation == "softmax" else "sigmoid"
    rounding = 10 * torch.finfo(values.dtype).eps if values.is_floating_point() else 0
    if applied == "softmax" and abs(values.double().sum().item() - 1) <= rounding + 1e-5:
        return [_PROBABILITIES.format("they sum to 1", applied)]
    return [_PROBABILITIES.format("they come from a sigmoid", applied)] * _ends_in_sigmoid(explained, inputs)


def _ends_in_sigmoid(explained: ExplainedModel, inputs: Tensor) -> bool:
    """Whether the scores are the values of a sigmoid, as far as autograd shows it."""
    with torch.inference_mode(False), torch.enable_grad():
        leaf = inputs.clone().requires_grad_()
        try:
            node = explained.model(leaf.clone(), **explained.model_kwargs).grad_fn
        except RuntimeError:  # of models that have no gradients
            return False
    while node is not None and type(node).__name__.startswith(_MOVING):
        node = node.next_functions[0][0]
    return type(node).__name__.startswith("SigmoidBackward")
