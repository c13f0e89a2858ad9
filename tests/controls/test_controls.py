"""Random maps are random, and nothing but their seed, model, input and target decides them; the other controls likewise."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter, sobel
from skimage import filters

import quantus_senc
from quantus_senc import (
    CONTROLS,
    DataSensitivityConsistency,
    explain_blob,
    explain_blurred_noise,
    explain_fixed_random,
    explain_input,
    explain_random,
    explain_sobel,
)
from tests.small_models import classes, image_model, inputs, table_model

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


IMAGES, SERIES, TABLE = X, torch.tensor(inputs(6, 2, 24)), torch.tensor(inputs(6, 7))
NEEDS_NEIGHBOURS = {"blurred noise", "Sobel", "blob"}
CASES = [
    pytest.param(CONTROLS[name], x, id=f"{name}, {kind}")
    for name in CONTROLS
    for kind, x in {"images": IMAGES, "series": SERIES, "table": TABLE}.items()
    if not (kind == "table" and name in NEEDS_NEIGHBOURS)
]


def shape_of_maps(x):
    return tuple(x.shape) if x.ndim == 2 else (len(x), 1, *x.shape[2:])


@pytest.mark.parametrize(("control", "x"), CASES)
def test_every_control_is_a_function_of_one_input_whatever_holds_it(control, x):
    maps = control(model=table_model(), inputs=x, targets=Y, method="ignored", device="cpu")
    assert isinstance(maps, torch.Tensor)
    assert maps.shape == shape_of_maps(x)
    assert maps.isfinite().all()
    assert torch.equal(control(table_model(), x[[4, 1]], Y[[4, 1]]), maps[[4, 1]])
    arrays = control(table_model(), x.numpy(), Y.numpy())
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(arrays, maps)


@pytest.mark.parametrize(("control", "x"), CASES)
def test_nan_and_constants_stay_in_their_own_input(control, x):
    expected = control(table_model(), x, Y)
    x = x.clone()
    x[1], x[3] = torch.nan, 1
    maps = control(table_model(), x, Y)
    rest = [0, 2, 4, 5]
    assert torch.equal(maps[rest], expected[rest])
    assert maps[3].isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.uint8, torch.int64, torch.bool])
@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
def test_inputs_of_any_type(control, dtype):
    x = (IMAGES * 4).abs().to(dtype)
    maps = control(image_model(channels=3), x, Y)
    assert maps.is_floating_point()
    assert maps.shape == (6, 1, 8, 8)
    torch.testing.assert_close(maps, control(image_model(channels=3), x.double(), Y), check_dtype=False)


@pytest.mark.parametrize("control", CONTROLS.values(), ids=CONTROLS)
@pytest.mark.parametrize("shape", [(2, 3, 1, 1), (2, 3, 1, 5), (2, 1, 1), (2, 1, 2, 3, 4), (1, 1, 6, 6), (0, 3, 4, 4)])
def test_inputs_of_odd_shapes(control, shape):
    maps = control(image_model(), torch.rand(shape), torch.zeros(shape[0], dtype=torch.int64))
    assert maps.shape == (shape[0], 1, *shape[2:])
    assert maps.isfinite().all()


@pytest.mark.parametrize("name", sorted(NEEDS_NEIGHBOURS))
def test_columns_of_tables_have_no_neighbours(name):
    with pytest.raises(ValueError, match=r"needs neighbours, but inputs of shape \(6, 7\) are a table; use explain_random"):
        CONTROLS[name](table_model(), TABLE, Y)


def test_inputs_keep_their_graph_to_themselves():
    for control in CONTROLS.values():
        assert not control(image_model(), X.clone().requires_grad_(), Y).requires_grad


def test_fixed_maps_are_the_same_under_any_perturbation():
    maps = explain_fixed_random(image_model(channels=3), X, Y)
    assert torch.equal(explain_fixed_random(table_model(), torch.zeros_like(X), Y + 1), maps)
    assert len(maps.unique(dim=0)) == 1
    assert not torch.equal(explain_fixed_random(image_model(), X, Y, seed=1), maps)
    assert len(maps.unique()) == 64


def test_fixed_maps_of_classes_do_not_depend_on_which_classes_there_are():
    y = torch.tensor([2, 0, 2, 9, -1, 0])
    maps = explain_fixed_random(image_model(), X, y, per_class=True)
    assert torch.equal(maps[0], maps[2])
    assert len(maps.unique(dim=0)) == 4
    assert torch.equal(explain_fixed_random(image_model(), X[3:], y[3:], per_class=True), maps[3:])
    assert np.abs(np.corrcoef(maps[[0, 1, 3, 4]].flatten(1)) - np.eye(4)).max() < 0.5


def test_noise_without_blur_is_that_of_explain_random():
    model = image_model(channels=3)
    assert torch.equal(explain_blurred_noise(model, X, Y, width=0, seed=3), explain_random(model, X, Y, seed=3))


@pytest.mark.parametrize("x", [torch.rand(3, 2, 12, 17), torch.rand(3, 2, 40)], ids=["images", "series"])
def test_blurred_noise_is_what_scipy_blurs(x):
    model, y = image_model(), torch.arange(3)
    noise = explain_random(model, x, y).double().numpy()
    expected = gaussian_filter(noise, (0, 0, *[1.7] * (x.ndim - 2)), mode="wrap")
    np.testing.assert_allclose(explain_blurred_noise(model, x, y, width=1.7), expected, atol=1e-6)


def test_neighbours_in_blurred_noise_are_the_more_alike_the_wider_the_blur():
    x, y = torch.rand(20, 1, 32, 32), torch.zeros(20)
    alike = []
    for width in (0, 0.5, 1, 2, 4):
        maps = explain_blurred_noise(image_model(), x, y, width=width) - 0.5
        alike.append(float((maps * maps.roll(1, -1)).mean() / maps.square().mean()))
    assert alike == sorted(alike)
    assert abs(alike[0]) < 0.05
    # The autocorrelation of white noise after a Gaussian of standard deviation s is exp(-d^2 / 4 s^2) at distance d.
    np.testing.assert_allclose(alike[3:], np.exp([-1 / 16, -1 / 64]), atol=0.01)


@pytest.mark.parametrize("width", [-1, 4.5, float("nan")])
def test_widths_of_a_blur_that_are_none(width):
    with pytest.raises(ValueError, match=r"width=.* must lie between 0 and 4.0, half the longest side of inputs of shape"):
        explain_blurred_noise(image_model(), X, Y, width=width)


def test_edges_are_those_of_scipy_and_of_scikit_image():
    maps = explain_sobel(image_model(), X, Y)
    channels = X.double().numpy()
    scipy = np.array([[np.hypot(sobel(one, 0), sobel(one, 1)) for one in image] for image in channels]).sum(1)
    np.testing.assert_allclose(maps[:, 0], scipy, rtol=1e-5)
    scikit = np.array([[filters.sobel(one) for one in image] for image in channels]).sum(1)
    np.testing.assert_allclose(maps[:, 0] / np.sqrt(32), scikit, rtol=1e-5)


def test_edges_of_series_are_differences_of_neighbours():
    series = SERIES.numpy()
    padded = np.pad(series, ((0, 0), (0, 0), (1, 1)), mode="symmetric")
    expected = np.abs(padded[..., 2:] - padded[..., :-2]).sum(1, keepdims=True)
    np.testing.assert_allclose(explain_sobel(image_model(), series, Y), expected, rtol=1e-6)


def test_constant_images_have_no_edges():
    assert not explain_sobel(image_model(), torch.full((2, 3, 5, 5), 0.7), torch.zeros(2)).any()


@pytest.mark.parametrize(("shape", "middle"), [((2, 3, 7, 9), (3, 4)), ((2, 1, 11), (5,))])
def test_the_blob_is_a_gaussian_in_the_middle(shape, middle):
    (maps,) = explain_blob(image_model(), torch.rand(shape), torch.zeros(2), width=1.5)[0]
    point = np.zeros(shape[2:])
    point[middle] = 1
    expected = gaussian_filter(point, 1.5, mode="constant", radius=20)
    np.testing.assert_allclose(maps, expected / expected.max(), atol=1e-6)


def test_the_blob_of_an_even_side_is_symmetric():
    maps = explain_blob(image_model(), X, Y)
    for axes in ([2], [3], [2, 3]):
        torch.testing.assert_close(maps.flip(axes), maps)


@pytest.mark.parametrize("width", [0, -1.0, float("nan")])
def test_widths_of_a_blob_that_are_none(width):
    with pytest.raises(ValueError, match=r"width=.* must be a positive number of pixels"):
        explain_blob(image_model(), X, Y, width=width)


def test_the_input_is_summed_over_channels():
    np.testing.assert_allclose(explain_input(image_model(), X, Y), X.sum(1, keepdim=True))
    table = TABLE.clone()
    maps = explain_input(table_model(), table, Y)
    table += 1
    torch.testing.assert_close(maps, TABLE)


def test_controls_are_explanation_methods_for_the_metrics():
    x, y = np.abs(inputs(2, 3, 8, 8)), classes(2)
    grid = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
    metric = DataSensitivityConsistency(100, estimator="regression", disable_warnings=True, **grid)
    for name, control in CONTROLS.items():
        scores = metric(image_model(channels=3), x, y, explain_func=control, explain_func_kwargs={})
        assert np.isnan(scores).tolist() == [name in {"fixed random", "blob"}] * 2, (
            name
        )  # what never changes has no sensitivity


def test_controls_are_public():
    for name, control in CONTROLS.items():
        assert getattr(quantus_senc, f"explain_{name.replace(' ', '_').lower()}") is control
