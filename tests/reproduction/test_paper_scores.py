"""Scores of the paper's methods in its setting and in others, and what claims say of them."""

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.reproduction.judging import NO, Claim, Tried, figure_is
from benchmarks.reproduction.paper_scores import Retrial, Study, study_values
from benchmarks.reproduction.parameter_scores import paper_score
from benchmarks.reproduction.setup import Setup
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain

STUDY = Study(
    *("tiny", 14, 10.0),
    data_images=(2, 2, 2),
    data_masks=(100, 100, 100),
    layers={"0": (200, 200, 0), "3": (200, 200, 200)},
    parameter_images=(2, 2, 2),
    leave_out=("VB", "GB", "LRP", "DeepLift", "random"),
    steps=3,
    retrial=Retrial(data=("IG",), parameter=("IG",), grad_cam_layers=("1",)),
)


@pytest.fixture(scope="module")
def network():
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 6, 5, 3), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 4 * 4, 10)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return model.requires_grad_(False), torch.rand(2, 1, 16, 16, generator=generator), torch.tensor([3, 4])


@pytest.fixture(scope="module")
def values(network, tmp_path_factory):
    return study_values(STUDY, Setup(None, tmp_path_factory.mktemp("out"), "smoke"), *network, accuracy=0.5)


def test_layers_of_a_scale(values):
    """At the scale "smoke", the study has no masks for layer 0."""
    assert values["settings"]["masks of each layer, parameter SenC"] == ["3 200"]
    assert "0, paper" not in values["parameter"]
    largest = max(cell["mask_error"] for cell in values["parameter"]["3, regression"].values())
    assert values["settings"]["masks' error of a mean, parameter SenC, regression, at most"] == largest > 0


def test_grad_cam_of_another_layer(values, network):
    model, x, y = network
    metric = DataSensitivityConsistency(100, mask_rate=0.8, segment_func_kwargs={"n_segments": 14, "compactness": 10.0})
    scores = metric(model, x.numpy(), y.numpy(), explain_func=explain, explain_func_kwargs={"method": "GradCAM", "layer": "1"})
    cell = values["other settings"]["data"]["SenC, paper, Grad-CAM of 1"]["Grad-CAM"]
    assert cell["mean"] == pytest.approx(np.mean(scores), abs=1e-4)
    assert cell["mean"] != values["data"]["SenC, paper"]["Grad-CAM"]["mean"]


def call(metric, network):
    model, x, y = network
    keywords = {"method": "IntegratedGradients", "n_steps": 3}
    return metric(model, x.numpy(), y.numpy(), explain_func=explain, explain_func_kwargs=keywords)


@pytest.mark.parametrize(
    ("setting", "keywords"),
    [("0.8 kept", {"mask_rate": 0.2}), ("magnitudes of maps", {"abs": True}), ("a fifth of the masks", {"n_masks": 20})],
)
def test_data_senc_of_other_settings(values, network, setting, keywords):
    segments = {"n_segments": 14, "compactness": 10.0}
    metric = DataSensitivityConsistency(**{"n_masks": 100, "mask_rate": 0.8} | keywords, segment_func_kwargs=segments)
    cell = values["other settings"]["data"][f"SenC, paper, {setting}"]["IG"]
    assert cell["mean"] == pytest.approx(np.mean(call(metric, network)), abs=1e-4)
    assert cell["mean"] != values["data"]["SenC, paper"]["IG"]["mean"]


@pytest.mark.parametrize(
    ("setting", "keywords"), [("0.8 kept", {"mask_rate": 0.2}), ("magnitudes of maps", {"abs": True}), ("", {})]
)
def test_parameter_senc_of_other_settings(values, network, setting, keywords):
    rows = values["other settings"]["parameter"] if setting else values["parameter"]
    for estimator in ("paper", "regression"):
        metric = ParameterSensitivityConsistency(200, **{"mask_rate": 0.8} | keywords, estimator=estimator, layers=["3"])
        cell = rows[", ".join(filter(None, ["all layers", estimator, setting]))]["IG"]
        assert cell["mean"] == pytest.approx(np.mean(call(metric, network)), abs=1e-4)


def test_fewer_masks_are_the_first_of_all(network):
    few = call(ParameterSensitivityConsistency(60, estimator="paper", layers=["3"]), network)
    regression = ParameterSensitivityConsistency(300, estimator="regression", layers=["3"])
    call(regression, network)
    records = regression.sensitivities["3"]
    np.testing.assert_allclose([paper_score(record, 60) for record in records], few)
    assert not np.allclose([paper_score(record) for record in records], few)


def test_other_settings_of_a_claim_that_does_not_hold(values):
    tried = Tried("data", "SenC, paper", ("IG",))
    claim = Claim("tiny", "IG 5", figure_is("data", "SenC, paper", "IG", 5.0), "A reason.", tried)
    judged = claim.judged(values)
    assert (judged.verdict, judged.reason) == (NO, "A reason.")
    figures = {setting: figure for setting, (figure, _) in claim.elsewhere(values).items()}
    others = values["other settings"]["data"]
    for setting in ("0.8 kept", "magnitudes of maps"):
        for estimator in ("paper", "regression"):
            cell = others[f"SenC, {estimator}, {setting}"]["IG"]
            assert figures.pop((setting, estimator)) == f"IG {cell['mean']:.2f} ± {cell['error']:.2f}"
    assert set(figures) == {("a fifth of the masks", "paper"), ("", "regression")}
    holds = Claim("tiny", "IG", figure_is("data", "SenC, paper", "IG", values["data"]["SenC, paper"]["IG"]["mean"]), "", tried)
    assert holds.judged(values).reason == ""
