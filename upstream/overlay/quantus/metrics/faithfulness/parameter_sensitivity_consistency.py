"""This module contains the implementation of the Parameter Sensitivity Consistency metric."""

# This file is part of Quantus, which is free software under the terms of the GNU Lesser General Public License,
# version 3 or (at your option) any later version. It comes WITHOUT ANY WARRANTY. See COPYING.LESSER.
# Quantus project URL: <https://github.com/understandable-machine-intelligence-lab/Quantus>.

import hashlib
from contextlib import contextmanager
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, final

import numpy as np

from quantus.helpers.enums import (
    DataType,
    EvaluationCategory,
    ModelType,
    ScoreDirection,
)
from quantus.helpers.model.model_interface import ModelInterface
from quantus.metrics.faithfulness.data_sensitivity_consistency import (
    SensitivityConsistency,
)


@final
class ParameterSensitivityConsistency(SensitivityConsistency):
    """
    Implementation of Sensitivity Consistency (SenC) to model parameters by Tan, 2025.

    Random groups of units of a layer are eliminated: the weights of output channels of a convolution, or of input
    features of a fully connected layer, are 0 while biases stay. A unit is sensitive for the prediction if masks that
    keep it keep the confidence, and sensitive for the explanation if they keep the ranks of the attributions. The score
    of a layer is the rank correlation of the two sensitivities over its units; the score is the mean over layers.

    Assumptions (see SensitivityConsistency for others):
        - Weights are zeroed in place, one mask a pass. Afterwards they are as before, also after an error.
        - An explanation that does not depend on the model has no score (NaN) with the regression.
        - Masks are a function of the seed, the name of the layer, the number of the mask and the unit.

    References:
        1) Hanxiao Tan: "Evaluating Sensitivity Consistency of Explanations." WACV (2025), Algorithm 2.

    Attributes:
        - _name: The name of the metric.
        - _data_applicability: The data types that the metric implementation currently supports.
        - _models: The model types that this metric can work with.
        - score_direction: Whether higher or lower scores are better.
        - evaluation_category: What property of an explanation this metric measures.
    """

    name = "Parameter Sensitivity Consistency"
    data_applicability = {DataType.IMAGE, DataType.TIMESERIES, DataType.TABULAR}
    model_applicability = {ModelType.TORCH}
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def __init__(
        self,
        n_masks: int = 10000,
        mask_rate: float = 0.8,
        estimator: str = "paper",
        top_k: Optional[int] = None,
        layers: Optional[Sequence[str]] = None,
        return_layer_scores: bool = False,
        seed: int = 42,
        **kwargs,
    ):
        """
        Rank correlation of the sensitivities of prediction and explanation to the same units of the model's layers.
        Scores lie between -1 and 1, and higher is better: with 1, the units that matter to the prediction are those
        that matter to the explanation, with 0 the two are unrelated.

        Parameters
        ----------
        n_masks: integer
            The number of masks for each layer, default=10000.
        mask_rate: float
            The probability with which a mask eliminates a unit, default=0.8.
        estimator: string
            "paper" for the weighted sums of the paper, which share the noise of the masks, the more so the more units
            a layer has; or "regression" for least squares, which tends to the same score without that noise,
            default="paper".
        top_k: integer, optional
            If given, the score is the share of the top_k most sensitive units in common, in [0, 1], default=None.
        layers: sequence of strings, optional
            The names of the layers. If None, all convolutions and fully connected layers of more than one unit whose
            elimination changes a prediction. The paper recommends the first convolution, default=None.
        return_layer_scores: boolean
            Whether a dict from layer to score is returned for each input, rather than the mean, default=False.
        seed: integer
            The seed of the masks, default=42.
        kwargs: optional
            Keyword arguments of SensitivityConsistency: abs, normalise, return_aggregate, disable_warnings, ...
        """
        super().__init__(
            n_masks=n_masks,
            mask_rate=mask_rate,
            estimator=estimator,
            top_k=top_k,
            seed=seed,
            sensitive_params=(
                "number of masks 'n_masks', probability of elimination 'mask_rate', estimator 'estimator' and "
                "layers 'layers'"
            ),
            **kwargs,
        )
        if return_layer_scores and self.return_aggregate:
            raise ValueError(
                "return_layer_scores=True returns dicts, which return_aggregate=True cannot aggregate."
            )
        self.layers = layers
        self.return_layer_scores = return_layer_scores

    def custom_preprocess(
        self, model: ModelInterface, x_batch: np.ndarray, **kwargs
    ) -> Dict[str, Any]:
        """
        Choose the layers.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs.
        kwargs: optional
            Unused.

        Returns
        -------
        dict
            The layers, by name, and a stand-in for attributions.
        """
        network = model.get_model()
        if not hasattr(network, "named_modules"):
            raise ValueError(f"{self.name} needs a torch model, not {type(network)}.")
        maskable = _maskable_layers(network)
        _share_weights(model)
        if self.layers is None:
            layers = {
                name: module
                for name, module in maskable.items()
                if _changes_prediction(model, module, x_batch[:64])
            }
        else:
            unknown = sorted(set(self.layers) - set(maskable))
            if unknown:
                raise ValueError(
                    f"layers={unknown} are none that can be masked; the model has {sorted(maskable)}."
                )
            layers = {name: maskable[name] for name in self.layers}
        if not layers:
            raise ValueError("The model has no layer that can be masked.")
        # The stand-in keeps Metric from calling explain_batch, to which a constant map is an error.
        return {"layers": layers, "a_batch": x_batch}

    def evaluate_batch(
        self,
        model: ModelInterface,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        layers: Dict[str, Any],
        **kwargs,
    ) -> List[Any]:
        """
        Evaluate the explanations of a batch of inputs.

        Parameters
        ----------
        model: ModelInterface
            A ModelInterface that is subject to explanation.
        x_batch: np.ndarray
            The inputs.
        y_batch: np.ndarray
            The classes that are explained.
        layers: dict
            The layers, by name.
        kwargs: optional
            Unused.

        Returns
        -------
        list
            One score, or dict of scores, for each input.
        """
        predictions = self.predict(model, x_batch, y_batch)
        a_batch = self.explain_rows(model, x_batch, y_batch)
        scores = {}
        for name, module in layers.items():
            free = np.ones(_n_units(module), dtype=bool)
            digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
            stream = int.from_bytes(digest, "little")
            masks, probabilities = self.draw_masks(free, stream)
            weights = []
            with _zeroed_weights(module) as keep_units:
                for mask in masks:
                    keep_units(mask)
                    weights.append(
                        self.weigh(model, x_batch, y_batch, predictions, a_batch)
                    )
            scores[name] = [
                self.score(masks, probabilities, free, of_input, prediction)
                for of_input, prediction in zip(np.stack(weights, axis=1), predictions)
            ]
        by_input = [dict(zip(scores, values)) for values in zip(*scores.values())]
        if self.return_layer_scores:
            return by_input
        return [float(np.mean(list(by_layer.values()))) for by_layer in by_input]


def _maskable_layers(network: Any) -> Dict[str, Any]:
    """
    The convolutions and fully connected layers of more than one unit that have a weight of their own, by name.
    """
    from torch import nn

    kinds = (
        nn.Linear,
        nn.Conv1d,
        nn.Conv2d,
        nn.Conv3d,
        nn.ConvTranspose1d,
        nn.ConvTranspose2d,
        nn.ConvTranspose3d,
    )
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, kinds)
        and "weight" in dict(module.named_parameters(recurse=False))
        and _n_units(module) > 1
    }


def _n_units(module: Any) -> int:
    """
    The number of output channels of a convolution, or of input features of a fully connected layer.
    """
    return getattr(module, "in_features", None) or module.out_channels


def _share_weights(model: ModelInterface) -> None:
    """
    Let the model that predicts see weights that are zeroed: to leave out a final softmax, Quantus predicts by a copy.
    """
    copies = model.get_softmax_arg_model().parameters()
    for copied, original in zip(copies, model.get_model().parameters()):
        copied.data = original.data


def _changes_prediction(
    model: ModelInterface, module: Any, x_batch: np.ndarray
) -> bool:
    """
    Whether the elimination of all units of a layer changes a prediction.
    """
    x_input = model.shape_input(
        x_batch, x_batch.shape, channel_first=True, batched=True
    )
    before = model.predict(x_input)
    with _zeroed_weights(module) as keep_units:
        keep_units(np.zeros(_n_units(module), dtype=bool))
        return not np.array_equal(before, model.predict(x_input))


@contextmanager
def _zeroed_weights(module: Any) -> Iterator[Callable[[np.ndarray], None]]:
    """
    Zero weights of a layer in place, for the units that a mask eliminates. Afterwards the weights are as before.
    """
    import torch

    weight = module.weight.data
    original = weight.clone()

    def keep_units(mask: np.ndarray) -> None:
        keep = torch.from_numpy(mask).to(weight.device)
        if isinstance(module, torch.nn.Linear):
            shape = keep[None]
        elif module.transposed:  # the weight is (in, out / groups, ...)
            per_group = keep.view(module.groups, 1, -1)
            per_group = per_group.expand(-1, len(weight) // module.groups, -1)
            shape = per_group.reshape(*weight.shape[:2], *[1] * (weight.ndim - 2))
        else:
            shape = keep.view(-1, *[1] * (weight.ndim - 1))
        weight.copy_(original * shape)

    try:
        yield keep_units
    finally:
        weight.copy_(original)
