import hashlib
from importlib import util

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

import quantus
from quantus.functions.explanation_func import explain
from quantus.helpers import sensitivity_utils
from quantus.metrics.faithfulness import (
    DataSensitivityConsistency,
    ParameterSensitivityConsistency,
)

METRICS = [DataSensitivityConsistency, ParameterSensitivityConsistency]


def saliency(model, inputs, targets, **kwargs):
    """Absolute gradients of the explained class."""
    inputs = torch.tensor(np.array(inputs, dtype=np.float32), requires_grad=True)
    picked = model(inputs)[torch.arange(len(inputs)), torch.as_tensor(targets)]
    return torch.autograd.grad(picked.sum(), inputs)[0].abs().numpy()


def constant(model, inputs, targets, **kwargs):
    """The same value everywhere."""
    return np.ones_like(inputs)


def not_finite(model, inputs, targets, **kwargs):
    """NaN everywhere."""
    return np.full_like(inputs, np.nan)


def blind(model, inputs, targets, **kwargs):
    """The same map whatever the model and the input."""
    one = np.arange(inputs[0].size, dtype=np.float32).reshape(inputs[0].shape)
    return np.broadcast_to(one, inputs.shape)


@pytest.fixture
def table():
    torch.manual_seed(0)
    layers = torch.nn.Linear(6, 7), torch.nn.Tanh(), torch.nn.Linear(7, 3)
    layers[0].weight.data.mul_(4)
    x_batch = np.random.default_rng(0).standard_normal((4, 6)).astype(np.float32)
    return {
        "model": torch.nn.Sequential(*layers).eval(),
        "x_batch": x_batch,
        "y_batch": np.array([0, 1, 2, 0]),
        "explain_func": saliency,
    }


@pytest.fixture
def images(load_mnist_model, load_mnist_images):
    return {
        "model": load_mnist_model.eval(),
        "x_batch": load_mnist_images["x_batch"][:2].astype(np.float32),
        "y_batch": load_mnist_images["y_batch"][:2],
        "explain_func": explain,
        "explain_func_kwargs": {"method": "Saliency"},
    }


def look(data):
    """Predictions and explanations of some data by the model as it is now."""
    inputs, targets = data["x_batch"], data["y_batch"]
    with torch.no_grad():
        probabilities = data["model"](torch.tensor(inputs)).softmax(-1).numpy()
    rows = np.arange(len(inputs))
    return probabilities[rows, targets], saliency(data["model"], inputs, targets)


def weights(before, after):
    """1 - confidence change and explanation similarity of each input, of shape (n, 2)."""
    similarities = [
        spearmanr(*pair)[0] if np.ptp(pair[1]) else 0.0
        for pair in zip(before[1], after[1])
    ]
    return np.stack([1 - np.abs(before[0] - after[0]), similarities], axis=1)


def layer_stream(name):
    """What the masks of a layer are drawn for."""
    digest = hashlib.blake2b(name.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little")


@pytest.mark.faithfulness
def test_random_words_are_philox():
    words = sensitivity_utils.random_words(seed=0, stream=0, n_rows=2, n_words=5)
    assert [hex(word) for word in words[0, :2]] == ["0x6627e8d5", "0xe169c58d"]
    assert [hex(word) for word in words[0, 2:4]] == ["0xbc57ac4c", "0x9b00dbd8"]
    shorter = sensitivity_utils.random_words(seed=0, stream=0, n_rows=1, n_words=3)
    assert (shorter == words[:1, :3]).all()


@pytest.mark.faithfulness
def test_data_metric_is_algorithm_1(table):
    metric = DataSensitivityConsistency(n_masks=30, mask_rate=0.5)
    scores = metric(**table)
    before = look(table)
    for number, x in enumerate(table["x_batch"]):
        masks, _ = metric.draw_masks(np.ones(6, dtype=bool), number)
        rows = []
        for keep in masks:
            masked = table["x_batch"].copy()
            masked[number] = np.where(keep, x, 0)
            rows.append(weights(before, look({**table, "x_batch": masked}))[number])
        prediction, explanation = np.transpose(rows) @ masks
        expected = spearmanr(prediction, explanation)[0]
        assert scores[number] == pytest.approx(expected, abs=1e-9)


@pytest.mark.faithfulness
def test_parameter_metric_is_algorithm_2(table):
    metric = ParameterSensitivityConsistency(40, mask_rate=0.5, layers=["2"])
    scores = metric(**table)
    layer, before, rows = table["model"][2], look(table), []
    original = layer.weight.detach().clone()
    masks, _ = metric.draw_masks(np.ones(7, dtype=bool), layer_stream("2"))
    for keep in masks:
        layer.weight.data[:, torch.from_numpy(~keep)] = 0
        rows.append(weights(before, look(table)))
        layer.weight.data.copy_(original)
    for number, of_input in enumerate(np.stack(rows, axis=1)):
        prediction, explanation = of_input.T @ masks
        expected = spearmanr(prediction, explanation)[0]
        assert scores[number] == pytest.approx(expected, abs=1e-9)


@pytest.mark.faithfulness
def test_units_of_convolutions_are_output_channels():
    kinds = {torch.nn.Conv2d: 4, torch.nn.ConvTranspose2d: 2}
    for kind, side in kinds.items():
        module, seen = kind(4, 6, 3, groups=2, bias=False), []
        head = torch.nn.Flatten(), torch.nn.Linear(6 * (6 - side) ** 2, 2)
        model = torch.nn.Sequential(module, *head).eval()

        def note(model, inputs, targets, **kwargs):
            outputs = model[0](torch.tensor(inputs))
            seen.append((outputs != 0).flatten(2).any(-1)[0].tolist())
            return inputs

        x_batch = np.ones((1, 4, side, side), dtype=np.float32)
        metric = ParameterSensitivityConsistency(n_masks=20, layers=["0"])
        call = {"explain_func": note, "channel_first": True}
        metric(model, x_batch, np.array([0]), **call)
        masks, _ = metric.draw_masks(np.ones(6, dtype=bool), layer_stream("0"))
        assert seen[1:] == masks.tolist()


@pytest.mark.faithfulness
@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize(
    "metric_class,params",
    [
        (DataSensitivityConsistency, {}),
        (DataSensitivityConsistency, {"perturb_baseline": "mean", "abs": True}),
        (ParameterSensitivityConsistency, {"layers": ["conv_1"]}),
    ],
)
def test_scores_of_images(metric_class, params, estimator, images):
    before = {k: v.clone() for k, v in images["model"].state_dict().items()}
    metric = metric_class(50, estimator=estimator, normalise=True, **params)
    scores = metric(**images)
    assert len(scores) == 2 and all(-1 <= score <= 1 for score in scores)
    assert metric(**images, batch_size=1) == pytest.approx(scores)
    for key, value in images["model"].state_dict().items():
        assert torch.equal(value, before[key])


@pytest.mark.faithfulness
@pytest.mark.parametrize("estimator,n_masks", [("regression", 16), ("paper", 300)])
def test_regression_sees_effects_of_features_beside_products(estimator, n_masks):
    # With four features, the regression takes all 16 masks; the paper's sums draw them.
    metric = DataSensitivityConsistency(300, mask_rate=0.3, estimator=estimator)
    masks, probabilities = metric.draw_masks(np.ones(4, dtype=bool), stream=3)
    effects = np.array([[0.1, 0.4, -0.2, 0.3], [0.5, 0.0, 0.2, -0.1]])
    product = (masks[:, 0] - 0.7) * (masks[:, 2] - 0.7)
    rows = 0.2 + masks @ effects.T + product[:, None]
    coefficients = sensitivity_utils.regress(masks, rows, probabilities, mask_rate=0.3)
    assert len(masks) == n_masks
    assert coefficients == pytest.approx(effects, abs=1e-9)


@pytest.mark.faithfulness
@pytest.mark.parametrize("metric_class", METRICS)
def test_an_explanation_without_ranks_has_no_score(metric_class, table):
    for change in {"explain_func": constant}, {"explain_func": not_finite}:
        with pytest.warns(UserWarning, match="NaN for 4 of 4 inputs"):
            assert np.isnan(metric_class(20)(**{**table, **change})).all()
    with pytest.warns(UserWarning, match="too few features"):
        assert np.isnan(metric_class(20, top_k=8)(**table)).all()


@pytest.mark.faithfulness
@pytest.mark.parametrize("metric_class", METRICS)
def test_the_regression_is_not_fooled_by_an_explanation_that_never_changes(
    metric_class, table
):
    data = {**table, "explain_func": blind}
    assert np.mean(metric_class(50, mask_rate=0.2)(**data)) > 0.2
    with pytest.warns(UserWarning, match="no mask changes"):
        assert np.isnan(metric_class(500, estimator="regression")(**data)).all()


@pytest.mark.faithfulness
def test_changes_by_rounding_are_no_changes():
    metric = DataSensitivityConsistency(300, mask_rate=0.5, estimator="regression")
    free = np.ones(9, dtype=bool)
    masks, probabilities = metric.draw_masks(free, stream=0)
    rounding = 2.0**-23 * np.array([16, 160])
    rows = 1 - masks[:, :1] * rounding
    assert np.isnan(metric.score(masks, probabilities, free, rows, prediction=1.0))
    rows = 1 - masks[:, :1] * 100 * rounding
    assert metric.score(masks, probabilities, free, rows, prediction=1.0) == 1


@pytest.mark.faithfulness
def test_masks_that_do_not_tell_features_apart_give_nan():
    masks, free = np.ones((100, 3), dtype=bool), np.ones(3, dtype=bool)
    rows = np.linspace(0, 1, 200).reshape(100, 2)
    metric = DataSensitivityConsistency(estimator="regression")
    assert np.isnan(metric.score(masks, np.full(100, 0.01), free, rows, 0.5))


@pytest.mark.faithfulness
def test_the_regression_knows_features_that_equal_the_baseline(table):
    table["x_batch"][:, 3:] = 0
    # With three features that differ, eight masks are all there are.
    metric = DataSensitivityConsistency(n_masks=8, estimator="regression")
    assert np.isfinite(metric(**table)).all()


@pytest.mark.faithfulness
@pytest.mark.parametrize("top_k,expected", [(None, -0.5), (1, 0.0), (2, 0.5), (3, 1.0)])
def test_score_of_known_sensitivities(top_k, expected):
    masks, free = np.eye(3, dtype=bool), np.ones(3, dtype=bool)
    rows = np.array([[0.9, 0.1], [0.5, 0.3], [0.1, 0.2]])
    metric = DataSensitivityConsistency(top_k=top_k)
    score = metric.score(masks, np.full(3, 1 / 3), free, rows, prediction=0.9)
    assert score == pytest.approx(expected)


@pytest.mark.faithfulness
def test_rounding_makes_ties():
    values = np.array([0.3, 0.1, 0.1 + 1e-9, 0.2])
    merged = sensitivity_utils.merge_ties(values, 1e-6)
    assert merged.tolist() == [0.3, 0.1, 0.1, 0.2]


@pytest.mark.faithfulness
def test_features_of_inputs():
    blocks = np.random.default_rng(0).integers(0, 16, (3, 4, 4)) / 16
    image = np.kron(blocks, np.ones((1, 5, 5)))
    labels = sensitivity_utils.label_features(image)
    assert labels.shape == (20, 20) and 3 < labels.max() < 16
    rescaled = sensitivity_utils.label_features(image * 4 - 2)
    assert (rescaled == labels).all()
    windows = sensitivity_utils.label_features(np.zeros((2, 50)))
    assert windows.tolist() == (np.arange(50) // 3).tolist()
    assert sensitivity_utils.label_features(np.zeros(3)).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"shape \(3,\), but must have shape \(2, 2\)"):
        sensitivity_utils.label_features(np.zeros((1, 2, 2)), lambda x: np.arange(3))


@pytest.mark.faithfulness
def test_labels_of_the_caller_are_the_features(table):
    labels = np.tile([5, 5, 7, 7, 9, 9], (4, 1))
    by_argument = DataSensitivityConsistency(30)(**table, custom_batch=labels)
    by_function = DataSensitivityConsistency(30, segment_func=lambda x: labels[0])
    assert by_function(**table) == by_argument
    assert by_argument != DataSensitivityConsistency(30)(**table)


@pytest.mark.faithfulness
def test_layers_without_an_effect_are_left_out(table):
    table["model"].add_module("unused", torch.nn.Linear(3, 3))
    table["model"].unused.forward = lambda values: values
    metric = ParameterSensitivityConsistency(50, return_layer_scores=True)
    assert [list(scores) for scores in metric(**table)] == [["0", "2"]] * 4
    mean = ParameterSensitivityConsistency(50)(**table)
    assert mean == [np.mean(list(scores.values())) for scores in metric(**table)]


@pytest.mark.faithfulness
def test_weights_are_zeroed_where_quantus_predicts_by_a_copy(table):
    model = torch.nn.Sequential(*table["model"], torch.nn.Softmax(-1)).eval()
    metric = ParameterSensitivityConsistency(50)
    expected = metric(**table, softmax=False)
    # A model that ends in a softmax is explained without it, as it is predicted.
    logits = {**table, "explain_func": lambda model, **kw: saliency(model[:-1], **kw)}
    assert metric(**{**logits, "model": model}, softmax=False) == expected


@pytest.mark.faithfulness
def test_weights_are_restored_after_an_error(table):
    original = table["model"][0].weight.detach().clone()

    def fails(model, inputs, targets, **kwargs):
        if not torch.equal(model[0].weight, original):
            raise RuntimeError("masked")
        return saliency(model, inputs, targets)

    with pytest.raises(RuntimeError, match="masked"):
        ParameterSensitivityConsistency(20)(**{**table, "explain_func": fails})
    assert torch.equal(table["model"][0].weight, original)


@pytest.mark.faithfulness
@pytest.mark.parametrize("metric_class", METRICS)
@pytest.mark.parametrize(
    "params,message",
    [
        ({"n_masks": 1}, "n_masks=1"),
        ({"mask_rate": 1.0}, "mask_rate=1.0"),
        ({"estimator": "mean"}, "estimator='mean'"),
        ({"top_k": 0}, "top_k=0"),
    ],
)
def test_wrong_parameters_are_named(metric_class, params, message):
    with pytest.raises(ValueError, match=message):
        metric_class(**params)


@pytest.mark.faithfulness
def test_wrong_layers_and_too_few_masks_are_named(table):
    with pytest.raises(ValueError, match="return_aggregate=True cannot"):
        ParameterSensitivityConsistency(return_layer_scores=True, return_aggregate=True)
    with pytest.raises(ValueError, match="'9'.*'0', '2'"):
        ParameterSensitivityConsistency(20, layers=["9"])(**table)
    with pytest.raises(ValueError, match="no layer"):
        ParameterSensitivityConsistency(20)(**{**table, "model": table["model"][1:2]})
    with pytest.raises(ValueError, match="it takes at least 50"):
        DataSensitivityConsistency(20, estimator="regression")(**table)


@pytest.mark.faithfulness
def test_metrics_warn_of_their_parameters(monkeypatch, capsys):
    monkeypatch.setattr(DataSensitivityConsistency, "disable_warnings", False)
    monkeypatch.setattr("quantus.helpers.warn.time.sleep", lambda seconds: None)
    DataSensitivityConsistency()
    assert "mask_rate" in capsys.readouterr().out


@pytest.mark.evaluate_func
def test_evaluate_and_available_metrics(table):
    names = quantus.available_metrics()["Faithfulness"]
    assert [name for name in names if "Consistency" in name] == [
        "Data Sensitivity Consistency",
        "Parameter Sensitivity Consistency",
    ]
    metrics = {name: kind(n_masks=20) for name, kind in zip(names[-2:], METRICS)}
    table.pop("explain_func")
    methods = {"Saliency": saliency}
    results = quantus.evaluate(metrics, methods, **table, explain_func_kwargs={})
    assert {name: len(scores) for name, scores in results["Saliency"].items()} == {
        name: 4 for name in metrics
    }


@pytest.mark.faithfulness
@pytest.mark.tf_model
@pytest.mark.skipif(not util.find_spec("tensorflow"), reason="needs TensorFlow")
@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_tensorflow_gives_the_scores_of_torch(estimator, table):
    import tensorflow as tf

    layers = [
        tf.keras.layers.Conv2D(4, 3, activation="tanh", input_shape=(8, 8, 2)),
        tf.keras.layers.Flatten(),
        tf.keras.layers.Dense(3),
    ]
    keras_model = tf.keras.Sequential(layers)
    conv, dense = torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(144, 3)
    model = torch.nn.Sequential(conv, torch.nn.Tanh(), torch.nn.Flatten(), dense)
    kernel, bias, matrix, offset = (p.detach().numpy() for p in model.parameters())
    layers[0].set_weights([kernel.transpose(2, 3, 1, 0), bias])
    channels_last = matrix.reshape(3, 4, 6, 6).transpose(2, 3, 1, 0).reshape(144, 3)
    layers[2].set_weights([channels_last, offset])

    def gradients(model, inputs, targets, **kwargs):
        inputs = tf.convert_to_tensor(inputs)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            picked = tf.gather(model(inputs), targets, axis=1, batch_dims=1)
        return np.abs(tape.gradient(picked, inputs).numpy()).sum(-1)

    x_batch = np.random.default_rng(1).random((2, 2, 8, 8)).astype(np.float32)
    labels = np.arange(64).reshape(1, 8, 8) // 8 * np.ones((2, 1, 1), dtype=int)
    call = {"y_batch": np.array([0, 2]), "custom_batch": labels}
    metric = DataSensitivityConsistency(200, estimator=estimator, mask_rate=0.5)
    expected = metric(
        model.eval(),
        x_batch,
        explain_func=lambda **kwargs: saliency(**kwargs).sum(1),
        **call,
    )
    scores = metric(
        keras_model, x_batch.transpose(0, 2, 3, 1), explain_func=gradients, **call
    )
    assert scores == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="needs a torch model"):
        ParameterSensitivityConsistency(20)(
            keras_model, x_batch, explain_func=blind, **call
        )
