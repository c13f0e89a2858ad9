"""Parameter SenC gives for each image and layer what Algorithm 2 gives, by hooks and by zeroed weights, or NaN, or an error."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from quantus_senc import ParameterSensitivityConsistency
from quantus_senc.metrics.units import n_units
from tests import reference
from tests.fuzz import budget, checks, methods, settings
from tests.fuzz.inputs import Inputs, some_inputs
from tests.fuzz.models import N_CLASSES, Network, networks
from tests.fuzz.oracle import Literal, Weights

_FEW_UNITS = 5


pytestmark = pytest.mark.unwatched("generators")  # methods may be random


@dataclass(frozen=True)
class Case:
    """A call of parameter SenC, or two, by these strategies, in passes of these sizes."""

    network: Network
    inputs: Inputs
    method: str
    layers: str | None
    softmax: bool
    parameters: dict
    strategies: tuple
    sizes: tuple

    def run(self, model, strategy, sizes):
        """The metric, its scores and warnings; None in place of scores for an error that users may see."""
        methods.forget()
        layers = _few_units if self.layers == "few units" else self.layers
        metric = ParameterSensitivityConsistency(
            **self.parameters, layers=layers, strategy=strategy, max_batch_size=sizes[1], return_layer_scores=True
        )
        x, channel_first = self.inputs.given()
        call = {"channel_first": channel_first, "softmax": self.softmax, "batch_size": sizes[0]}
        method = methods.METHODS[self.method]
        return metric, *checks.call(metric, model, x, self.targets, explain_func=method, **call)

    @property
    def targets(self):
        return self.inputs.targets(N_CLASSES)

    def literal(self, model, metric, layer, readings):
        """Weights of the masks of a layer for every image, one sample at a time; `readings` are kept for another run."""
        model = copy.deepcopy(model).eval()
        normalise = metric.normalise_func if metric.normalise else None
        literal = Literal(methods.METHODS[self.method], self.softmax, metric.abs, normalise)
        x = torch.tensor(self.inputs.array().astype(float)).to(next(model.parameters()).dtype)
        records = metric.sensitivities[layer]
        masks = {mask.tobytes(): mask for record in records for mask in record.masks().numpy()}
        for key, mask in masks.items():
            if (layer, key) not in readings:
                masked = reference.masked_model(model, layer, mask)
                readings[layer, key] = [literal.read(masked, x[[i]], int(y)) for i, y in enumerate(self.targets)]
        originals = [literal.read(model, x[[i]], int(y)) for i, y in enumerate(self.targets)]
        return [
            Weights.compare(original, [readings[layer, mask.tobytes()][i] for mask in record.masks().numpy()])
            for i, (original, record) in enumerate(zip(originals, records, strict=True))
        ]


def _few_units(name, module):
    return 1 < n_units(module) <= _FEW_UNITS


@st.composite
def parameter_cases(draw, names, double):
    network, parameters = draw(networks(st.just(double))), draw(settings.parameters(12))
    layers = draw(st.sampled_from(["few units", "few units", "first_conv", "linear", None]))
    if parameters["estimator"] == "regression":
        parameters |= {"n_masks": draw(st.sampled_from([20, 50])), "mask_rate": 0.5}
    if parameters["n_masks"] == "all":
        layers = "few units"
    return Case(
        network=network,
        inputs=draw(some_inputs(2)),
        method=draw(st.sampled_from(names)),
        layers=layers,
        softmax=draw(st.sampled_from([True, True, False])),
        parameters=parameters,
        strategies=draw(st.sampled_from([("auto",), ("hooks",), ("weights",), ("auto", "weights"), ("hooks", "auto")])),
        sizes=draw(st.tuples(settings.sizes, settings.sizes)),
    )


def check(case):
    """All runs are compared with the same literal weights, so that hooks and zeroed weights also agree."""
    model, readings = case.network.build(case.inputs.shape[1:]), {}
    for strategy, sizes in zip(case.strategies, case.sizes, strict=False):
        metric, scores, messages = case.run(model, strategy, sizes)
        for layer in scores or ():
            literal = case.method != "random"
            weights = case.literal(model, metric, layer, readings) if literal else [None] * len(scores[layer])
            for record, score, one in zip(metric.sensitivities[layer], scores[layer], weights, strict=True):
                checks.check_record(record, score, metric, one)
        if scores is not None:
            n, total = np.isnan(list(scores.values())).sum(), sum(map(len, scores.values()))
            assert sum(f"is NaN for {n} of {total} pairs" in message for message in messages) == bool(n)


@budget.cases(16, 2500, case=parameter_cases(list(methods.OF_USERS), double=True))
def test_methods_of_users(case):
    check(case)


@budget.cases(3, 1500, case=parameter_cases(list(methods.OF_EXPLAIN), double=True))
def test_methods_of_explain(case):
    check(case)


@budget.cases(4, 500, case=parameter_cases(list(methods.OF_QUANTUS), double=False))
def test_methods_of_quantus(case):
    check(case)


def test_an_infinite_image_does_not_hide_what_hooks_get_wrong():
    """Differences were compared with the largest value of a map, so that beside an infinite one none was too large."""
    parameters = {"n_masks": 20, "mask_rate": 0.5, "seed": 42, "estimator": "regression", "abs": True}
    case = Case(
        network=Network(("conv",) * 5, width=5, activation="relu", softmax=False, training=False, double=True, seed=0),
        inputs=Inputs((2, 1, 4, 2, 2), values="normal", type=">f8", layout="tensor", odd=np.inf, seed=565565),
        method="gradient",
        layers="few units",
        softmax=True,
        parameters={**parameters, "tolerance": None, "normalise": False, "return_aggregate": False},
        strategies=("auto",),
        sizes=((64, 1),),
    )
    check(case)
