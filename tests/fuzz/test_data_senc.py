"""Data SenC gives for each image what Algorithm 1 gives, or NaN and its warning, or an error that users may see."""

import copy
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from quantus_senc import DataSensitivityConsistency
from quantus_senc.core.perturb import baseline_values
from tests.fuzz import budget, checks, methods, settings
from tests.fuzz.inputs import Inputs, some_inputs
from tests.fuzz.models import N_CLASSES, Network, networks
from tests.fuzz.oracle import Literal, Weights

pytestmark = pytest.mark.unwatched("generators")  # methods may be random


@dataclass(frozen=True)
class Case:
    """A call of data SenC, in passes of these sizes, and perhaps another in passes of others."""

    network: Network
    inputs: Inputs
    method: str
    features: settings.Features
    baseline: object
    softmax: bool
    parameters: dict
    sizes: tuple
    other_sizes: tuple | None
    image_ids: list | None

    def run(self, model, sizes):
        """The metric, its scores and warnings; None in place of scores for an error that users may see."""
        methods.forget()
        of_metric, of_call = self.features.parameters(self.inputs)
        baseline = settings.called_baseline if self.baseline == "called" else self.baseline
        metric = DataSensitivityConsistency(**self.parameters, **of_metric, perturb_baseline=baseline, max_batch_size=sizes[1])
        x, channel_first = self.inputs.given()
        call = {"channel_first": channel_first, "softmax": self.softmax, "batch_size": sizes[0], **of_call}
        call["image_ids"] = self.image_ids
        method = methods.METHODS[self.method]
        return metric, *checks.call(metric, model, x, self.targets, explain_func=method, **call)

    @property
    def targets(self):
        return self.inputs.targets(N_CLASSES)

    def literal(self, model, metric, readings):
        """Weights of the masks of every image, one sample at a time; `readings` are kept for another run."""
        model = copy.deepcopy(model).eval()
        normalise = metric.normalise_func if metric.normalise else None
        literal = Literal(methods.METHODS[self.method], self.softmax, metric.abs, normalise)
        x = torch.tensor(self.inputs.array().astype(float)).to(next(model.parameters()).dtype)
        records = enumerate(metric.sensitivities)
        return [self._weights(literal, model, metric, index, x[[index]], record, readings) for index, record in records]

    def _weights(self, literal, model, metric, index, x, record, readings):
        baseline, y = self._baseline(metric, index, x), int(self.targets[index])
        masked = [torch.where(keep[record.labels], x, baseline) for keep in record.masks()]
        for one in [x, *masked]:
            if (_key(one), y) not in readings:
                readings[_key(one), y] = literal.read(model, one, y)
        return Weights.compare(readings[_key(x), y], [readings[_key(one), y] for one in masked])

    def _baseline(self, metric, index, x):
        """What eliminated features of an image (1, *shape) show."""
        if self.baseline in ("black", "white", "mean"):
            return {"black": torch.min, "white": torch.max, "mean": torch.mean}[self.baseline](x)
        if self.baseline == "called":
            return x.flip(-1)
        if self.baseline == "uniform":
            image_id = index if self.image_ids is None else self.image_ids[index]
            return baseline_values(x, "uniform", metric.seed, torch.tensor([image_id]))
        if self.baseline == "blur":
            sides = x.shape[2:]
            channels = [gaussian_filter(channel.double().numpy(), max(sides) / 8, mode="nearest") for channel in x[0]]
            return torch.tensor(np.stack(channels)[None]).to(x)
        return torch.tensor(self.baseline, dtype=x.dtype)


def _key(sample):
    return sample.numpy().tobytes()


@st.composite
def data_cases(draw, names, double):
    network, parameters, features = draw(networks(st.just(double))), draw(settings.parameters(16)), draw(settings.features)
    inputs, estimator = draw(some_inputs()), parameters["estimator"]
    few = features.how in ("given", "called") or (len(inputs.shape) == 2 and inputs.shape[1] < 6)
    if parameters["n_masks"] == "all" and not few:
        parameters |= {"n_masks": 16}
    if estimator == "regression" and parameters["n_masks"] != "all":
        parameters |= draw(st.sampled_from([{"n_masks": 24, "mask_rate": 0.5}] * 3 + [{"n_masks": 50}, {"n_masks": 64}]))
    return Case(
        network=network,
        inputs=inputs,
        method=draw(st.sampled_from(names)),
        features=features,
        baseline=draw(settings.baselines),
        softmax=draw(st.sampled_from([True, True, False])),
        parameters=parameters,
        sizes=draw(settings.sizes),
        other_sizes=draw(settings.second_sizes),
        image_ids=draw(settings.image_ids(inputs.shape[0])),
    )


def check(case):
    """All runs are compared with the same literal weights, so that they also agree with each other."""
    model, readings = case.network.build(case.inputs.shape[1:]), {}
    given = case.features.labels(case.inputs)
    for sizes in filter(None, (case.sizes, case.other_sizes)):
        metric, scores, messages = case.run(model, sizes)
        if scores is None:
            continue
        literal = case.method != "random"
        weights = case.literal(model, metric, readings) if literal else [None] * len(scores)
        for record, score, one in zip(metric.sensitivities, scores, weights, strict=True):
            checks.check_record(record, score, metric, one)
        if case.features.how == "given":
            expected = [np.unique(labels, return_inverse=True)[1] for labels in given]
            np.testing.assert_array_equal([record.labels.numpy() for record in metric.sensitivities], expected)
        n = np.isnan(scores).sum()
        assert sum(f"is NaN for {n} of {len(scores)} images" in message for message in messages) == bool(n)


@budget.cases(36, 3500, case=data_cases(list(methods.OF_USERS), double=True))
def test_methods_of_users(case):
    check(case)


@budget.cases(6, 1500, case=data_cases(list(methods.OF_EXPLAIN), double=True))
def test_methods_of_explain(case):
    check(case)


@budget.cases(4, 500, case=data_cases(list(methods.OF_QUANTUS), double=False))
def test_methods_of_quantus(case):
    check(case)
