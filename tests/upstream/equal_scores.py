"""Whether the contribution scores as the package does, for equal seeds. It runs in a copy of Quantus with the contribution."""

import numpy as np
import pytest
import quantus
import torch
from quantus.metrics import faithfulness
from torch import nn

import quantus_senc

GENERATOR = np.random.default_rng(0)


def image_data():
    x_batch = GENERATOR.random((2, 1, 28, 28)).astype(np.float32)
    x_batch[:, :, :9] = 0  # features that equal the baseline
    return nn.Sequential(nn.Conv2d(1, 5, 5), nn.ReLU(), nn.MaxPool2d(4), nn.Flatten(), nn.Linear(180, 10)), x_batch


def series_data():
    x_batch = GENERATOR.standard_normal((2, 3, 40)).astype(np.float32)
    return nn.Sequential(nn.Conv1d(3, 4, 5), nn.Tanh(), nn.ConvTranspose1d(4, 4, 3), nn.Flatten(), nn.Linear(152, 4)), x_batch


def table_data():
    x_batch = GENERATOR.standard_normal((2, 8)).astype(np.float32)
    return nn.Sequential(nn.Linear(8, 9), nn.ReLU(), nn.Linear(9, 3), nn.Softmax(-1)), x_batch


@pytest.fixture(scope="module", params=[image_data, series_data, table_data])
def data(request):
    torch.manual_seed(0)
    model, x_batch = request.param()
    kwargs = {"explain_func": quantus.explain, "explain_func_kwargs": {"method": "InputXGradient"}}
    return {"model": model.eval(), "x_batch": x_batch, "y_batch": np.array([0, 1]), "channel_first": True, **kwargs}


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("name", ["DataSensitivityConsistency", "ParameterSensitivityConsistency"])
def test_scores_are_equal(data, name, estimator, softmax):
    parameters = {"n_masks": 45, "estimator": estimator, "mask_rate": 0.6, "seed": 7}
    if name == "ParameterSensitivityConsistency":
        parameters["layers"] = {4: ["0"], 3: ["2"], 2: ["0", "2"]}[data["x_batch"].ndim]
    package = getattr(quantus_senc, name)(**parameters)
    expected = package(**data, softmax=softmax)
    assert getattr(faithfulness, name)(**parameters)(**data, softmax=softmax) == pytest.approx(expected, abs=1e-6, nan_ok=True)
    if name == "DataSensitivityConsistency":
        top_k = faithfulness.DataSensitivityConsistency(**parameters, top_k=2)
        assert top_k(**data, softmax=softmax) == package.top_k(2)(**data, softmax=softmax)


@pytest.mark.parametrize("baseline", ["black", "white", "mean"])
def test_baselines_are_equal(data, baseline):
    parameters = {"n_masks": 20, "perturb_baseline": baseline, "abs": True, "normalise": True}
    expected = quantus_senc.DataSensitivityConsistency(**parameters)(**data)
    assert faithfulness.DataSensitivityConsistency(**parameters)(**data) == pytest.approx(expected, abs=1e-6)
