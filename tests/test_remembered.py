import copy
import pickle

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency
from quantus_senc._distinct import Known
from tests import reference

KWARGS = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}


FEW = 40  # originals, and masked images that show whether a method is random: samples that every call needs


class Counting(nn.Module):
    """Counts the samples that it predicts without a gradient: those are the metric's own passes."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(144, 8), nn.Tanh(), nn.Linear(8, 3))
        self.samples = np.zeros(1, dtype=int)
        self.sharpness = 1.0

    def forward(self, x):
        self.samples[0] += 0 if torch.is_grad_enabled() else len(x)
        return self.net(x) * self.sharpness


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Counting().eval()


@pytest.fixture
def call(model):
    x = np.random.default_rng(0).random((3, 1, 12, 12), dtype=np.float32)
    return {"model": model, "x_batch": x, "y_batch": np.array([0, 1, 2]), "explain_func": quantus.explain}


def predicted(metric, call, method="Saliency", **changes):
    """How many samples a call predicts, and its scores."""
    call["model"].samples[0] = 0
    scores = metric(**call | {"explain_func_kwargs": {"method": method}} | changes)
    return int(call["model"].samples[0]), scores


def n_masked(metric, n_masks=60):
    """How many different masked images there are."""
    counts = [int(record.labels.max()) + 1 for record in metric.sensitivities]
    return sum(reference.n_distinct(metric.seed, i, n_masks, m, metric.mask_rate) for i, m in enumerate(counts))


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("n_masks", [60, "all"])
def test_second_method_reads_what_the_first_predicted(call, estimator, n_masks):
    metric = DataSensitivityConsistency(n_masks, estimator=estimator, **KWARGS)
    first, _ = predicted(metric, call)
    second, scores = predicted(metric, call, "InputXGradient")
    fresh = DataSensitivityConsistency(n_masks, estimator=estimator, **KWARGS)
    # Those of the first pass: predictions of later ones come with their explanations.
    assert first - second == (512 if n_masks == "all" else n_masked(metric))
    assert second <= FEW
    assert scores == predicted(fresh, call, "InputXGradient")[1]


def test_other_estimator_reads_what_the_first_predicted(call):
    regression = DataSensitivityConsistency(90, estimator="regression", **KWARGS)
    paper = regression.with_estimator("paper")
    predicted(regression, call)
    n_samples, scores = predicted(paper, call)
    assert n_samples <= FEW
    assert scores == DataSensitivityConsistency(90, estimator="paper", **KWARGS)(
        **call, explain_func_kwargs={"method": "Saliency"}
    )
    assert (regression.estimator, paper.estimator) == ("regression", "paper")
    assert regression.sensitivities
    assert regression.sensitivities is not paper.sensitivities


def test_more_masks_extend_what_is_known(call):
    metric = DataSensitivityConsistency(60, **KWARGS)
    predicted(metric, call)
    metric.n_masks = 100
    n_samples, scores = predicted(metric, call)
    assert scores == DataSensitivityConsistency(100, **KWARGS)(**call, explain_func_kwargs={"method": "Saliency"})
    more = n_masked(metric, 100) - n_masked(metric, 60)
    assert more <= n_samples <= more + FEW
    metric.n_masks = 60
    assert predicted(metric, call)[0] <= FEW


@pytest.mark.parametrize(
    "change",
    [
        lambda call: call["model"].net[1].weight.data.mul_(1.1),
        lambda call: setattr(call["model"], "sharpness", 2.0),
        lambda call: call.update(x_batch=call["x_batch"][::-1].copy()),
        lambda call: call.update(y_batch=call["y_batch"][::-1].copy()),
        lambda call: call.update(softmax=False),
        lambda call: call.update(custom_batch=np.arange(144).reshape(1, 12, 12).repeat(3, 0) // 36),
        {"seed": 1},
        {"mask_rate": 0.5},
        {"perturb_baseline": "mean"},
    ],
)
def test_whatever_predictions_depend_on_makes_them_new(call, change):
    metric, fresh = (DataSensitivityConsistency(60, **KWARGS) for _ in range(2))
    predicted(metric, call)
    if callable(change):
        change(call)
    else:
        for one in (metric, fresh):
            vars(one).update(change)
    n_samples, scores = predicted(metric, call)
    assert n_samples >= n_masked(metric)
    assert scores == predicted(fresh, call)[1]


def test_order_of_batches_and_chunks_does_not_matter(call):
    metric = DataSensitivityConsistency(60, max_batch_size=7, **KWARGS)
    predicted(metric, call, batch_size=2)
    metric.max_batch_size = 13
    n_samples, scores = predicted(metric, call, batch_size=2)
    assert n_samples <= FEW
    np.testing.assert_allclose(scores, predicted(DataSensitivityConsistency(60, **KWARGS), call)[1], atol=1e-9)


def test_images_of_which_all_masks_are_tried_beside_others(call):
    call["x_batch"][1, :, 4:] = 0
    metric = DataSensitivityConsistency(60, estimator="regression", **KWARGS)
    predicted(metric, call)
    assert [record.n_masks for record in metric.sensitivities] == [60, 8, 60]
    # A random method is never given all masks: it has other predictions for that image.
    generator = np.random.default_rng(0)
    draw = lambda model, inputs, targets, **kwargs: generator.random(inputs.shape)  # noqa: E731
    n_samples, _ = predicted(metric, call, explain_func=draw)
    assert [record.n_masks for record in metric.sensitivities] == [60, 60, 60]
    assert n_samples >= 60
    n_samples, scores = predicted(metric, call, "InputXGradient")
    assert n_samples <= FEW
    fresh = DataSensitivityConsistency(60, estimator="regression", **KWARGS)
    assert scores == predicted(fresh, call, "InputXGradient")[1]


def test_copies_know_nothing(call):
    metric = DataSensitivityConsistency(60, **KWARGS)
    predicted(metric, call)
    for other in (copy.deepcopy(metric), pickle.loads(pickle.dumps(metric))):
        assert predicted(other, call)[0] >= n_masked(metric)


def test_unknown_estimator():
    with pytest.raises(ValueError, match="unknown estimator 'papers'"):
        DataSensitivityConsistency(60).with_estimator("papers")


def test_images_are_segmented_once(call):
    segmented = []

    def segment(image):
        segmented.append(image)
        return torch.arange(144).view(12, 12) // 24

    metric = DataSensitivityConsistency(60, segment_func=segment)
    for method in ("Saliency", "InputXGradient"):
        predicted(metric, call, method)
    predicted(metric.with_estimator("regression"), call)
    assert len(segmented) == 3
    call["x_batch"] = call["x_batch"] + 1
    predicted(metric, call)
    assert len(segmented) == 6


class Explained:
    """An explanation method that counts the samples it is given, and whose map its caller can change."""

    def __init__(self):
        self.samples, self.method, self.generator = np.zeros(1, dtype=int), "Saliency", None

    def __call__(self, model, inputs, targets, **kwargs):
        self.samples[0] += len(inputs)
        maps = quantus.explain(model, inputs, targets, method=self.method)
        return maps if self.generator is None else maps * self.generator.random(maps.shape)


def test_other_estimator_reads_what_the_method_explained(call):
    call["explain_func"] = method = Explained()
    regression = DataSensitivityConsistency(60, estimator="regression", **KWARGS)
    predicted(regression, call)
    method.samples[0] = 0
    paper = regression.with_estimator("paper")
    predicted(paper, call)
    assert method.samples <= FEW
    for record in paper.sensitivities:
        assert record.n_masks == 60


def test_method_that_has_changed_explains_anew(call):
    call["explain_func"] = method = Explained()
    metric = DataSensitivityConsistency(60, **KWARGS)
    _, first = predicted(metric, call)
    method.method = "InputXGradient"
    _, second = predicted(metric, call)
    assert second != first
    np.testing.assert_allclose(second, predicted(DataSensitivityConsistency(60, **KWARGS), call)[1], atol=1e-9)


def test_method_that_has_changed_out_of_sight_explains_anew(call):
    method = ["Saliency"]
    call["explain_func"] = lambda model, inputs, targets, **kwargs: quantus.explain(model, inputs, targets, method=method[0])
    metric, fresh = (DataSensitivityConsistency(60, **KWARGS) for _ in range(2))
    predicted(metric, call)
    method[0] = "InputXGradient"
    np.testing.assert_allclose(predicted(metric, call)[1], predicted(fresh, call)[1], atol=1e-9)


def test_random_method_draws_anew(call):
    call["explain_func"] = method = Explained()
    method.generator = np.random.default_rng(0)
    metric = DataSensitivityConsistency(60, **KWARGS)
    assert predicted(metric, call)[1] != predicted(metric, call)[1]


def test_constant_attributions_are_remembered_as_such(call):
    call["explain_func"] = lambda model, inputs, targets, **kwargs: (
        inputs * (inputs.flatten(1).mean(1) > 0.25).view(-1, 1, 1, 1)
    )
    metric = DataSensitivityConsistency(60, mask_rate=0.5, **KWARGS)
    predicted(metric, call)
    first = [record.n_constant for record in metric.sensitivities]
    predicted(metric.with_estimator("paper"), call)
    again = metric.with_estimator("paper")
    predicted(again, call)
    assert [record.n_constant for record in again.sensitivities] == first
    assert min(first) > 0


@pytest.mark.parametrize("n", [1, 2])
def test_running_out_of_memory_while_remembering(call, monkeypatch, n):
    metric = DataSensitivityConsistency(60, **KWARGS)
    _, expected = predicted(DataSensitivityConsistency(60, **KWARGS), call)
    sort, calls = torch.Tensor.sort, []

    def failing(values, *args, **kwargs):
        calls.append(1)
        if len(calls) == n:
            raise torch.OutOfMemoryError
        return sort(values, *args, **kwargs)

    with monkeypatch.context() as patched:
        put = Known.put

        def put_short_of_memory(self, keys, values):
            patched.setattr(torch.Tensor, "sort", failing)
            try:
                put(self, keys, values)
            finally:
                patched.setattr(torch.Tensor, "sort", sort)

        patched.setattr(Known, "put", put_short_of_memory)
        with pytest.raises(torch.OutOfMemoryError):
            predicted(metric, call)
    np.testing.assert_allclose(predicted(metric, call)[1], expected, atol=1e-9)


class Filled:
    """A baseline whose value can be changed."""

    def __init__(self):
        self.value = 0.0

    def __call__(self, image):
        return torch.full((1, 1, 1), self.value)


def test_baseline_that_has_changed(call):
    baseline = Filled()
    metric = DataSensitivityConsistency(60, perturb_baseline=baseline, **KWARGS)
    predicted(metric, call)
    baseline.value = 0.9
    fresh = DataSensitivityConsistency(60, perturb_baseline=0.9, **KWARGS)
    np.testing.assert_allclose(predicted(metric, call)[1], predicted(fresh, call)[1], atol=1e-6)


def test_model_in_another_precision(call):
    metric = DataSensitivityConsistency(60, **KWARGS)
    predicted(metric, call)
    call["model"].double()
    fresh = DataSensitivityConsistency(60, **KWARGS)
    assert predicted(metric, call)[1] == predicted(fresh, call)[1]


def explain_masked_otherwise(model, inputs, targets, flip, **kwargs):
    """The input, turned round where it is masked: unmasked images look the same to both."""
    masked = (inputs == 0).flatten(1).any(1).view(-1, 1, 1, 1)
    return torch.where(masked & flip, -inputs, inputs)


def test_methods_that_explain_unmasked_images_alike(call):
    call["explain_func"] = explain_masked_otherwise
    metric, fresh = (DataSensitivityConsistency(60, **KWARGS) for _ in range(2))
    metric(**call, explain_func_kwargs={"flip": False})
    found = metric(**call, explain_func_kwargs={"flip": True})
    assert found == fresh(**call, explain_func_kwargs={"flip": True})
    assert found != DataSensitivityConsistency(60, **KWARGS)(**call, explain_func_kwargs={"flip": False})
