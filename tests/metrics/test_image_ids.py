"""An image's masks and noise hang on its number in the whole data set, not on its place in the call."""

import re

import numpy as np
import pytest
import torch

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from quantus_senc.core.perturb import baseline_values
from tests import philox
from tests.metrics.test_arguments import Loud, silent
from tests.small_models import classes, gradient, image_model, inputs

# In double precision: standard errors come from ranks of noisy sensitivities, where single precision turns near ties around.
MODEL, X, Y = image_model().double(), inputs(6, 1, 8, 8), classes(6)
X[4, 0, :4] = 0  # features that a baseline of 0 does not change
IDS = np.array([7, 3, 10**6, 0, 2**63 - 1, 2**40 + 3])
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}, "disable_warnings": True}


def run(images=range(6), image_ids=IDS, batch_size=64, predictions=None, x=X, **parameters):
    """The records of some of the images, each with its own number."""
    places = list(images)
    metric = DataSensitivityConsistency(**{"n_masks": 40, **GRID, **parameters})
    call = {"batch_size": batch_size, "predictions": predictions}
    call |= {} if image_ids is None else {"image_ids": image_ids[places]}
    metric(MODEL, x[places], Y[places], explain_func=gradient, **call)
    return metric.sensitivities


def check_same(record, expected):
    """Equal but for the rounding of passes of other sizes."""
    assert torch.equal(record.masks(), expected.masks())
    torch.testing.assert_close(record.weights, expected.weights, atol=1e-6, rtol=1e-5)
    assert record.score == pytest.approx(expected.score, abs=1e-6, nan_ok=True)
    assert record.standard_error == pytest.approx(expected.standard_error, abs=1e-6, nan_ok=True)


def upside_down(image):
    return image.flip(-1)


PARAMETERS = {
    "tolerance": {"estimator": "regression", "n_masks": 300, "mask_rate": 0.5, "tolerance": 0.05},
    "all masks": {"n_masks": "all", "segment_func_kwargs": {"patch_size": 4}},
    "paper": {"perturb_baseline": "uniform"},
    "regression": {"perturb_baseline": "uniform", "estimator": "regression", "n_masks": 100, "mask_rate": 0.5},
    "called baseline": {"perturb_baseline": upside_down},
}
SPLITS = {"2 + 4": [[0, 1], [2, 3, 4, 5]], "3 + 1 + 2": [[0, 1, 2], [3], [4, 5]], "another order": [[5, 0, 3, 1, 4, 2]]}


@pytest.mark.parametrize("name", PARAMETERS)
def test_any_split_of_the_images_gives_the_same(name):
    expected = run(**PARAMETERS[name])
    if name == "tolerance":
        assert len({record.n_masks for record in expected}) > 1
    for parts in SPLITS.values():
        for part in parts:
            for place, record in zip(part, run(part, **PARAMETERS[name]), strict=True):
                check_same(record, expected[place])


@pytest.mark.parametrize("batch_size", [1, 2])
def test_batch_sizes_change_nothing(batch_size):
    expected = run(**PARAMETERS["regression"])
    for record, other in zip(run(batch_size=batch_size, **PARAMETERS["regression"]), expected, strict=True):
        check_same(record, other)


def test_masks_are_those_of_the_number():
    for image_id, record in zip(IDS.tolist(), run(seed=5), strict=True):
        np.testing.assert_array_equal(record.masks(), philox.keep_masks(5, image_id, 40, 9))


def test_by_default_images_are_numbered_from_0():
    for image_id, record in enumerate(run(image_ids=None)):
        np.testing.assert_array_equal(record.masks(), philox.keep_masks(42, image_id, 40, 9))
    for default, numbered in zip(run(image_ids=None), run(image_ids=np.arange(6)), strict=True):
        assert default.score == numbered.score


def test_a_feature_that_shows_the_noise_of_its_image_is_known_to_have_no_effect():
    x, (place, image_id) = X.copy(), (5, int(IDS[5]))
    noise = baseline_values(torch.tensor(x[[place]]), "uniform", 42, torch.tensor([image_id]))
    x[place, 0, :4, :4] = noise[0, 0, :4, :4]
    for images in ([0, 1, 2, 3, 4, 5], [5], [3, 5]):
        *others, last = run(images, x=x, perturb_baseline="uniform", **PARAMETERS["all masks"])
        assert last.design.free.tolist() == [[False, True, True, True]]
        assert all(record.design.free.all() for record in others)


KINDS = {
    "list": [7, 3, 9],
    "tuple": (7, 3, 9),
    "numpy integers": [np.int32(7), np.uint64(3), np.int8(9)],
    "int32": np.array([7, 3, 9], "int32"),
    "big-endian": np.array([7, 3, 9], ">i8"),
    "uint64": np.array([7, 3, 9], "uint64"),
    "read only": np.broadcast_to(np.array([7, 3, 9]), 3),
    "tensor": torch.tensor([7, 3, 9]),
    "uint8 tensor": torch.tensor([7, 3, 9], dtype=torch.uint8),
}


@pytest.mark.parametrize("kind", KINDS)
def test_integers_of_every_kind(kind):
    metric = DataSensitivityConsistency(5, **GRID)
    metric(MODEL, X[:3], Y[:3], explain_func=gradient, image_ids=KINDS[kind])
    for image_id, record in zip([7, 3, 9], metric.sensitivities, strict=True):
        np.testing.assert_array_equal(record.masks(), philox.keep_masks(42, image_id, 5, 9))


WRONG = [
    ([7, 3, 7], "image_ids hold 7 more than once, again at index 2; give every image a number of its own"),
    ([3, 5, 5], "image_ids hold 5 more than once, again at index 2"),
    ([0, -3, 1], "image_ids[1]=-3 must be an integer from 0 to 9223372036854775807"),
    ([0, 1, 2**63], "image_ids[2]=9223372036854775808 must be"),
    ([0, 1, 2**64], "image_ids[2]=18446744073709551616 must be"),
    (np.array([0, 2**63 + 1, 2], "uint64"), "image_ids[1]=9223372036854775809 must be"),
    ([0.0, 1.0, 2.0], "image_ids[0]=0.0 must be an integer"),
    (torch.tensor([0.0, 1.0, 2.0]), "image_ids[0]=0.0 must be an integer"),
    ([True, False, True], "image_ids[0]=True must be an integer"),
    (["a", "b", "c"], "image_ids[0]='a' must be an integer"),
    ([0, None, 1], "image_ids[1]=None must be an integer"),
    ([0, 1], "image_ids of shape (2,) must be (3,): one number an image"),
    ([[0, 1, 2]], "image_ids of shape (1, 3) must be (3,)"),
    ([[0, 1], [2], []], "image_ids[0]=[0, 1] must be an integer"),
    (3, "image_ids of shape () must be (3,)"),
    ({0, 1, 2}, "image_ids of shape () must be (3,)"),
]


@pytest.mark.parametrize("metric", [DataSensitivityConsistency, ParameterSensitivityConsistency])
@pytest.mark.parametrize(("image_ids", "message"), WRONG)
def test_wrong_numbers_run_nothing(metric, image_ids, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        metric()(Loud(), X[:3], Y[:3], explain_func=silent, image_ids=image_ids)


def test_all_images_share_the_masks_of_a_layer_whatever_their_numbers():
    metric = ParameterSensitivityConsistency(30, layers="first_conv", disable_warnings=True)
    scores = metric(MODEL, X, Y, explain_func=gradient)
    assert metric(MODEL, X, Y, explain_func=gradient, image_ids=IDS) == scores


def test_metrics_that_read_a_run_take_the_numbers():
    metric = DataSensitivityConsistency(100, 0.5, "regression", perturb_baseline="uniform", **GRID)
    paper = metric.with_estimator("paper")
    call = {"model": MODEL, "x_batch": X, "y_batch": Y, "explain_func": gradient}
    metric(**call, image_ids=IDS)
    first = metric.sensitivities
    assert metric.top_k(3)(**call, image_ids=IDS) == [record.top_k_agreement(3) for record in first]
    assert metric.standard_error()(**call, image_ids=IDS) == metric.standard_errors
    assert metric.sensitivities is first
    for image_ids in (IDS, IDS[::-1]):  # of the last run, and others
        paper(**call, image_ids=image_ids)
        expected = run(range(6), image_ids, n_masks=100, mask_rate=0.5, perturb_baseline="uniform")
        for record, other in zip(paper.sensitivities, expected, strict=True):
            check_same(record, other)
    metric.top_k(3)(**call, image_ids=IDS[::-1])
    assert metric.sensitivities is not first


@pytest.mark.parametrize("baseline", [0.0, "mean", upside_down])
def test_predictions_of_other_numbers_are_read_for_the_masked_images_that_they_share(baseline):
    parameters = {"perturb_baseline": baseline, "segment_func_kwargs": {"patch_size": 4}}
    earlier, expected = run(image_ids=None, **parameters), run(**parameters)
    seen = []
    handle = MODEL.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    try:
        run(**parameters)
        without, records = sum(seen), run(predictions=earlier, **parameters)
    finally:
        handle.remove()
    assert sum(seen) < 2 * without  # some are read
    for record, other in zip(records, expected, strict=True):
        check_same(record, other)


def test_predictions_with_noise_are_of_the_same_numbers_and_seed():
    earlier = run(perturb_baseline="uniform")
    for record, expected in zip(run([2, 3], predictions=earlier[2:4], perturb_baseline="uniform"), earlier[2:4], strict=True):
        check_same(record, expected)
    message = "predictions hold the record of image_ids=[7] and seed=42, .* other noise than .* image_ids=[0] and seed=42"
    with pytest.raises(ValueError, match=message.replace("[", r"\[")):
        run(image_ids=np.arange(6), predictions=earlier, perturb_baseline="uniform")
    with pytest.raises(ValueError, match=r"other noise than .* and seed=1; leave them out"):
        run(predictions=earlier, perturb_baseline="uniform", seed=1)
