"""Random maps are random, and nothing but their seed, model, input and target decides them."""

import numpy as np
import pytest
import torch

from quantus_senc import explain_random
from tests.conftest import classes, image_model, inputs, table_model

X, Y = torch.tensor(inputs(6, 3, 8, 8)), torch.tensor(classes(6))


def test_maps_do_not_depend_on_the_batch():
    model = image_model(channels=3)
    maps = explain_random(model, X, Y)
    assert maps.shape == (6, 1, 8, 8)
    assert torch.equal(explain_random(model, X[[4, 1]], Y[[4, 1]]), maps[[4, 1]])


@pytest.mark.parametrize("part", ["input", "target", "model", "seed"])
def test_maps_are_unrelated_where_anything_differs(part):
    model = image_model(channels=3)
    maps = explain_random(model, X, Y).flatten(1)
    x, y, seed = X.clone(), Y.clone(), 0
    if part == "input":
        x[:, 2, 5, 5] += 1e-6
    elif part == "target":
        y += 1
    elif part == "seed":
        seed = 1
    else:
        with torch.no_grad():
            model[0].weight[0, 0, 0, 0] = 0
    others = explain_random(model, x, y, seed=seed).flatten(1)
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(maps, others, strict=True)]
    assert np.abs(correlations).max() < 0.5
    assert not torch.equal(maps, others)


def test_buffers_count_as_weights():
    model = torch.nn.Sequential(torch.nn.BatchNorm2d(3), *image_model(channels=3))
    maps = explain_random(model, X, Y)
    model[0].running_mean += 1
    assert not torch.equal(explain_random(model, X, Y), maps)


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "a"])
def test_seeds_that_are_none(seed):
    with pytest.raises(ValueError, match=r"seed=.* must be an integer from 0"):
        explain_random(table_model(), inputs(3, 6), classes(3), seed=seed)


def test_integers_of_numpy_are_seeds_and_views_are_inputs():
    x, y = inputs(3, 6), classes(3)
    expected = explain_random(table_model(), x[::-1].copy(), y[::-1].copy(), seed=7)
    np.testing.assert_array_equal(explain_random(table_model(), x[::-1], y[::-1], seed=np.uint8(7)), expected)


def test_masked_copies_of_a_flat_image_get_different_maps():
    """Inputs that differ in nothing but where they are zero."""
    x = torch.ones(36, 9) - torch.stack([torch.eye(9)[i] + torch.eye(9)[j] for i in range(9) for j in range(i)])
    maps = explain_random(table_model(9), x, torch.zeros(36))
    assert len(maps.unique(dim=0)) == 36


def test_arrays_give_arrays_and_keywords_are_ignored():
    model = table_model()
    maps = explain_random(model, inputs(3, 6), classes(3), method="random", n_steps=5)
    assert isinstance(maps, np.ndarray)
    assert maps.shape == (3, 6)
    np.testing.assert_array_equal(explain_random(model, torch.tensor(inputs(3, 6)), torch.tensor(classes(3))), maps)
    assert maps.min() >= 0
    assert maps.max() < 1
