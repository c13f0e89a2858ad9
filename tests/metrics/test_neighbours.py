"""Methods and models that look at the rest of the batch: every sample gets a pass of its own, and that is said once."""

import warnings

import numpy as np
import pytest
import torch
from captum.attr import DeepLift
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from tests import philox, reference
from tests.small_models import classes, gradient, inputs

N_MASKS = 24
LABELS = np.arange(16).reshape(4, 4) // 4


class SoftmaxAtTheEnd(nn.Sequential):
    """Captum's DeepLift rule for a softmax subtracts a mean over the whole batch."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.Softmax(1))


class BatchStatistics(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        norm = nn.BatchNorm2d(4, track_running_stats=False)
        super().__init__(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(16, 3), nn.Softmax(1))


def deep_lift(model, inputs, targets, **kwargs):
    return DeepLift(model).attribute(inputs, torch.zeros_like(inputs), targets).detach()


def distance_from_the_mean(model, inputs, targets, **kwargs):
    maps = gradient(model, inputs, targets)
    return (maps - maps.mean()).abs()


def clipped(model, inputs, targets, **kwargs):
    maps = gradient(model, inputs, targets).abs()
    return maps.clamp(max=maps.quantile(0.5))


class Scaled(SoftmaxAtTheEnd):
    """Scales its inputs if one of them is large, as if they were bytes."""

    def forward(self, x):
        return super().forward(x / 4 if x.max() > 3.5 else x)


def first_class_for_all(model, inputs, targets, **kwargs):
    return gradient(model, inputs, targets[:1].expand(len(targets)))


def beside_others(model, inputs, targets, **kwargs):
    maps = gradient(model, inputs, targets)
    return maps + 0.1 * maps.mean(0, keepdim=True)


def other_in_large_passes(model, inputs, targets, **kwargs):
    maps = gradient(model, inputs, targets)
    return maps.flip(-1) if len(inputs) > 8 else maps


def rounded_in_large_passes(model, inputs, targets, **kwargs):
    """Steep, so that the last digit of an input decides: some are rounded up in large passes."""
    return torch.sin(1e6 * inputs * (1 + 1e-7 * (len(inputs) > 8)))


CASES = [
    (Scaled, gradient),
    (SoftmaxAtTheEnd, first_class_for_all),
    (SoftmaxAtTheEnd, beside_others),
    (SoftmaxAtTheEnd, deep_lift),
    (SoftmaxAtTheEnd, distance_from_the_mean),
    (SoftmaxAtTheEnd, clipped),
    (BatchStatistics, gradient),
]


def probability(model, x, y):
    with torch.no_grad():
        return model(torch.tensor(x)[None])[0, y].item()


@pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks", "ignore:Input Tensor 0 did not")
@pytest.mark.parametrize("n_images", [1, 2])
@pytest.mark.parametrize("max_batch_size", [1, 4, 64])
@pytest.mark.parametrize(("model", "method"), CASES)
def test_weights_are_those_of_passes_of_one(monkeypatch, model, method, max_batch_size, n_images):
    monkeypatch.setattr(reference, "probability", probability)  # the models return probabilities
    model, x, y = model().eval(), inputs(n_images, 1, 4, 4), np.array([0, 2])[:n_images]
    x[-1, 0, 3, 3] = 4 if n_images > 1 else 1
    if n_images == 1 and (method is first_class_for_all or isinstance(model, Scaled)):
        return  # one image has no other beside it that changes it
    metric = DataSensitivityConsistency(N_MASKS, mask_rate=0.5, max_batch_size=max_batch_size)
    labels = LABELS[None].repeat(n_images, 0)
    with warnings.catch_warnings(record=True) as caught:
        metric(model, x, y, explain_func=method, custom_batch=labels)
    told = [str(one.message) for one in caught if "pass of its own" in str(one.message)]
    passes = -(-N_MASKS * n_images // max_batch_size)
    expected = f"takes up to {N_MASKS * n_images} passes instead of {passes}"
    assert max_batch_size == 1 or ([expected in one for one in told] == [True])

    def explain(x, y):
        return method(model, torch.tensor(x)[None], torch.tensor([y]))[0].numpy()

    for image, record in enumerate(metric.sensitivities):
        masks = philox.keep_masks(42, image, N_MASKS, 4, 0.5)
        weights = reference.data_weights(model, x[image], y[image], LABELS, explain, masks)
        np.testing.assert_allclose(record.weights, weights.T, atol=1e-4)


@pytest.mark.parametrize("method", [gradient, rounded_in_large_passes])
def test_methods_that_treat_each_image_by_itself_share_passes(method):
    sizes = []

    def explain(model, inputs, targets):
        sizes.append(len(inputs))
        return method(model, inputs, targets)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        DataSensitivityConsistency(N_MASKS, mask_rate=0.5, max_batch_size=64)(
            SoftmaxAtTheEnd().eval(),
            inputs(2, 1, 4, 4),
            classes(2),
            explain_func=explain,
            custom_batch=LABELS[None].repeat(2, 0),
        )
    assert sizes[-1] > 8


def test_a_method_that_does_something_else_in_large_passes():
    metric = DataSensitivityConsistency(N_MASKS, mask_rate=0.5, max_batch_size=64)
    with pytest.warns(UserWarning, match=f"up to {N_MASKS} passes instead of 1"):
        metric(
            SoftmaxAtTheEnd().eval(),
            inputs(1, 1, 4, 4),
            classes(1),
            explain_func=other_in_large_passes,
            custom_batch=LABELS[None],
        )


def test_parameter_senc_says_it_too():
    metric = ParameterSensitivityConsistency(N_MASKS, layers="first_conv")
    with pytest.warns(UserWarning, match="Parameter Sensitivity Consistency: .* up to 48 passes instead of 1"):
        metric(BatchStatistics().eval(), inputs(2, 1, 4, 4), classes(2), explain_func=gradient)
