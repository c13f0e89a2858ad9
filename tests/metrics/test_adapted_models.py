"""Models as they are get the scores of the same models wrapped by hand."""

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, adapt, explain, explain_input
from tests import adapted_models as returned
from tests.adapted_models import Returns, scores_alone
from tests.small_models import classes, image_model, inputs, series_model, table_model

X, Y = inputs(3, 1, 8, 8), classes(3)
CALL = {"explain_func": explain, "explain_func_kwargs": {"method": "LRP"}}


FEATURES = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}


def metrics(**kwargs):
    yield DataSensitivityConsistency(n_masks=30, disable_warnings=True, **FEATURES, **kwargs)
    yield ParameterSensitivityConsistency(n_masks=30, layers="conv", disable_warnings=True, **kwargs)


def image_net(make=scores_alone):
    return Returns(image_model(), make)


class Dense(nn.Module):
    """A segmentation (N, classes, H, W), and by hand its mean over a mask."""

    def __init__(self, by_hand=False):
        super().__init__()
        torch.manual_seed(0)
        self.down, self.up, self.by_hand = nn.Conv2d(1, 4, 2, stride=2), nn.ConvTranspose2d(4, 3, 2, stride=2), by_hand
        self.eval()

    def forward(self, x):
        segmentation = self.up(torch.relu(self.down(x)))
        return mean_in_the_middle(segmentation) if self.by_hand else segmentation


def mean_in_the_middle(segmentation):
    return segmentation[:, :, 2:6, 2:6].mean((2, 3))


class TwoInputs(nn.Module):
    """An image and a table."""

    def __init__(self):
        super().__init__()
        self.image, self.table = image_model(), table_model()
        self.eval()

    def forward(self, pixels, columns):
        return self.image(pixels) * self.table(columns).sigmoid()


def pixels_and_columns(x):
    """A channel for pixels, and one for each column, without gradients."""
    return {"pixels": x[:, :1], "columns": x[:, 1:, 0, 0].detach()}


def black_pixels(x):
    return torch.cat([torch.zeros_like(x[:1]), x[1:]])


CASES = [
    (image_net(returned.as_dict), image_net(), Y, True),
    (image_net(returned.as_logits), image_net(), Y, True),
    (adapt(Dense(), output=mean_in_the_middle), Dense(by_hand=True), Y, True),
    (adapt(image_net(returned.as_flat), activation="binary"), image_net(returned.as_binary), np.ones(3, int), True),
    (adapt(image_net(), activation="sigmoid"), image_net(returned.as_labels), Y, False),
    (adapt(image_net(), activation=None, spread=2), image_net(returned.as_halves), Y, False),
    (adapt(image_net(returned.as_flat), activation=None), image_net(), Y * 0, False),
]


@pytest.mark.parametrize(("model", "by_hand", "y", "softmax"), CASES)
@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_scores_are_those_of_the_model_wrapped_by_hand(model, by_hand, y, softmax, estimator):
    method = "LRP" if by_hand(torch.as_tensor(X)).min() < 0 else "Gradient"  # LRP takes no sigmoid at the end
    call = {"explain_func": explain, "explain_func_kwargs": {"method": method}}
    for metric in metrics(estimator=estimator):
        scores = metric(model, X, y, **call)
        layers = list(getattr(metric, "strategies", {}))
        assert scores == pytest.approx(metric(by_hand, X, y, softmax=softmax, **call), nan_ok=True)
        assert layers == list(getattr(metric, "strategies", {}))
        assert np.isfinite(scores).any()


@pytest.mark.parametrize("method", ["Saliency", "GradCAM"])
def test_another_input_of_each_image_stays_as_channels_that_masks_do_not_change(method):
    columns, call = inputs(3, 6), {"explain_func": explain, "explain_func_kwargs": {"method": method}}
    packed = np.concatenate([X, np.broadcast_to(columns[:, :, None, None], (3, 6, 8, 8))], 1)
    for metric in metrics():
        if isinstance(metric, DataSensitivityConsistency):
            metric.perturb_baseline = black_pixels
        together = metric(adapt(TwoInputs(), perturb=pixels_and_columns), packed, Y, **call)
        alone = []
        for image in range(3):
            row = torch.as_tensor(columns[image : image + 1])
            one = adapt(TwoInputs(), perturb="pixels", forward_kwargs={"columns": row})
            at = slice(image, image + 1)
            alone += metric(one, X[at], Y[at], image_ids=[image], **call)
        assert together == pytest.approx(alone, nan_ok=True)
        assert np.isfinite(together).all()


def test_what_is_recognised_is_said_once_for_a_model(recwarn):
    model, metric = image_net(returned.as_dict), DataSensitivityConsistency(n_masks=30, **FEATURES)
    for _ in range(2):
        metric(model, X, Y, **CALL)
    assert sum("'scores' is taken for the scores of the classes" in str(one.message) for one in recwarn) == 1


def test_derived_metrics_read_the_run_of_a_model_that_is_recognised():
    model, metric = image_net(returned.as_dict), next(metrics())
    metric(model, X, Y, **CALL)
    again = metric.top_k(1)(model, X, Y, **CALL)
    assert again == [record.top_k_agreement(1) for record in metric.sensitivities]


def test_the_softmax_of_one_value_is_refused():
    message = r"softmax of one value is always 1, .*activation='binary'\).*activation=None, spread=…\) if it is a regression"
    for metric in metrics():
        with pytest.raises(ValueError, match=message):
            metric(Returns(image_model(classes=1), scores_alone), X, Y * 0, **CALL)
        assert np.isfinite(metric(Returns(image_model(classes=1), scores_alone), X, Y * 0, softmax=False, **CALL)).any()


def test_a_spread_that_is_too_small_is_said():
    metric = DataSensitivityConsistency(n_masks=30, **FEATURES)
    with pytest.warns(UserWarning, match=r"below 0 for 3 of 3 images.* a larger spread in quantus_senc\.adapt"):
        metric(adapt(image_net(), activation=None, spread=1e-3), X, Y, **CALL)


def test_class_1_of_one_logit_names_the_remedy():
    with pytest.raises(ValueError, match=r"classes from 1 to 1, .* the logit of class 1, pass .*activation='binary'\)"):
        next(metrics())(adapt(image_net(returned.as_flat), activation=None), X, Y * 0 + 1, **CALL)


PROBABILITIES = [
    (image_net(returned.as_probabilities), "they sum to 1", "softmax"),
    (image_net(returned.as_probabilities).bfloat16(), "they sum to 1", "softmax"),
    (image_net(returned.as_labels), "they come from a sigmoid", "softmax"),
    (adapt(image_net(returned.as_labels), activation="sigmoid"), "they come from a sigmoid", "sigmoid"),
    (adapt(Returns(image_model(classes=1), returned.as_labels), activation="binary"), "they come from a sigmoid", "sigmoid"),
]


@pytest.mark.parametrize(("model", "why", "applied"), PROBABILITIES)
def test_outputs_that_are_probabilities_already_are_said(model, why, applied, recwarn):
    x, metric = inputs(8, 1, 8, 8), DataSensitivityConsistency(n_masks=20, **FEATURES)
    metric(model, x, classes(8) * 0, explain_func=explain_input)
    metric(model, x, classes(8) * 0, explain_func=explain_input, softmax=False)
    said = [str(one.message) for one in recwarn if "returns probabilities already" in str(one.message)]
    assert len(said) == 1
    assert f"({why}), and {applied} is applied to them again" in said[0]
    assert "activation=None" in said[0]


@pytest.mark.parametrize(
    "model",
    [
        image_net(),  # which returns values between 0 and 1 for the first image
        adapt(image_net(returned.as_labels), activation=None),
        nn.Sequential(image_model(), nn.Softmax(-1)),  # which is not applied again
    ],
)
def test_other_outputs_are_no_probabilities(model, recwarn):
    DataSensitivityConsistency(n_masks=20, **FEATURES)(model, inputs(8, 1, 8, 8), classes(8), explain_func=explain_input)
    assert not [one for one in recwarn if "probabilities already" in str(one.message)]


def test_channels_that_are_moved_are_said(recwarn):
    x = np.ascontiguousarray(np.moveaxis(inputs(2, 2, 24), 1, -1))
    metric, y = DataSensitivityConsistency(n_masks=20), classes(2)
    expected = metric(series_model(), x, y, channel_first=False, explain_func=explain_input)
    metric(table_model(), inputs(2, 6), y, explain_func=explain_input)
    assert not [one for one in recwarn if "channels last" in str(one.message)]
    with pytest.warns(UserWarning, match=r"\(2, 24, 2\) is taken to have its channels last, .*given \(2, 2, 24\)"):
        assert metric(series_model(), x, y, explain_func=explain_input) == expected
