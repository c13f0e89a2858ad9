"""Masks that give the same are weighed once, and nothing else is."""

import numpy as np
import pytest
import torch

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from quantus_senc.core.distinct_masks import first_occurrences, mask_keys
from tests import philox, reference
from tests.small_models import classes, gradient, image_model, inputs, table_model


def test_keys_are_equal_for_equal_masks_alone():
    masks = torch.rand(1200, 9, generator=torch.Generator().manual_seed(0)) > 0.5
    keys, rows = mask_keys(masks).tolist(), [tuple(mask) for mask in masks.tolist()]
    assert len(set(keys)) == len(set(rows))
    key_of = dict(zip(rows, keys, strict=True))
    assert [key_of[row] for row in rows] == keys


def test_masks_of_more_features_have_the_same_keys():
    masks = torch.rand(50, 9, generator=torch.Generator().manual_seed(0)) > 0.5
    assert torch.equal(mask_keys(masks), mask_keys(torch.cat([masks, torch.zeros(50, 4, dtype=torch.bool)], 1)))


def test_first_occurrences_equal_a_loop():
    keys = torch.randint(20, (300,), generator=torch.Generator().manual_seed(0))
    assert first_occurrences(keys).tolist() == [keys.tolist().index(key) for key in keys.tolist()]


class Explained:
    """An explanation method that keeps what it is given."""

    def __init__(self):
        self.inputs = []

    def __call__(self, model, inputs, targets, **kwargs):
        self.inputs.append(inputs.detach().clone())
        return gradient(model, inputs, targets)

    def rows(self):
        return [row.numpy().tobytes() for batch in self.inputs for row in batch]


@pytest.mark.parametrize("estimator", ["paper", "regression"])
@pytest.mark.parametrize("tolerance", [None, 0.01])
def test_features_at_the_baseline_make_no_masked_images(estimator, tolerance):
    x = inputs(1, 8)
    x[0, 3:] = 0.0
    method = Explained()
    metric = DataSensitivityConsistency(600, 0.5, estimator, tolerance, disable_warnings=True)
    metric(table_model(8), x, classes(1), explain_func=method)
    method_check = 2 * 5 + 5 * 5 + 5 + (1 + 16)  # one image and four masked ones; see test_evaluate
    rows = method.rows()[1 + 1 + method_check :]
    assert len(rows) == len(set(rows)) == 2**3


def test_scores_of_masks_that_repeat_are_those_of_a_loop():
    model, x, y = table_model(), inputs(2, 6), classes(2)
    x[1, :4] = 0.0
    metric = DataSensitivityConsistency(150, 0.8, disable_warnings=True)
    scores = metric(model, x, y, explain_func=gradient)

    def explain(x, y):
        return gradient(model, x[None], np.array([y]))[0].numpy()

    for image, record in enumerate(metric.sensitivities):
        masks = philox.keep_masks(42, image, 150, 6)
        prediction, explanation, score = reference.data_senc(
            model, x[image], y[image], np.arange(6), explain, masks, tie_tolerance=reference.rounding(150, 0.8, 6)
        )
        np.testing.assert_allclose(record.prediction, prediction, rtol=1e-5)
        np.testing.assert_allclose(record.explanation, explanation, rtol=1e-5)
        np.testing.assert_allclose(scores[image], score, atol=1e-5)


@pytest.mark.parametrize("strategy", ["hooks", "weights"])
@pytest.mark.parametrize("tolerance", [None, 1e-6])
def test_equal_models_are_explained_once(strategy, tolerance):
    method = Explained()
    metric = ParameterSensitivityConsistency(
        2000, 0.5, "paper", tolerance, layers="first_conv", strategy=strategy, disable_warnings=True
    )
    metric(image_model(), inputs(3, 1, 8, 8), classes(3), explain_func=method)
    assert metric.strategies["0"].name == strategy
    assert 3 * 16 <= len(method.rows()) < 3 * 16 + 120  # and in comparisons


def noisy(generator):
    return lambda model, inputs, targets, **kwargs: (
        gradient(model, inputs, targets) + torch.rand(inputs.shape, generator=generator)
    )


def noisy_where_masked(generator):
    """Stable on the original, as what samples the neighbourhood is, and random for what is masked there."""
    return lambda model, inputs, targets, **kwargs: torch.where(
        inputs == 0, torch.rand(inputs.shape, generator=generator), torch.arange(6.0)
    )


def noisy_beside_a_large_value(generator):
    scale = torch.tensor([1e7, *[1.0] * 5])
    return lambda model, inputs, targets, **kwargs: scale * (1 + 0.1 * torch.rand(inputs.shape, generator=generator))


@pytest.mark.parametrize("n_images", [1, 2])
@pytest.mark.parametrize("make", [noisy, noisy_where_masked, noisy_beside_a_large_value])
def test_random_methods_draw_anew_for_every_mask(n_images, make):
    seen, method = [0], make(torch.Generator().manual_seed(0))

    def counted(model, inputs, targets, **kwargs):
        seen[0] += len(inputs)
        return method(model, inputs, targets, **kwargs)

    metric = DataSensitivityConsistency(300, disable_warnings=True)
    metric(table_model(), inputs(n_images, 6), classes(n_images), explain_func=counted)
    assert seen[0] >= 300 * n_images


def test_random_methods_draw_anew_for_every_masked_model():
    generator, seen = torch.Generator().manual_seed(0), [0]

    def draw(model, inputs, targets, **kwargs):
        seen[0] += len(inputs)
        return torch.rand(inputs.shape, generator=generator)

    metric = ParameterSensitivityConsistency(150, layers="first_conv", disable_warnings=True)
    metric(image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=draw)  # four units: 16 masks
    assert seen[0] >= 150 * 2


@pytest.mark.parametrize("seed", range(8))
def test_random_maps_of_two_features_are_not_taken_for_the_same(seed):
    generator, seen = torch.Generator().manual_seed(seed), [0]

    def draw(model, inputs, targets, **kwargs):
        seen[0] += len(inputs)
        return torch.rand(inputs.shape, generator=generator)

    DataSensitivityConsistency(200, disable_warnings=True)(table_model(2), inputs(1, 2), classes(1), explain_func=draw)
    assert seen[0] >= 200


@pytest.mark.unwatched("generators")
def test_predictions_of_drawn_masks_are_not_those_of_listed_ones():
    def draw(model, inputs, targets, **kwargs):
        return torch.rand(inputs.shape)

    call = {"model": table_model(), "x_batch": inputs(1, 6), "y_batch": classes(1), "explain_func": draw}
    metric, fresh = (DataSensitivityConsistency(n, 0.5, disable_warnings=True) for n in (64, "all"))
    metric(**call)
    metric.n_masks = "all"
    for one in (metric, fresh):
        one(**call)
    torch.testing.assert_close(metric.sensitivities[0].prediction, fresh.sensitivities[0].prediction)
