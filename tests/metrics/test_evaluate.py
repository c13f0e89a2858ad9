"""SenC in `quantus.evaluate`, next to Quantus's own metrics, and top-k agreement that reuses its runs."""

import gc
import warnings
import weakref
from functools import cache, partial

import numpy as np
import pytest
import quantus
import torch

import quantus_senc
from quantus_senc import DataSensitivityConsistency, explain_random
from tests import philox
from tests.small_models import classes, gradient, image_model, inputs, table_model

X, Y = np.abs(inputs(4, 1, 8, 8)), classes(4)
GRID = {"n_masks": 40, "segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}}
pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not:UserWarning")


SECOND_LOOK = 1 + 4  # a first image alone, and the originals
METHOD_CHECK = 2 * 8 + 8 * 8 + 8 + (1 + 16)  # eight samples twice, each among copies, moved; one alone, and copies of it


def n_explained(n_masks=40, n_features=9):
    """What one run explains: the originals, what shows whether the method is flawed, and each masked image once."""
    return SECOND_LOOK + METHOD_CHECK + sum(philox.n_distinct(42, image, n_masks, n_features) for image in range(4))


@cache
def direct(method):
    metric = DataSensitivityConsistency(**GRID, disable_warnings=True)
    return metric(image_model(), X, Y, explain_func=quantus.explain, explain_func_kwargs={"method": method})


def evaluate(xai_methods, explain_func_kwargs=None, metrics=None, **kwargs):
    metrics = metrics or {"SenC": DataSensitivityConsistency(**GRID)}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        results = quantus.evaluate(metrics, xai_methods, image_model(), X, Y, explain_func_kwargs=explain_func_kwargs, **kwargs)
    return results, [str(w.message) for w in caught if "a_batch" in str(w.message)]


def test_methods_as_callables():
    results, messages = evaluate({"Saliency": quantus.explain, "random": explain_random}, {})
    assert results["Saliency"]["SenC"] == direct("Saliency")
    assert len(results["random"]["SenC"]) == 4
    assert not messages


def test_methods_as_dicts_and_the_trap_in_them():
    """Quantus computes `a_batch` with its default method here."""
    results, messages = evaluate({"IntegratedGradients": {"n_steps": 10}})
    assert results["IntegratedGradients"]["SenC"] == direct("IntegratedGradients")
    assert len(messages) == 1
    assert messages[0].startswith("Data Sensitivity Consistency: a_batch is not what explain_func returns")
    _, messages = evaluate({"Gradient": {}})
    assert not messages


def test_methods_as_arrays():
    maps = quantus.explain(image_model(), X, Y, method="InputXGradient")
    results, messages = evaluate({"InputXGradient": maps})
    assert results["InputXGradient"]["SenC"] == direct("InputXGradient")
    assert not messages
    _, messages = evaluate({"InputXGradient": maps[::-1].copy()})
    assert len(messages) == 1


def test_beside_other_metrics_with_an_object_mask():
    metrics = {
        "SenC": DataSensitivityConsistency(**GRID),
        "RandomLogit": quantus.RandomLogit(num_classes=3, similarity_func=quantus.similarity_func.correlation_pearson),
        "Complexity": quantus.Complexity(),
    }
    masks = np.zeros((4, 1, 8, 8), dtype=int)
    masks[:, :, 2:5, 2:5] = 1
    results, _ = evaluate({"Saliency": quantus.explain}, {}, metrics, s_batch=masks)
    assert {name: len(scores) for name, scores in results["Saliency"].items()} == {"SenC": 4, "RandomLogit": 4, "Complexity": 4}
    assert results["Saliency"]["SenC"] == direct("Saliency")


def test_the_same_object_twice():
    metric = {"SenC": DataSensitivityConsistency(**GRID)}
    first, _ = evaluate({"Saliency": quantus.explain}, {}, metric)
    second, _ = evaluate({"Saliency": quantus.explain}, {}, metric)
    assert first == second


@pytest.mark.parametrize(("batch_size", "max_batch_size"), [(1, 7), (7, 64), (64, 1)])
def test_batch_sizes(batch_size, max_batch_size):
    metrics = {"SenC": DataSensitivityConsistency(**GRID, max_batch_size=max_batch_size)}
    call_kwargs = {"sizes": {"batch_size": batch_size}}
    results, _ = evaluate({"Saliency": quantus.explain}, {}, metrics, call_kwargs=call_kwargs)
    np.testing.assert_allclose(results["Saliency"]["SenC"], direct("Saliency"), atol=1e-12)


class Counting:
    """An explain_func that counts the inputs it explains."""

    def __init__(self):
        self.count = 0

    def __call__(self, model, inputs, targets, **kwargs):
        self.count += len(inputs)
        return gradient(model, torch.as_tensor(inputs), targets).numpy()


def test_top_k_reuses_the_run_of_each_method():
    senc, methods = DataSensitivityConsistency(**GRID), {"a": Counting(), "b": Counting()}
    metrics = {"SenC": senc, "Top-1": senc.top_k(1), "Top-3": senc.top_k(3)}
    results, _ = evaluate(methods, {}, metrics)
    for method, explain_func in methods.items():
        assert explain_func.count == 4 + n_explained() + 2 * SECOND_LOOK  # four are Quantus's a_batch
        senc(image_model(), X, Y, explain_func=gradient)
        expected = [[record.top_k_agreement(k) for record in senc.sensitivities] for k in (1, 3)]
        assert [results[method]["Top-1"], results[method]["Top-3"]] == expected


def test_top_k_runs_the_metric_where_its_last_run_had_other_call_kwargs():
    """Quantus runs a metric with all of them before it goes on to the next metric."""
    senc, explain_func = DataSensitivityConsistency(**GRID), Counting()
    call_kwargs = {"p": {"softmax": True}, "logit": {"softmax": False}}
    results, _ = evaluate({"a": explain_func}, {}, {"SenC": senc, "Top-1": senc.top_k(1)}, call_kwargs=call_kwargs)
    assert explain_func.count == 4 + 4 * n_explained()
    for name, kwargs in call_kwargs.items():
        senc(image_model(), X, Y, explain_func=gradient, **kwargs)
        assert results["a"]["Top-1"][name] == [record.top_k_agreement(1) for record in senc.sensitivities]


@pytest.mark.parametrize("parameters", [{"abs": True}, {"normalise": True}])
def test_processed_attributions_agree_with_a_batch(parameters):
    _, messages = evaluate({"Gradient": quantus.explain}, {}, {"SenC": DataSensitivityConsistency(**GRID, **parameters)})
    assert not messages


@pytest.mark.parametrize(
    ("spoil", "warns"),
    [
        (lambda maps: maps * (1 + 1e-6), False),
        (lambda maps: maps.sum(1), False),
        (lambda maps: maps * np.array([-1, 1, 1, 1])[:, None, None, None], True),
        (lambda maps: maps[:2], True),
        (lambda maps: maps[..., :4], True),
    ],
)
def test_a_batch_is_compared_image_by_image(spoil, warns):
    def uneven(model, inputs, targets):
        maps = gradient(model, torch.as_tensor(inputs), targets)
        maps[-1] *= 1e6
        return torch.where(torch.as_tensor(inputs) == X[1, 0, 0, 0], torch.nan, maps).numpy()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        a_batch = spoil(uneven(image_model(), X, Y))
        metric = DataSensitivityConsistency(**{**GRID, "n_masks": 4}, max_batch_size=4)
        metric(image_model(), X, Y, a_batch=a_batch, explain_func=uneven)
    messages = [str(w.message) for w in caught if "a_batch" in str(w.message) or w.category is RuntimeWarning]
    assert len(messages) == warns


def changed(value):
    value = value.copy()
    value[0] = (value[0] + 1) % 3
    return value


def alter(model, how):
    if how == "retrained":
        with torch.no_grad():
            model[0].weight[0, 0, 0, 0] += 1e-3
    elif how == "rebuilt":
        model[1] = torch.nn.Tanh()
    elif how == "hooked":
        model[1].register_forward_hook(lambda module, args, output: output.square())


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"x_batch": X.copy(), "explain_func_kwargs": {"n": np.ones(2)}},
        {"x_batch": changed(X)},
        {"y_batch": changed(Y)},
        {"explain_func_kwargs": {"n": np.zeros(2)}},
        {"explain_func": gradient},
        {"model": "retrained"},
        {"model": "rebuilt"},
        {"model": "hooked"},
        {"softmax": False},
        {"custom_batch": np.arange(64).reshape(1, 8, 8).repeat(4, 0) // 16},
        {"parameter": 30},
    ],
)
def test_top_k_computes_where_anything_differs(change):
    model, counting = image_model(), Counting()
    senc = DataSensitivityConsistency(**GRID)
    call = {"model": model, "x_batch": X, "y_batch": Y, "explain_func": counting, "explain_func_kwargs": {"n": np.ones(2)}}
    senc(**call)
    assert counting.count == n_explained()
    change = dict(change)
    same = not change or set(change) == {"x_batch", "explain_func_kwargs"}
    alter(model, change.pop("model", ""))
    senc.n_masks = change.pop("parameter", 40)
    agreement = senc.top_k(2)(**{**call, **change})
    counted = counting.count - n_explained()
    again = n_explained(senc.n_masks, 4 if "custom_batch" in change else 9)
    assert counted == (SECOND_LOOK if same else 0 if "explain_func" in change else again)
    fresh = DataSensitivityConsistency(**{**GRID, "n_masks": senc.n_masks})
    fresh(**{**call, **change})
    assert agreement == [record.top_k_agreement(2) for record in fresh.sensitivities]


def test_top_k_of_a_subclass_sees_its_parameters():
    class Short(DataSensitivityConsistency):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    metric, explain_func = Short(**GRID), Counting()
    metric(image_model(), X, Y, explain_func=explain_func)
    metric.n_masks = 30
    metric.top_k(1)(image_model(), X, Y, explain_func=explain_func)
    assert explain_func.count == n_explained() + n_explained(30)


def test_top_k_checks_its_keywords():
    with pytest.raises(ValueError, match="unknown keyword 'batchsize'; did you mean 'batch_size'"):
        DataSensitivityConsistency(**GRID).top_k(1)(image_model(), X, Y, explain_func=gradient, batchsize=3)


def test_top_k_alone_computes():
    agreement = DataSensitivityConsistency(**GRID).top_k(1)(image_model(), X, Y, explain_func=gradient)
    assert set(agreement) <= {0.0, 1.0}


def test_top_k_of_more_features_than_there_are():
    metric = DataSensitivityConsistency(**GRID)
    assert np.isnan(metric.top_k(10)(image_model(), X, Y, explain_func=gradient)).all()
    assert metric.top_k(9)(image_model(), X, Y, explain_func=gradient) == [1.0] * 4
    with pytest.raises(ValueError, match="k=10 is not in 1 … 9"):
        metric.sensitivities[0].top_k_agreement(10)
    with pytest.raises(ValueError, match="k=0 must be an integer from 1"):
        metric.top_k(0)


def test_a_metric_keeps_no_model_alive():
    metric, model = DataSensitivityConsistency(**GRID), image_model()
    metric(model, X, Y, explain_func=explain_random)
    assert metric.top_k(1)(model, X, Y, explain_func=explain_random)
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_register_is_explicit_and_idempotent():
    names = ["Data Sensitivity Consistency", "Parameter Sensitivity Consistency"]
    category = quantus.helpers.constants.AVAILABLE_METRICS["Faithfulness"]
    for name in names:
        category.pop(name, None)
    before = quantus.available_metrics()["Faithfulness"]
    quantus_senc.register()
    quantus_senc.register()
    assert quantus.available_metrics()["Faithfulness"] == [*before, *names]
    assert category[names[0]] is DataSensitivityConsistency


@pytest.mark.parametrize("method", ["Saliency", "IntegratedGradients", "DeepLift", "InputXGradient"])
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_captums_methods_through_quantus(method):
    assert np.isfinite(direct(method)).all()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_captums_lrp_changes_weights_and_puts_them_back():
    model = table_model()
    before = [tensor.clone() for tensor in model.parameters()]
    metric = DataSensitivityConsistency(n_masks=40)
    assert np.isfinite(
        metric(model, inputs(2, 6), classes(2), explain_func=quantus.explain, explain_func_kwargs={"method": "LRP"})
    ).all()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_grad_cam_through_quantus():
    grad_cam = partial(quantus.explain, gc_layer="model[0]", interpolate=(8, 8))
    results, _ = evaluate({"LayerGradCam": grad_cam}, {})
    assert np.isfinite(results["LayerGradCam"]["SenC"]).all()
