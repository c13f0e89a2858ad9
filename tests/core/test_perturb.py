"""Eliminated features take the baseline; kept ones stay."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from quantus_senc.core.perturb import baseline_values, eliminate

INPUTS = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
IMAGE_IDS = torch.arange(2)


def values(baseline, inputs=INPUTS, image_ids=IMAGE_IDS):
    return baseline_values(inputs, baseline, 42, image_ids)


def test_eliminate_equals_a_loop():
    labels = torch.randint(5, (2, 8, 8), generator=torch.Generator().manual_seed(1))
    masks = torch.rand(2, 7, 5, generator=torch.Generator().manual_seed(2)) > 0.5
    perturbed = eliminate(INPUTS, labels, masks, values(0.25))
    assert perturbed.shape == (2, 7, 3, 8, 8)
    for image in range(2):
        for mask in range(7):
            keep = masks[image, mask][labels[image]]
            assert torch.equal(perturbed[image, mask], torch.where(keep, INPUTS[image], 0.25))


def test_zero_is_the_papers_product():
    labels = torch.arange(64).view(1, 8, 8).expand(2, -1, -1)
    masks = torch.rand(2, 3, 64) > 0.5
    product = INPUTS[:, None] * masks.view(2, 3, 1, 8, 8)
    assert torch.equal(eliminate(INPUTS, labels, masks, values(0.0)), product)


@pytest.mark.parametrize(("name", "reduce"), [("black", np.min), ("white", np.max), ("mean", np.mean)])
def test_quantus_names_are_of_each_image(name, reduce):
    for image, found in zip(INPUTS, values(name), strict=True):
        np.testing.assert_allclose(found.squeeze(), reduce(image.numpy()), rtol=1e-6)


def test_uniform_belongs_to_the_image_and_position():
    noise = values("uniform")
    assert noise.shape == INPUTS.shape
    assert ((noise >= 0) & (noise < 1)).all()
    assert not torch.equal(noise[0], noise[1])
    assert torch.equal(values("uniform", INPUTS[1:], IMAGE_IDS[1:]), noise[1:])


def test_blur_equals_scipy_and_keeps_the_channels_apart():
    expected = [[gaussian_filter(channel, 1.0, mode="nearest") for channel in image] for image in INPUTS.double().numpy()]
    np.testing.assert_allclose(values("blur"), expected, rtol=1e-5)


def test_callable_gets_one_input_and_cannot_alter_it():
    before = INPUTS.clone()

    def spoil(one):
        assert one.shape == (3, 8, 8)
        return one.mul_(2).mean((1, 2), keepdim=True)

    np.testing.assert_allclose(values(spoil)[:, :, 3, 3], 2 * before.mean((2, 3)), rtol=1e-6)
    assert torch.equal(INPUTS, before)


def test_callable_of_wrong_shape():
    with pytest.raises(ValueError, match=r"returned shape \(5,\)"):
        values(lambda one: torch.zeros(5))


def test_tables_cannot_be_blurred():
    with pytest.raises(ValueError, match="are a table"):
        values("blur", torch.rand(2, 5))
