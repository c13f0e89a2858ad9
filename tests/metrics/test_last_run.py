"""What is read from an earlier run, what is handed on as arguments, and that nothing else is kept between calls."""

import copy
import pickle
import warnings
from collections import OrderedDict

import numpy as np
import pandas as pd
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from tests import philox
from tests.networks import Tally

KWARGS = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}, "disable_warnings": True}
FEW = 100  # originals, and images that show whether a method is a function of the input alone: samples that every call needs
LOOK = 4  # the originals, of which the first is tried before


class Counting(nn.Module):
    """Counts the samples that it predicts without a gradient: those are the metric's own passes."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.Tanh(), nn.Linear(8, 3))
        self.register_buffer("scale", torch.ones(()))
        self.samples = Tally()
        self.sharpness = 1.0

    def forward(self, x):
        self.samples.n += 0 if torch.is_grad_enabled() else len(x)
        return self.net(x) * self.sharpness * self.scale


class Explained:
    """An explanation method that counts the samples it is given, and gives the model copies of them."""

    def __init__(self):
        self.samples, self.method, self.generator = 0, "Saliency", None

    def __call__(self, model, inputs, targets, method=None, **kwargs):
        self.samples += len(inputs)
        maps = quantus.explain(model, inputs.clone(), targets, method=method or self.method)
        return maps if self.generator is None else maps * self.generator.random(maps.shape)


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Counting().eval()


@pytest.fixture
def call(model):
    x = np.random.default_rng(0).random((3, 1, 12, 12), dtype=np.float32)
    return {
        "model": model,
        "x_batch": x,
        "y_batch": np.array([0, 1, 2]),
        "explain_func": Explained(),
        "explain_func_kwargs": {},
    }


def counted(metric, call, **changes):
    """How many samples a call predicts and explains, and its scores."""
    arguments = call | changes
    call["model"].samples.n = arguments["explain_func"].samples = 0
    scores = metric(**arguments)
    return int(call["model"].samples.n), arguments["explain_func"].samples, scores


def n_masked(metric, n_masks=60):
    """How many different masked images there are."""
    counts = [int(record.labels.max()) + 1 for record in metric.sensitivities]
    return sum(philox.n_distinct(metric.seed, i, n_masks, m, metric.mask_rate) for i, m in enumerate(counts))


def fresh(n_masks=60, **parameters):
    return DataSensitivityConsistency(n_masks, **KWARGS | parameters)


@pytest.mark.parametrize("tolerance", [None, 1e-6])
@pytest.mark.parametrize(("first", "second"), [("regression", "paper"), ("paper", "regression")])
def test_another_estimator_reads_the_weights_of_the_last_run(call, first, second, tolerance):
    metric = fresh(90, estimator=first, tolerance=tolerance)
    other = metric.with_estimator(second)
    counted(metric, call)
    n_predicted, n_explained, scores = counted(other, call)
    assert n_predicted <= FEW
    assert n_explained <= FEW
    assert scores == fresh(90, estimator=second, tolerance=tolerance)(**call)
    assert (metric.estimator, other.estimator) == (first, second)
    assert metric.sensitivities is not other.sensitivities


@pytest.mark.parametrize("changed", [False, True])
def test_the_last_run_is_of_the_same_frame(model, changed):
    """Equal frames are the same, and one of other numbers is not."""
    x = pd.DataFrame(np.random.default_rng(0).random((3, 144))).assign(flag=True)
    model.net[1] = nn.Linear(145, 8)
    call = {"model": model, "x_batch": x, "y_batch": pd.Series([0, 1, 2]), "explain_func": Explained()}
    metric = DataSensitivityConsistency(200, disable_warnings=True)
    counted(metric, call)
    again = x.assign(flag=[True, True, not changed])
    _, n_explained, _ = counted(metric.top_k(3), call, x_batch=again, y_batch=pd.Series([0, 1, 2]))
    assert (n_explained > FEW) == changed


def test_another_estimator_reads_drawn_masks_from_the_list_of_all(call):
    call["x_batch"][1, :, 4:] = 0
    regression = fresh(60, estimator="regression")
    paper = regression.with_estimator("paper")
    counted(regression, call)
    assert [record.n_masks for record in regression.sensitivities] == [60, 8, 60]
    assert counted(paper, call)[1] <= FEW
    assert [record.n_masks for record in paper.sensitivities] == [60, 60, 60]
    assert [record.score for record in paper.sensitivities] == fresh(60, estimator="paper")(**call)


def test_more_masks_extend_what_the_last_run_has_shown(call):
    metric = fresh(60)
    other = metric.with_estimator("paper")
    counted(metric, call)
    other.n_masks = 100
    _, n_explained, scores = counted(other, call)
    more = n_masked(metric, 100) - n_masked(metric, 60)
    assert more <= n_explained <= more + FEW
    assert scores == fresh(100)(**call)


def test_another_estimator_runs_the_masks_where_the_last_run_was_another(call):
    metric = fresh(estimator="regression")
    paper = metric.with_estimator("paper")
    assert counted(paper, call)[1] >= n_masked(paper)  # there was none
    counted(metric, call)
    other = call | {"explain_func_kwargs": {"method": "InputXGradient"}}
    _, n_explained, scores = counted(paper, other)
    assert n_explained >= n_masked(metric)
    assert scores == fresh(estimator="paper")(**other)


def test_unknown_estimator():
    with pytest.raises(ValueError, match="unknown estimator 'papers'"):
        fresh().with_estimator("papers")


@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_predictions_are_handed_on_to_the_next_method(call, estimator):
    metric = fresh(estimator=estimator)
    assert metric.shared_arguments() == {}
    first, _, _ = counted(metric, call)
    shared, other = metric.shared_arguments(), {"explain_func_kwargs": {"method": "InputXGradient"}}
    second, n_explained, scores = counted(metric, call, **other, **shared)
    assert first - second == n_masked(metric)
    assert n_explained >= n_masked(metric)
    assert scores == fresh(estimator=estimator)(**call | other)


def test_labels_are_handed_on(call):
    segmented = []

    def segment(image):
        segmented.append(image)
        return torch.arange(144).view(12, 12) // 24

    metric = DataSensitivityConsistency(60, segment_func=segment, disable_warnings=True)
    scores = metric(**call)
    assert metric(**call, **metric.shared_arguments()) == scores
    assert len(segmented) == 3


def test_random_methods_are_predicted_anew(call):
    metric = fresh()
    counted(metric, call)
    random = Explained()
    random.generator = np.random.default_rng(0)
    n_predicted, n_explained, _ = counted(metric, call, explain_func=random, **metric.shared_arguments())
    assert min(n_predicted, n_explained) >= 180


@pytest.mark.parametrize("wrong", [[], "records", [1, 2, 3], "other labels"])
def test_predictions_of_something_else(call, wrong):
    metric = fresh()
    metric(**call)
    given = metric.sensitivities if wrong == "other labels" else wrong
    labels = np.arange(144).reshape(1, 12, 12).repeat(3, 0) // 36
    with pytest.raises(ValueError, match="predictions must be the records of the same images"):
        metric(**call, predictions=given, **({"custom_batch": labels} if wrong == "other labels" else {}))


CHANGES = {
    "weight": lambda metric, call: call["model"].net[1].weight.data.mul_(1.1),
    "buffer": lambda metric, call: call["model"].scale.mul_(2),
    "hook": lambda metric, call: call["model"].net[3].register_forward_hook(lambda module, args, output: 2 * output),
    "attribute": lambda metric, call: setattr(call["model"], "sharpness", 2.0),
    "precision": lambda metric, call: call["model"].double(),
    "model": lambda metric, call: call.update(model=copy.deepcopy(call["model"])),
    "images in place": lambda metric, call: call["x_batch"].__imul__(0.9),
    "images": lambda metric, call: call.update(x_batch=call["x_batch"][::-1].copy()),
    "classes": lambda metric, call: call.update(y_batch=call["y_batch"][::-1].copy()),
    "method": lambda metric, call: call.update(explain_func=Explained()),
    "keywords": lambda metric, call: call.update(explain_func_kwargs={"method": "InputXGradient"}),
    "keywords that cannot be compared": lambda metric, call: call.update(explain_func_kwargs={"other": object()}),
    "softmax": lambda metric, call: call.update(softmax=False),
    "labels": lambda metric, call: call.update(custom_batch=np.arange(144).reshape(1, 12, 12).repeat(3, 0) // 36),
    "numbers of images": lambda metric, call: call.update(image_ids=[0, 2, 1]),
    "seed": lambda metric, call: setattr(metric, "seed", 1),
    "mask rate": lambda metric, call: setattr(metric, "mask_rate", 0.5),
    "number of masks": lambda metric, call: setattr(metric, "n_masks", 80),
    "baseline": lambda metric, call: setattr(metric, "perturb_baseline", lambda image: image.mean()),
}


OF_PARAMETERS = ("weight", "attribute", "images in place", "method", "keywords", "softmax", "seed", "mask rate")


@pytest.mark.parametrize(
    ("kind", "change"), [*(("data", one) for one in CHANGES), *(("parameter", one) for one in OF_PARAMETERS)]
)
def test_derived_metrics_read_the_last_run_of_the_same_call_alone(call, kind, change):
    metric = fresh() if kind == "data" else ParameterSensitivityConsistency(60, layers="linear", disable_warnings=True)
    top = metric.top_k(1)
    scores = counted(metric, call)[2]
    assert counted(top, dict(call))[1] == LOOK  # equal arguments, the same objects
    CHANGES[change](metric, call)
    _, n_explained, found = counted(top, call)
    assert n_explained > FEW / 2
    assert found == metric.summary(metric.sensitivities, lambda record: record.top_k_agreement(1))
    assert len(found) == len(scores)


def test_equal_keywords_are_the_same_call(call):
    metric = fresh()
    call["explain_func_kwargs"] = {"layers": ["a", 1], "weights": np.arange(3.0), "more": {"x": torch.ones(2)}}
    metric(**call)
    equal = {"layers": ["a", 1], "weights": np.arange(3.0), "more": {"x": torch.ones(2)}}
    assert counted(metric.top_k(1), call, explain_func_kwargs=equal)[1] == LOOK
    other = {"layers": ["a", True], "weights": np.arange(3.0), "more": {"x": torch.ones(2)}}
    assert counted(metric.top_k(1), call, explain_func_kwargs=other)[1] > FEW


def test_a_run_that_fails_leaves_none(call):
    metric = fresh()
    metric(**call)
    with pytest.raises(RuntimeError, match="broken"):
        metric(**call | {"explain_func": lambda **kwargs: (_ for _ in ()).throw(RuntimeError("broken"))})
    assert counted(metric.top_k(1), call)[1] > FEW


def test_copies_know_nothing(call):
    metric = fresh()
    counted(metric, call)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert counted(other.top_k(1), call)[1] >= n_masked(metric)


class Filled:
    """A baseline, or a weight of the map, whose value can be changed."""

    def __init__(self):
        self.value = 0.0

    def __call__(self, image):
        return torch.full((1, 1, 1), self.value)


def test_the_metric_itself_reads_nothing_that_is_kept(call):
    """Whatever changes out of sight, a second call is computed anew."""
    baseline, method = Filled(), ["Saliency"]

    def explain(model, inputs, targets, **kwargs):
        return quantus.explain(model, inputs, targets, method=method[0])

    metric = fresh(perturb_baseline=baseline)
    call["explain_func"] = explain
    first = metric(**call)
    baseline.value = 0.9
    second = metric(**call)
    assert second == fresh(perturb_baseline=0.9)(**call) != first
    method[0] = "InputXGradient"
    assert metric(**call) == fresh(perturb_baseline=0.9)(**call) != second


def test_constant_attributions_are_read_as_such(call):
    def bright(model, inputs, targets, **kwargs):
        return inputs * (inputs.flatten(1).mean(1) > 0.25).view(-1, 1, 1, 1)

    metric = fresh(mask_rate=0.5)
    metric(**call | {"explain_func": bright})
    first = [record.n_constant for record in metric.sensitivities]
    other = metric.with_estimator("paper")
    other(**call | {"explain_func": bright})
    assert [record.n_constant for record in other.sensitivities] == first
    assert min(first) > 0


@pytest.mark.parametrize("kind", ["data", "layer"])
def test_records_offer_masks_and_weights(call, kind):
    """The table alone gives the paper's sums again."""
    metric = fresh() if kind == "data" else ParameterSensitivityConsistency(60, layers=["net.3"], disable_warnings=True)
    metric(**call)
    records = metric.sensitivities if kind == "data" else metric.sensitivities["net.3"]
    for image, record in enumerate(records):
        masks, stream = record.masks(), image if kind == "data" else philox.layer_stream("net.3")
        np.testing.assert_array_equal(masks, philox.keep_masks(42, stream, 60, len(record.prediction)))
        assert record.weights.shape == (60, 2)
        assert record.constant.shape == (60,)
        sums = record.weights.T @ masks.double()
        torch.testing.assert_close(sums, torch.stack([record.prediction, record.explanation]))


@pytest.mark.parametrize("parameter", [("perturb_baseline", "mean"), ("abs", True), ("segment_func_kwargs", {"patch_size": 6})])
def test_another_estimator_with_other_parameters_reads_nothing(call, parameter):
    metric = fresh(estimator="regression")
    other = metric.with_estimator("paper")
    setattr(other, *parameter)
    metric(**call)
    assert other(**call) == fresh(estimator="paper", **dict([parameter]))(**call)


def test_a_second_look_changes_nothing_that_users_see(call):
    metric = ParameterSensitivityConsistency(60, layers=None, disable_warnings=False)
    call["model"].net.add_module("4", nn.Linear(3, 1))
    call["model"].net.add_module("5", nn.Linear(1, 3))  # left out, with a warning
    with pytest.warns(UserWarning, match="Layers left out"):
        metric(**call)
    before = {name: dict(strategy.images) for name, strategy in metric.strategies.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Input Tensor 0")  # by Captum
        metric.standard_error()(**call)
    assert {name: dict(strategy.images) for name, strategy in metric.strategies.items()} == before


class Unusual(nn.Module):
    """Attributes that cannot be compared by value, or not copied."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(144, 3)
        self.cycle, self.deep = [], []
        self.cycle.append(self.cycle)
        for _ in range(2000):
            self.deep = [self.deep]
        self.meta, self.dates = torch.empty(2, device="meta"), np.array(["2026-01-01"], dtype="datetime64[D]")
        self.objects = np.array([object()], dtype=object)
        self.objects.flags.writeable = False
        self.cache = LRU(3)

    def forward(self, x):
        return self.fc(x.flatten(1))


class LRU(OrderedDict):
    def __init__(self, size):
        super().__init__()
        self.size = size


def test_modules_may_hold_anything(call):
    metric = fresh()
    model = Unusual().eval()
    call = call | {"model": model, "explain_func": quantus.explain, "explain_func_kwargs": {"method": "Saliency"}}
    scores = metric(**call)
    assert len(metric.top_k(1)(**call)) == len(scores) == 3
    assert len(model.cache) == 0
