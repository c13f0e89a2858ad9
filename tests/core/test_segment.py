"""Features partition the input, whatever makes them."""

import numpy as np
import pytest
import torch

from quantus_senc.core.segment import default_segment_func, number_labels
from quantus_senc.core.segment import segment as named_segment
from quantus_senc.demo import digits

# smooth, because SLIC finds no connected superpixels in noise
IMAGES = torch.nn.functional.interpolate(
    torch.rand(2, 3, 7, 7, generator=torch.Generator().manual_seed(0)), size=(28, 28), mode="bilinear"
)


def segment(inputs, segment_func=None, kwargs=None):
    return named_segment(inputs, segment_func or default_segment_func(inputs.ndim), kwargs)


def blobs(channels):
    """Eight-bit images with smooth structure and flat regions."""
    y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
    bumps = [torch.exp(-((x - 8 - 4 * c) ** 2 + (y - 16) ** 2) / 40) for c in range(channels)]
    return torch.stack(bumps)[None].mul(255).round().div(255)


@pytest.mark.parametrize(
    ("inputs", "segment_func", "kwargs"),
    [
        (IMAGES, None, {}),
        (IMAGES, "slic", {"n_segments": 9, "compactness": 1.0}),
        (IMAGES, "grid", {"patch_size": 5}),
        (torch.rand(1, 1, 6, 7, 8), None, {"n_segments": 8}),
        (torch.rand(3, 2, 50), None, {}),
        (torch.rand(3, 2, 50), "window", {"window_size": 7}),
        (torch.rand(4, 6), None, {}),
    ],
)
def test_labels_partition_the_input(inputs, segment_func, kwargs):
    labels = segment(inputs, segment_func, kwargs)
    assert labels.shape == (len(inputs), *(inputs.shape[1:] if inputs.ndim == 2 else inputs.shape[2:]))
    for one in labels:
        assert one.unique().tolist() == list(range(int(one.max()) + 1))
        assert one.max() > 0


def test_the_papers_numbers_of_superpixels_are_asked_for(monkeypatch):
    asked = []
    monkeypatch.setattr(
        "quantus_senc.core.segment.slic", lambda x, n_segments, **_: asked.append(n_segments) or np.zeros(x.shape[:2], int)
    )
    segment(torch.rand(1, 1, 28, 28))
    segment(torch.rand(1, 3, 32, 32))
    segment(torch.rand(1, 3, 32, 32), "slic", {"pixels_per_segment": 100})
    assert asked == [15, 20, 10]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("compactness", [10, 0.1])
def test_normalised_images_segment_the_same(channels, compactness):
    images = blobs(channels)
    mean, std = torch.rand(2, channels, 1, 1, generator=torch.Generator().manual_seed(1)).add(0.1)
    kwargs = {"compactness": compactness}
    assert torch.equal(segment(images, "slic", kwargs), segment((images - mean) / std, "slic", kwargs))
    assert torch.equal(segment(images, "slic", kwargs), segment(images * 255, "slic", kwargs))


def test_rounding_of_the_normalisation_decides_nothing():
    """Of 150 digits, this one segments differently after normalisation if pixels are not rounded."""
    image = digits()[0][130:131].mul(255).round().div(255)
    for compactness in (10, 0.1):
        kwargs = {"compactness": compactness}
        assert torch.equal(segment(image, "slic", kwargs), segment((image - 0.1307) / 0.3081, "slic", kwargs))


def test_grid_patches_are_square():
    labels = segment(torch.zeros(1, 1, 6, 4), "grid", {"patch_size": 4})[0]
    assert labels.tolist() == [[0] * 4] * 4 + [[1] * 4] * 2


def test_windows():
    assert segment(torch.zeros(1, 1, 5), "window", {"window_size": 2})[0].tolist() == [0, 0, 1, 1, 2]
    assert segment(torch.zeros(1, 1, 200))[0].max() == 19


def test_callable_gets_one_input_and_may_return_an_array():
    seen = []

    def halves(one):
        seen.append(one.shape)
        return np.arange(28)[:, None].repeat(28, 1) // 14 * 10 - 3

    labels = segment(IMAGES, halves)
    assert seen == [(3, 28, 28)] * 2
    assert labels[0, :, 0].tolist() == [0] * 14 + [1] * 14


def test_not_finite_pixels_do_not_stop_the_others():
    images = IMAGES.clone()
    images[0, 0, 3, 3] = torch.nan
    assert torch.equal(segment(images)[1], segment(IMAGES)[1])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 28, 27, dtype=torch.int64), r"\(28, 28\)"),
        (torch.zeros(2, 3, 28, 28, dtype=torch.int64), r"\(3, 28, 28\)"),
        (torch.zeros(1, 28, 28, dtype=torch.int64), "must be 2"),
        (torch.zeros(2, 28, 28), "integers"),
    ],
)
def test_labels_that_do_not_fit(labels, message):
    with pytest.raises(ValueError, match=message):
        number_labels(labels, IMAGES)


@pytest.mark.parametrize(
    ("segment_func", "shape"), [("slic", (1, 5)), ("window", (1, 3, 8, 8)), ("column", (1, 3, 8)), ("grid", (1, 8))]
)
def test_function_for_other_inputs(segment_func, shape):
    with pytest.raises(ValueError, match=rf"{segment_func}.*does not fit inputs of shape"):
        segment(torch.zeros(shape), segment_func)
