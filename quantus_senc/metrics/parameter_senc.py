"""Parameter SenC: are prediction and explanation sensitive to the same units of the model's layers?"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import torch
from quantus.helpers.enums import DataType
from torch import Tensor, nn

from quantus_senc.core.checks import check_known
from quantus_senc.core.mask_loop import MaskRun
from quantus_senc.core.record import Sensitivity
from quantus_senc.metrics.base import SensitivityConsistency
from quantus_senc.metrics.batched_metric import StartAgain
from quantus_senc.metrics.image_batch import Batch, Images
from quantus_senc.metrics.layers import Layers, check_layers, chosen_layers
from quantus_senc.metrics.masked_layers import Failure, MaskedLayer, ZeroedWeights
from quantus_senc.metrics.masking_strategy import STRATEGIES, Decision, HookedMasks, Strategy, decide, without_check
from quantus_senc.metrics.method_check import RANDOM
from quantus_senc.metrics.units import layer_stream, n_units
from quantus_senc.model.explained_model import ExplainedModel

_LOOK = 64  # images that show which layers a model uses
_N_CHECKED = 8  # images that show whether the method is a function of the input alone
_N_OWN = 3  # masks of the run on which hooks are compared with zeroed weights


@dataclass(frozen=True)
class _Layer:
    """A layer to mask, and how that is done in this call."""

    name: str
    module: nn.Module
    strategy: Strategy


class _HooksFailed(Exception):
    """A comparison during the run has found hooks wrong, or has not been able to tell."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class ParameterSensitivityConsistency(SensitivityConsistency):
    """Are the prediction and the explanation sensitive to the same units of the model's layers?

    Units of a layer (output channels of a convolution, input features of a fully connected layer) are eliminated by
    many random masks: their weights are 0, biases stay. The prediction sensitivity of a unit is the sum of the masks that
    keep it, weighted by how little the confidence changes; its explanation sensitivity the same sum, weighted by how
    similar the explanation stays. (Or, with `estimator="regression"`, both are coefficients of least squares.) A layer's score
    is the rank correlation of the two, and the score the mean over layers.

    Attributes
    ----------
    sensitivities
        A list of one `Sensitivity` an image for each layer's name, from the last call.
    strategies
        How each layer was masked in the last call, and why, by the layer's name.
    standard_errors
        The standard error of each score, or a list for each layer with `return_layer_scores`.

    References
    ----------
    Hanxiao Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025, Section 3.3, Algorithm 2, Eq. 6.

    Examples
    --------
    >>> import quantus
    >>> from quantus_senc import ParameterSensitivityConsistency
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> senc = ParameterSensitivityConsistency(n_masks=100, mask_rate=0.5)
    >>> x_batch, y_batch = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 1.0, 4.0, 3.0]]), np.array([0, 1])
    >>> scores = senc(model, x_batch, y_batch, explain_func=quantus.explain, explain_func_kwargs={"method": "Gradient"})
    >>> len(scores), {name: len(records[0].prediction) for name, records in senc.sensitivities.items()}
    (2, {'0': 4, '2': 8})
    """

    name = "Parameter Sensitivity Consistency"
    data_applicability = {DataType.IMAGE, DataType.TIMESERIES, DataType.TABULAR}

    def __init__(
        self,
        n_masks: int | str = 10_000,
        mask_rate: float = 0.8,
        estimator: str = "paper",
        tolerance: float | None = None,
        layers: Layers = None,
        return_layer_scores: bool = False,
        max_batch_size: int | str = "auto",
        seed: int = 42,
        strategy: str = "auto",
        abs: bool = False,
        normalise: bool = False,
        normalise_func: Callable[..., np.ndarray] | None = None,
        normalise_func_kwargs: dict[str, Any] | None = None,
        return_aggregate: bool = False,
        aggregate_func: Callable[..., Any] | None = None,
        default_plot_func: Callable[..., Any] | None = None,
        disable_warnings: bool = False,
        display_progressbar: bool = False,
        **kwargs: Any,
    ) -> None:
        """Rank correlation of the prediction's and the explanation's sensitivity to the same units of the model.
        Scores lie between -1 and 1, and higher is better: 1 means that the units that matter to the prediction are those
        that matter to the explanation, and 0 that the two are unrelated.

        Parameters
        ----------
        n_masks
            How many masks for each layer, at least 2; or "all" for every mask there is, times its probability, which gives
            what ever more drawn masks lead to, for layers of at most 20 units.
        mask_rate
            The probability with which a mask eliminates a unit, in (0, 1).
        estimator
            "paper": the sums of Eq. 1 and 2, in which both sensitivities share the noise of the masks, the more so the more
            units a layer has. "regression": least squares of the weights on the masks, which has the same limit and no such
            noise. Its n_masks is a ceiling: where trying every mask takes no more, that is done.
        tolerance
            If given, n_masks is a ceiling, and an image gets no more masks of a layer once its standard error is no larger,
            which is looked at after 256, 384, 576, ... masks.
        layers
            None for every convolution and fully connected layer, in the order of first use; names, a predicate of name and
            module, or "first_conv" (which the paper recommends), "conv" or "linear".
        return_layer_scores
            Whether a dict from layer to list is returned, rather than the mean over layers.
        max_batch_size
            How many samples one forward pass may have, or "auto".
        seed
            Of the masks. They are a function of the seed, the layer's name, the mask's index and the unit alone.
        strategy
            "weights" zeroes the weights for one mask a pass. "hooks" masks many models in one pass. "auto" takes hooks for
            the images for which a comparison with zeroed weights, on a few masks of every layer, shows them to be right,
            and weights elsewhere. What no comparison of a few masks can show is that a method keeps no memory: one that
            stores its results by input must not be evaluated by hooks.
        abs, normalise, normalise_func, normalise_func_kwargs
            What attributions go through before they are ranked, as in every metric of Quantus.
        return_aggregate, aggregate_func
            Whether one score for all images is returned, and how it is made (by default the mean).
        default_plot_func
            For `Metric.plot`.
        disable_warnings, display_progressbar
            Silence and progress.

        Raises
        ------
        ValueError
            If a parameter is wrong; the message names it, its value and the remedy.
        """
        super().__init__(
            n_masks=n_masks,
            mask_rate=mask_rate,
            estimator=estimator,
            tolerance=tolerance,
            max_batch_size=max_batch_size,
            seed=seed,
            abs=abs,
            normalise=normalise,
            normalise_func=normalise_func,
            normalise_func_kwargs=normalise_func_kwargs,
            return_aggregate=return_aggregate,
            aggregate_func=aggregate_func,
            default_plot_func=default_plot_func,
            disable_warnings=disable_warnings,
            display_progressbar=display_progressbar,
            **kwargs,
        )
        layers = list(layers) if isinstance(layers, Iterable) and not isinstance(layers, str | nn.Module) else layers
        check_layers(layers)
        check_known("strategy", strategy, STRATEGIES)
        self.layers = layers
        self.return_layer_scores = return_layer_scores
        self.strategy = strategy
        self.strategies: dict[str, Strategy] = {}

    def prepare(self, explained: ExplainedModel, images: Images, known: None) -> dict[str, _Layer]:
        """The layers, by name."""
        check_layers(self.layers)
        check_known("strategy", self.strategy, STRATEGIES)
        look = explained.inputs(images.x[:_LOOK])
        modules, left_out = chosen_layers(explained.model, self.layers, lambda: explained.predict_classes(look))
        if left_out:
            self._warn(["Layers left out: " + "; ".join(f"{name!r} {reason}" for name, reason in left_out.items()) + "."])
        self.strategies = {layer: Strategy() for layer in modules}
        for layer, module in modules.items():
            self.plan.check(n_units(module), f"units of layer {layer!r}")
        return {layer: _Layer(layer, module, self.strategies[layer]) for layer, module in modules.items()}

    def evidence(self, explained: ExplainedModel, images: Images, prepared: dict[str, _Layer]) -> list[str]:
        """The names of the layers, which a predicate may have chosen."""
        return list(prepared)

    def n_pairs(self, prepared: dict[str, _Layer], n_images: int) -> int:
        """As many as each layer has masks."""
        return sum(self.plan.mask_count(n_units(layer.module)) for layer in prepared.values()) * n_images

    def evaluate_batch(self, batch: Batch, prepared: dict[str, _Layer]) -> list[dict[str, Sensitivity]]:
        """Algorithm 2 for some images."""
        records = {name: self._layer_records(batch, layer) for name, layer in prepared.items()}
        return [dict(zip(records, of_image, strict=True)) for of_image in zip(*records.values(), strict=True)]

    def checked_samples(self, batch: Batch, prepared: dict[str, _Layer]) -> tuple[Tensor, Tensor]:
        """Some of the images."""
        various = batch.various(_N_CHECKED)
        return batch.inputs[various], batch.targets[various]

    def _layer_records(self, batch: Batch, layer: _Layer) -> list[Sensitivity]:
        """The records of one layer: by hooks where these are shown to be right, and by zeroed weights elsewhere."""
        masked, strategy, bar = MaskedLayer(batch, layer.module), layer.strategy, batch.progress
        stream = torch.tensor([layer_stream(layer.name)], device=batch.explained.device)
        free = torch.ones(1, n_units(layer.module), dtype=torch.bool, device=stream.device)
        plan = replace(self.plan, repeats=batch.flaw != RANDOM)
        design = plan.design(stream, free)
        bar.total += len(batch) * (design.n_masks[0] - self.plan.mask_count(free.shape[1]))
        n, total = bar.n, bar.total
        first = next(design.row_masks(0, 0, _N_OWN))
        decision = self._settle(decide(masked, first, self.strategy, strategy.disproved), strategy)
        while True:
            weigher = HookedMasks(masked, decision.check, _fail) if decision.by_hooks else ZeroedWeights(masked)
            run = MaskRun(plan, design, batch.unperturbed(), bar, free)
            try:
                records = run.records(weigher.weigh)
            except _HooksFailed as error:
                bar.update(n - bar.n)
                bar.total = total
                if decision.check and masked.layers_once.active:
                    masked.layers_once.stop()  # which may be what differs
                    decision = decide(masked, first, self.strategy, strategy.disproved)
                else:
                    failure = error.failure if decision.check else replace(error.failure, disproved=True)
                    decision = without_check(failure, self.strategy)
                decision = self._settle(decision, strategy)
            else:
                strategy.note(decision, len(batch))
                return records

    def _settle(self, decision: Decision, strategy: Strategy) -> Decision:
        """Note that hooks are disproved.

        Raises
        ------
        StartAgain
            If earlier images were masked by hooks.
        """
        if decision.disproved:
            strategy.disproved = decision.why
            if strategy.images["hooks"]:
                raise StartAgain
        return decision

    def forget(self) -> None:
        """Forget how images were masked."""
        for strategy in self.strategies.values():
            strategy.forget()

    def collect(self, records: list[dict[str, Sensitivity]], prepared: dict[str, _Layer]) -> dict[str, list[Sensitivity]]:
        """One record an image for each layer."""
        return {layer: [of_image[layer] for of_image in records] for layer in prepared}

    def summary(
        self, sensitivities: dict[str, list[Sensitivity]], value: Callable[[Sensitivity], float]
    ) -> list[float] | dict[str, list[float]]:
        """One value an image: the mean over layers (Algorithm 2, line 13), or a list for each layer."""
        values = {layer: [value(record) for record in records] for layer, records in sensitivities.items()}
        if self.return_layer_scores:
            return {layer: self.aggregate(scores) for layer, scores in values.items()}
        return self.aggregate(np.mean(list(values.values()), axis=0).tolist())

    def errors(self, sensitivities: dict[str, list[Sensitivity]]) -> list[float] | dict[str, list[float]]:
        """One standard error an image, or a list for each layer, whose masks are independent."""
        errors = {layer: [record.standard_error for record in records] for layer, records in sensitivities.items()}
        if self.return_layer_scores:
            return errors
        return (np.linalg.norm(list(errors.values()), axis=0) / len(errors)).tolist()


def _fail(failure: Failure) -> NoReturn:
    raise _HooksFailed(failure)
