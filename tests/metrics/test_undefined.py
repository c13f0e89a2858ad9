"""Images without a score: NaN for them, one warning that counts and explains, and the others keep theirs."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency
from tests.small_models import classes, gradient, image_model, inputs

GRID = {"n_masks": 40, "segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}}
X, Y = inputs(5, 1, 8, 8), classes(5)


def run(x=X, explain_func=gradient, model=None, custom_batch=None, **parameters):
    metric = DataSensitivityConsistency(**{**GRID, **parameters})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scores = metric(model or image_model(), x, Y, explain_func=explain_func, custom_batch=custom_batch)
    return metric, scores, [str(w.message) for w in caught]


def first_value_marks(value):
    """An explanation that is `value` throughout for inputs that begin with 99."""

    def explain(model, inputs, targets):
        marked = (inputs[:, :1, :1, :1] == 99).expand_as(inputs)
        return torch.where(marked, value, gradient(model, inputs, targets))

    return explain


def marked_images(*indices):
    x = X.copy()
    x[list(indices), 0, 0, 0] = 99
    return x


def assert_only(scores, undefined, expected):
    assert [np.isnan(score) for score in scores] == [index in undefined for index in range(len(scores))]
    keep = [index for index in range(len(scores)) if index not in undefined]
    np.testing.assert_allclose(np.array(scores)[keep], np.array(expected)[keep])


def test_constant_and_nan_attributions():
    _, expected, _ = run(marked_images(1, 3), perturb_baseline=1.0)
    for value, reason in ((0.0, "a constant attribution"), (torch.nan, "NaN in the attribution")):
        metric, scores, messages = run(marked_images(1, 3), first_value_marks(value), perturb_baseline=1.0)
        assert_only(scores, {1, 3}, expected)
        assert messages == [f"Data Sensitivity Consistency is NaN for 2 of 5 images: 2 with {reason}."]
        assert metric.sensitivities[3].undefined == reason
        assert np.isnan(metric.sensitivities[3].top_k_agreement(1))
        assert np.isfinite(metric.sensitivities[2].top_k_agreement(1))


@pytest.mark.parametrize("bad", [np.inf, np.nan])
def test_normalisation_keeps_a_bad_image_from_the_others(bad):
    """Quantus's default divides by the largest value of all maps that it is given."""
    metric, scores, messages = run(marked_images(1), first_value_marks(bad), normalise=True, perturb_baseline=1.0)
    _, expected, _ = run(marked_images(1), normalise=True, perturb_baseline=1.0)
    reason = "NaN in the attribution"
    assert_only(scores, {1}, expected)
    assert [record.undefined for record in metric.sensitivities] == ["", reason, "", "", ""]
    assert messages == [f"Data Sensitivity Consistency is NaN for 1 of 5 images: 1 with {reason}."]


def test_a_single_feature():
    labels = np.arange(64).reshape(1, 8, 8).repeat(5, 0) // 16
    _, expected, _ = run(custom_batch=labels)
    labels[2] = 7
    metric, scores, messages = run(custom_batch=labels)
    assert_only(scores, {2}, expected)
    assert messages == ["Data Sensitivity Consistency is NaN for 1 of 5 images: 1 with a single feature."]
    assert len(metric.sensitivities[2].prediction) == 1


@pytest.mark.parametrize("max_batch_size", [3, 100, "auto"])
def test_nan_predictions_do_not_leak(max_batch_size):
    class Broken(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = image_model()

        def forward(self, x):
            return self.inner(x) + torch.where((x[:, 0, 0, 0] == 99)[:, None], torch.nan, 0.0)

    _, expected, _ = run(marked_images(0, 4), lambda model, **kwargs: gradient(image_model(), **kwargs))
    metric, scores, messages = run(
        marked_images(0, 4), lambda model, **kwargs: gradient(image_model(), **kwargs), Broken(), max_batch_size=max_batch_size
    )
    assert_only(scores, {0, 4}, expected)
    assert messages == ["Data Sensitivity Consistency is NaN for 2 of 5 images: 2 with NaN in the prediction."]
    assert metric.sensitivities[1].undefined == ""


def test_not_finite_inputs():
    x = X.copy()
    x[2, 0, 4, 4] = np.nan
    _, expected, _ = run()
    assert_only(run(x)[1], {2}, expected)


def test_equal_sensitivities():
    """Two masks that keep the same features distinguish none of them."""
    _, scores, messages = run(n_masks=2, mask_rate=1e-9)
    assert np.isnan(scores).all()
    assert messages == ["Data Sensitivity Consistency is NaN for 5 of 5 images: 5 with equal sensitivities of all features."]


def test_reasons_are_counted():
    labels = np.arange(64).reshape(1, 8, 8).repeat(5, 0) // 16
    labels[0] = 1
    _, _, messages = run(marked_images(1, 3), first_value_marks(torch.nan), custom_batch=labels, perturb_baseline=1.0)
    assert messages == [
        "Data Sensitivity Consistency is NaN for 3 of 5 images: 2 with NaN in the attribution; 1 with a single feature."
    ]


def constant_when_masked(model, inputs, targets):
    """No attribution at all for an input most of which is zero."""
    masked = (inputs == 0).double().mean((1, 2, 3), keepdim=True) > 0.7
    return gradient(model, inputs, targets) * ~masked


def test_constant_attributions_of_masked_copies_count_as_similarity_0():
    metric, scores, messages = run(explain_func=constant_when_masked)
    record = metric.sensitivities[0]
    assert np.isfinite(scores).all()
    assert 20 < record.n_constant < record.n_masks == 40
    assert len(messages) == 1
    assert messages[0].startswith("For 5 of 5 images, more than half of the masks made the attribution constant")


def test_few_constant_attributions_are_only_recorded():
    metric, _, messages = run(explain_func=constant_when_masked, mask_rate=0.5)
    assert 0 < metric.sensitivities[0].n_constant < 20
    assert not messages


def test_attributions_that_are_constant_under_every_mask():
    def explain(model, inputs, targets):
        original = (inputs == torch.tensor(X)[:1]).all() if len(inputs) == 1 else inputs.ne(0).all((1, 2, 3), keepdim=True)
        return gradient(model, inputs, targets) * original

    _, scores, messages = run(explain_func=explain)
    assert np.isnan(scores).all()
    assert messages == [
        "Data Sensitivity Consistency is NaN for 5 of 5 images: 5 with an attribution that is constant under every mask."
    ]


def test_every_call_warns():
    _, _, first = run(marked_images(1), first_value_marks(0.0), perturb_baseline=1.0)
    metric = DataSensitivityConsistency(**GRID, perturb_baseline=1.0)
    for _ in range(2):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("default")
            metric(image_model(), marked_images(1), Y, explain_func=first_value_marks(0.0))
        assert [str(w.message) for w in caught] == first


def test_warnings_can_be_disabled():
    _, scores, messages = run(marked_images(1), first_value_marks(0.0), disable_warnings=True)
    assert np.isnan(scores[1])
    assert not messages


@pytest.mark.parametrize(("estimator", "softmax", "warns"), [("paper", False, 1), ("paper", True, 0), ("regression", False, 0)])
def test_sums_whose_shared_noise_anticorrelates_are_warned_of(estimator, softmax, warns):
    model = image_model()
    model[-1].weight.data *= 60  # logits change by far more than 1
    metric = DataSensitivityConsistency(**GRID | {"n_masks": 60}, estimator=estimator)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        metric(model, X, Y, explain_func=gradient, softmax=softmax)
    messages = [str(w.message) for w in caught if "below 0 for" in str(w.message)]
    assert len(messages) == warns
    assert all("estimator='regression'" in message for message in messages)
