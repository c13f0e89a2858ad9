"""Data SenC against the paper's loop, and what it promises about batches, images and models."""

import copy
import functools
import pickle
import random
import warnings

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, explain, explain_random
from tests import philox, reference
from tests.networks import PlainCNN
from tests.small_models import classes, explain_one, gradient, image_model, inputs, series_model, table_model

GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}}
CASES = {
    "images": (image_model(), inputs(3, 1, 8, 8), GRID, "Saliency"),
    "images with ties": (image_model(), np.abs(inputs(3, 1, 8, 8)).round().clip(0, 1), GRID, "InputXGradient"),
    "colour images": (image_model(channels=3), inputs(2, 3, 8, 8), GRID, "InputXGradient"),
    "series": (series_model(), inputs(3, 2, 24), {"segment_func_kwargs": {"window_size": 5}}, "Saliency"),
    "tables": (table_model(), inputs(3, 6), {}, "InputXGradient"),
    "tables, few masks kept": (table_model(), inputs(3, 6), {"mask_rate": 0.3}, "Saliency"),
}
pytestmark = pytest.mark.filterwarnings("ignore:Input Tensor 0 did not:UserWarning")


def run(model, x, y, explain_func=gradient, explain_func_kwargs=None, call=None, **parameters):
    metric = DataSensitivityConsistency(**{"n_masks": 40, **parameters})
    scores = metric(model, x, y, explain_func=explain_func, explain_func_kwargs=explain_func_kwargs, **(call or {}))
    return metric, scores


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("baseline", [0.0, 0.5])
@pytest.mark.filterwarnings("ignore:For .* of .* images, more than half:UserWarning")
def test_equals_algorithm_1(case, baseline):
    model, x, parameters, method = CASES[case]
    y = classes(len(x))
    metric, scores = run(model, x, y, quantus.explain, {"method": method}, perturb_baseline=baseline, seed=7, **parameters)
    for index, record in enumerate(metric.sensitivities):
        n_features = int(record.labels.max()) + 1
        prediction, explanation, score = reference.data_senc(
            model, x[index], y[index], record.labels.numpy(), explain_one(model, method),
            philox.keep_masks(7, index, 40, n_features, metric.mask_rate),
            baseline, reference.rounding(40, metric.mask_rate, n_features),
        )  # fmt: skip
        np.testing.assert_allclose(record.prediction, prediction, rtol=1e-5)
        np.testing.assert_allclose(record.explanation, explanation, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(scores[index], score, atol=1e-5)
        for k in (1, 3):
            assert record.top_k_agreement(k) == reference.top_k_agreement(prediction, explanation, k)


@functools.cache
def five_images(explain_func, batch_size=64, max_batch_size="auto"):
    call = {"batch_size": batch_size}
    return run(image_model(), inputs(5, 1, 8, 8), classes(5), explain_func, max_batch_size=max_batch_size, call=call, **GRID)


@pytest.mark.parametrize(
    ("batch_size", "max_batch_size"), [(1, 7), (1, "auto"), (2, 1), (2, 64), (7, 7), (7, "auto"), (64, 1), (64, 64)]
)
@pytest.mark.parametrize("explain_func", [gradient, explain_random])
def test_batch_sizes_change_nothing(batch_size, max_batch_size, explain_func):
    expected, scores = five_images(explain_func)
    found, others = five_images(explain_func, batch_size, max_batch_size)
    np.testing.assert_allclose(others, scores, atol=1e-12)
    for a, b in zip(expected.sensitivities, found.sensitivities, strict=True):
        np.testing.assert_allclose(a.explanation, b.explanation, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["Saliency", "IntegratedGradients", "GradCAM", "DeepLift", "LRP"])
def test_automatic_passes_count_samples_that_methods_add(method):
    model, seen = image_model(1, 40), []
    for layer in model[:2]:  # which the method sees after all samples have been added; hooks of the user's own do not count
        layer.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    how = {"method": method, "layer": "1"} if method == "GradCAM" else {"method": method}
    run(model, inputs(3, 1, 40, 40), classes(3), explain, how, n_masks=300, segment_func="grid")
    largest = 2**21 // (40 * 40 * 4)
    assert 0.8 * largest < max(seen) <= largest


def test_automatic_passes_fit_the_largest_layer():
    seen = []
    model = nn.Sequential(nn.Conv2d(1, 2048, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 3)).eval()
    model.register_forward_hook(lambda module, args, output: seen.append(len(output)))
    run(model, inputs(2, 1, 8, 8), classes(2), n_masks=200, **GRID)
    assert 48 < max(seen) < 64  # of 2048 channels of 8 x 8 values each, 32 MB in all


class Sparse(nn.Module):
    def forward(self, values):
        return values.to_sparse()


class Dense(nn.Module):
    def forward(self, values):
        return values.to_dense()


def test_layers_may_return_sparse_tensors():
    x, y = inputs(2, 1, 8, 8), classes(2)
    model = image_model()
    _, scores = run(model, x, y, **GRID)
    _, others = run(nn.Sequential(*model[:4], Sparse(), Dense(), model[4]).eval(), x, y, **GRID)
    np.testing.assert_allclose(others, scores, atol=1e-6)


def test_a_split_that_keeps_the_indices_changes_nothing():
    model, x, y = image_model(), inputs(4, 1, 8, 8), classes(4)
    _, scores = run(model, x, y, **GRID)
    _, first = run(model, x[:2], y[:2], **GRID)
    assert first == scores[:2]
    _, moved = run(model, x[[1, 0]], y[[1, 0]], **GRID)
    assert moved != [scores[1], scores[0]]


def test_images_may_differ_in_their_features():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    labels = np.zeros((2, 8, 8), int)
    labels[0, :4] = 1
    labels[1] = np.arange(64).reshape(8, 8) // 8
    both, scores = run(model, x, y, call={"custom_batch": labels})
    one, score = run(model, x[:1], y[:1], call={"custom_batch": labels[:1]})
    assert [len(record.prediction) for record in both.sensitivities] == [2, 8]
    assert score == scores[:1]
    torch.testing.assert_close(one.sensitivities[0].prediction, both.sensitivities[0].prediction)  # passes of other sizes


def test_permuting_the_labels_permutes_the_sensitivities():
    """With every feature a column, swapping two columns of labels swaps what the masks eliminate."""
    model, x, y = table_model(), inputs(1, 6), classes(1)
    order = np.array([3, 1, 0, 5, 2, 4])
    permuted = nn.Sequential(nn.Linear(6, 16), *model[1:]).eval()
    with torch.no_grad():
        permuted[0].weight.copy_(model[0].weight[:, order])
        permuted[0].bias.copy_(model[0].bias)
    straight, scores = run(model, x, y, call={"custom_batch": np.argsort(order)[None]})
    crossed, others = run(permuted, x[:, order], y)
    assert scores == others
    np.testing.assert_allclose(straight.sensitivities[0].explanation, crossed.sensitivities[0].explanation, rtol=1e-5)


def test_precomputed_labels_win_and_s_batch_is_ignored():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    labels = np.arange(64).reshape(1, 8, 8).repeat(2, 0) // 16
    metric, scores = run(model, x, y, call={"custom_batch": labels, "s_batch": np.ones((2, 1, 8, 8))}, **GRID)
    assert len(metric.sensitivities[0].prediction) == 4
    assert run(model, x, y, call={"custom_batch": torch.tensor(labels)})[1] == scores


def test_what_depends_on_the_prediction_alone_does_not_depend_on_the_explanation():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    a, b = (run(model, x, y, explain, **GRID)[0] for explain in (gradient, explain_random))
    assert torch.equal(a.sensitivities[0].prediction, b.sensitivities[0].prediction)
    assert not torch.equal(a.sensitivities[0].explanation, b.sensitivities[0].explanation)


def test_an_explanation_that_is_the_model_s_sensitivity_scores_high_and_random_maps_score_zero():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 2, bias=False)).eval()
    x, y = np.abs(inputs(40, 12)), np.zeros(40, int)
    kwargs = {"n_masks": 1000, "mask_rate": 0.5}
    _, faithful = run(model, x, y, gradient, **kwargs)
    _, noise = run(model, x, y, explain_random, **kwargs)
    assert np.mean(faithful) > 0.15
    assert abs(np.mean(noise)) < 2 * np.std(noise) / np.sqrt(len(noise))


@pytest.mark.unwatched("generators")  # it moves them itself
def test_global_generators_are_neither_read_nor_moved():
    model, x, y = table_model(), np.eye(6, dtype=np.float32)[:2] + 1, np.array([0, 2])
    metric = DataSensitivityConsistency(n_masks=40, perturb_baseline="uniform")

    def states():
        return str(np.random.get_state()), torch.get_rng_state().tolist(), random.getstate()

    before = states()
    first = metric(model, x, y, explain_func=explain_random)
    assert states() == before
    torch.manual_seed(99), np.random.seed(99), random.seed(99)
    assert metric(model, x, y, explain_func=explain_random) == first


def test_seeds_give_different_masks():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    assert run(model, x, y, seed=1, **GRID)[1] != run(model, x, y, seed=2, **GRID)[1]


@pytest.mark.parametrize("baseline", ["black", "white", "mean", "uniform", "blur", lambda one: one.flip(-1)])
def test_every_baseline_runs_and_changes_the_sensitivities(baseline):
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    zero, _ = run(model, x, y, **GRID)
    other, scores = run(model, x, y, perturb_baseline=baseline, **GRID)
    assert np.isfinite(scores).all()
    assert not torch.equal(zero.sensitivities[0].prediction, other.sensitivities[0].prediction)


@pytest.mark.parametrize(
    ("shape", "maps_shape"),
    [
        ((2, 3, 1, 4), (2, 1, 1, 4)),
        ((2, 3, 4, 1), (2, 1, 4, 1)),
        ((2, 4, 4, 1), (2, 1, 4, 1)),
        ((2, 3, 3, 3), (2, 3, 3)),
        ((2, 3, 3, 3), (2, 1, 3, 3)),
        ((2, 4, 4), (2, 1, 4)),
        ((2, 4, 4), (2, 4)),
    ],
)
def test_attributions_without_some_axes(shape, maps_shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape[1:])), 3)).eval()
    x, y = inputs(*shape), classes(2)

    def explain(model, inputs, targets):
        return gradient(model, inputs, targets).sum(1).reshape(-1, *maps_shape[1:])

    def without_axis(model, inputs, targets):
        return gradient(model, inputs, targets).sum(1, keepdim=True).expand(inputs.shape)

    parameters = {"segment_func": lambda one: torch.arange(one[0].numel()).view(one.shape[1:]), "mask_rate": 0.5}
    call = {"channel_first": True}
    expected = run(model, x, y, without_axis, call=call, **parameters)[0].sensitivities
    for record, other in zip(run(model, x, y, explain, call=call, **parameters)[0].sensitivities, expected, strict=True):
        torch.testing.assert_close(record.weights, other.weights)


def test_transposed_maps_in_double_precision():
    model, x, y = table_model(8).double(), inputs(2, 8).astype(np.float64), classes(2)

    def transposed(model, inputs, targets):
        return gradient(model, inputs.t().contiguous().t(), targets).t().contiguous().t()

    np.testing.assert_array_equal(run(model, x, y, transposed)[1], run(model, x, y)[1])


@pytest.mark.parametrize("shape", [(2, 1, 8, 8), (2, 8, 8), (2, 3, 8, 8)])
@pytest.mark.parametrize("kind", ["array", "tensor", "with graph"])
def test_attribution_shapes_and_kinds(shape, kind):
    """Any shape that Quantus accepts, as an array or a tensor."""
    model, x, y = image_model(channels=3), inputs(2, 3, 8, 8), classes(2)

    def explain(model, inputs, targets):
        maps = gradient(model, inputs, targets)
        maps = maps if shape == x.shape else maps.sum(1, keepdim=len(shape) == 4)
        return {"array": maps.numpy(), "tensor": maps, "with graph": maps.requires_grad_()}[kind]

    assert np.isfinite(run(model, x, y, explain, **GRID)[1]).all()


def test_abs_and_normalise():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)

    def absolute(**kwargs):
        return gradient(**kwargs).abs()

    assert run(model, x, y, abs=True, **GRID)[1] == run(model, x, y, absolute, **GRID)[1]
    np.testing.assert_allclose(run(model, x, y, normalise=True, **GRID)[1], run(model, x, y, **GRID)[1], atol=1e-6)
    squared = run(model, x, y, normalise=True, normalise_func=np.square, **GRID)[1]
    assert squared == run(model, x, y, absolute, **GRID)[1]


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int32, np.uint8])
def test_normalised_attributions_of_any_type(dtype):
    torch.manual_seed(0)
    model, x, y = PlainCNN().eval(), inputs(2, 3, 9, 9), classes(2)

    def rounded(as_type):
        return run(model, x, y, normalise=True, normalise_func=lambda maps: (20 * maps).round().clip(0).astype(as_type), **GRID)

    np.testing.assert_allclose(rounded(dtype)[1], rounded(np.float32)[1], atol=1e-9)


def test_softmax_or_the_models_own_output():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    with_softmax = nn.Sequential(*model, nn.Softmax(-1)).eval()

    def same(model, inputs, targets):
        return gradient(image_model(), inputs, targets)

    p, logits = (run(model, x, y, same, call={"softmax": s}, **GRID)[0].sensitivities[0] for s in (True, False))
    own = run(with_softmax, x, y, same, **GRID)[0].sensitivities[0]
    np.testing.assert_allclose(own.prediction, p.prediction, rtol=1e-6)
    assert not torch.allclose(logits.prediction, p.prediction)


def test_channels_last():
    model, x, y = image_model(channels=3), inputs(2, 3, 8, 8), classes(2)
    _, scores = run(model, x, y, **GRID)
    assert run(model, np.moveaxis(x, 1, -1), y, call={"channel_first": False}, **GRID)[1] == scores


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_models_of_other_precision(dtype):
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    _, single = run(model, x, y, n_masks=300, **GRID)
    _, scores = run(model.to(dtype), x, y, n_masks=300, **GRID)
    np.testing.assert_allclose(scores, single, atol=1e-6 if dtype == torch.float64 else 0.35)


def test_tensors_lists_and_other_number_types_are_inputs_too():
    model, x, y = image_model(), inputs(2, 1, 8, 8).round(), classes(2)
    _, scores = run(model, x, y, **GRID)
    assert run(model, torch.tensor(x), torch.tensor(y), **GRID)[1] == scores
    assert run(model, x.astype(np.int64), list(y), **GRID)[1] == scores
    assert run(model, x.astype(np.float64), y.astype(np.int32), **GRID)[1] == scores


def test_one_image_of_one_mask_at_a_time():
    model, x, y = table_model(), inputs(1, 6), classes(1)
    _, scores = run(model, x, y, n_masks=2, max_batch_size=1)
    assert len(scores) == 1


@pytest.mark.parametrize("shape", [(3, 1, 8), (1, 6, 1), (1, 1, 12)])
def test_inputs_of_height_or_width_1(shape):
    model = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 3)).eval()
    columns = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}}
    _, scores = run(model, inputs(2, *shape), classes(2), call={"channel_first": True}, mask_rate=0.5, **columns)
    assert np.isfinite(scores).all()


def test_volumes():
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 3)).eval()
    parameters = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}, "mask_rate": 0.5}
    x = inputs(2, 1, 4, 4, 4)
    _, scores = run(model, x, classes(2), call={"channel_first": True}, **parameters)
    assert np.isfinite(scores).all()
    assert run(model, np.moveaxis(x, 1, -1), classes(2), call={"channel_first": False}, **parameters)[1] == scores


def test_flipped_views_and_other_layouts():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    labels = np.arange(64).reshape(1, 8, 8).repeat(2, 0)[:, ::-1] // 16

    def flipped(model, inputs, targets):
        return gradient(model, inputs, targets).numpy()[..., ::-1]

    def read_only(model, inputs, targets):
        maps = gradient(model, inputs, targets).flip(-1).numpy()
        maps.flags.writeable = False
        return maps

    call = {"custom_batch": labels}
    _, expected = run(model, x[:, :, ::-1].copy(), y[::-1].copy(), flipped, call={"custom_batch": labels.copy()})
    assert run(model, x[:, :, ::-1], y[::-1], read_only, call=call)[1] == expected
    assert run(model, x.astype(">f4")[:, :, ::-1], y[::-1], read_only, call=call)[1] == expected
    assert run(model, x[:, :, ::-1], y[::-1], flipped, segment_func=lambda one: labels[0])[1] == expected

    def big_endian(model, inputs, targets):
        return gradient(model, inputs, targets).numpy()[:, ::-1, :, ::-1].astype(">f4")

    assert run(model, x[:, ::-1, ::-1], y[::-1], big_endian, call=call)[1] == expected  # one channel, backwards


def test_explanation_methods_that_take_arrays_only():
    """quantus.evaluate itself calls them with arrays, so they must not be lost here."""

    def arrays_only(model, inputs, targets, **kwargs):
        return gradient(model, torch.from_numpy(inputs), torch.from_numpy(targets)).numpy()

    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    assert run(model, x, y, arrays_only, **GRID)[1] == run(model, x, y, **GRID)[1]


def test_an_error_of_the_explanation_method_is_the_one_that_is_raised():
    def broken(model, inputs, targets):
        raise TypeError("its own, for tensors" if isinstance(inputs, torch.Tensor) else "for arrays")

    with pytest.raises(TypeError, match="its own, for tensors"):
        run(image_model(), inputs(2, 1, 8, 8), classes(2), broken, **GRID)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_calls_within_modes_without_gradients(mode):
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    expected = run(model, x, y, **GRID)[1]
    with mode():
        assert run(model, torch.tensor(x), y, **GRID)[1] == expected
        assert not torch.is_grad_enabled()


def test_bfloat16_inputs_and_scripted_models():
    model, x, y = image_model(), inputs(2, 1, 8, 8).round(), classes(2)
    _, expected = run(model, x, y, **GRID)
    assert run(model, torch.tensor(x, dtype=torch.bfloat16), y, **GRID)[1] == expected
    scripted = torch.jit.script(model)
    np.testing.assert_allclose(run(scripted, x, y, **GRID)[1], expected, atol=1e-12)
    scripted.train()
    run(scripted, x, y, **GRID)
    assert scripted.training


@pytest.mark.parametrize("softmax", [True, False])
def test_a_softmax_inside_the_model_is_left_alone(softmax):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gated = nn.Sequential(nn.Softmax(-1), *image_model()).eval()
        _, scores = run(gated, inputs(2, 1, 8, 8), classes(2), call={"softmax": softmax}, **GRID)
    assert np.isfinite(scores).all()


class AttentionPooling(nn.Module):
    """Its softmax is the last module, but not the last step."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.score, self.classify, self.softmax = nn.Linear(4, 1), nn.Linear(4, 3), nn.Softmax(1)

    def forward(self, x):
        tokens = x.transpose(1, 2)
        attention = self.softmax(self.score(tokens)[..., 0])
        return self.classify((attention[..., None] * tokens).sum(1))


class SoftmaxFirst(nn.Module):
    """Its softmax is the last step, but not the last module."""

    def __init__(self, model):
        super().__init__()
        self.softmax, self.model = nn.Softmax(1), model

    def forward(self, x):
        return self.softmax(self.model(x))


def passed_on(model, inputs, targets):
    """It gives the model the very inputs, so that the model's outputs are used as predictions."""
    inputs.requires_grad_()
    (grads,) = torch.autograd.grad(model(inputs).gather(1, targets[:, None]).sum(), inputs)
    return grads * inputs.detach()


@pytest.mark.parametrize("softmax", [True, False])
@pytest.mark.parametrize("explain_func", [gradient, passed_on])
@pytest.mark.parametrize("wrap", [lambda model: model, SoftmaxFirst])
def test_the_last_step_is_what_returns_the_result(wrap, explain_func, softmax):
    model, x, y = AttentionPooling().eval(), inputs(2, 4, 6), classes(2)

    def predicted(given, target):
        with torch.no_grad():
            outputs = model(given)
        return (outputs.softmax(1) if softmax else outputs)[:, target]

    parameters = {"segment_func_kwargs": {"window_size": 1}, "mask_rate": 0.5}
    metric, _ = run(wrap(model).eval(), x, y, explain_func, call={"softmax": softmax}, **parameters)
    for record, image, target in zip(metric.sensitivities, torch.tensor(x), y, strict=True):
        change = (predicted(image[None], target) - predicted(image * record.masks()[:, None], target)).abs()
        torch.testing.assert_close(record.weights[:, 0].float(), 1 - change, rtol=0, atol=1e-6)


def test_softmax_at_the_end_can_be_undone():
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    with_softmax = nn.Sequential(*model, nn.Softmax(-1)).eval()

    def same(model, inputs, targets):
        return gradient(image_model(), inputs, targets)

    logits, undone = (run(m, x, y, same, call={"softmax": False}, **GRID)[0].sensitivities for m in (model, with_softmax))
    np.testing.assert_allclose(undone[0].prediction, logits[0].prediction, rtol=1e-6)


def test_a_call_that_raises_leaves_no_results_of_the_call_before():
    metric, _ = run(image_model(), inputs(2, 1, 8, 8), classes(2), **GRID)
    with pytest.raises(ValueError, match="y_batch"):
        metric(image_model(), inputs(2, 1, 8, 8), np.array([0, 9]), explain_func=gradient)
    assert metric.sensitivities == metric.evaluation_scores == []


def test_metrics_can_be_pickled_and_copied_after_a_call():
    metric, scores = run(image_model(), inputs(2, 1, 8, 8), classes(2), **GRID)
    for other in (pickle.loads(pickle.dumps(metric)), copy.deepcopy(metric)):
        assert other.sensitivities[1].score == scores[1]
        assert other(image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=gradient) == scores


def test_superpixels_are_the_default():
    model = image_model(size=28)
    x = nn.functional.interpolate(torch.tensor(inputs(1, 1, 7, 7)), (28, 28), mode="bilinear").numpy()
    metric, _ = run(model, x, classes(1))
    assert 8 <= len(metric.sensitivities[0].prediction) <= 25


def test_each_masked_image_is_explained_once_within_the_limit():
    seen = []

    def explain(model, inputs, targets):
        seen.append(len(inputs))
        return gradient(model, inputs, targets)

    metric, _ = run(image_model(), inputs(2, 1, 8, 8), classes(2), explain, n_masks=500, max_batch_size=64, **GRID)
    m = int(metric.sensitivities[0].labels.max()) + 1
    n_distinct = [philox.n_distinct(42, image, 500, m) for image in range(2)]
    assert max(seen) <= 64
    method_check = 2 * 6 + 6 * 6 + 6 + (1 + 16)  # two images and four masked ones; see test_evaluate
    assert sum(seen) == 1 + 2 + method_check + sum(n_distinct) < 500


def test_integrated_gradients_get_smaller_batches():
    sizes = []
    model, x, y = image_model(size=28), inputs(1, 1, 28, 28), classes(1)
    with model.register_forward_pre_hook(lambda module, args: sizes.append(len(args[0]))):
        run(model, x, y, quantus.explain, {"method": "IntegratedGradients"}, n_masks=400, **GRID)
    assert max(sizes) <= 512


def test_the_score_list_is_also_quantus_s():
    model, x, y = table_model(), inputs(3, 6), classes(3)
    metric, scores = run(model, x, y)
    assert metric.evaluation_scores == metric.all_evaluation_scores == scores
    again = metric(model, x, y, explain_func=gradient)
    assert again == scores
    assert metric.all_evaluation_scores == scores * 2
    assert len(metric.sensitivities) == 3
    assert run(model, x, y, return_aggregate=True)[1] == [np.mean(scores)]


def test_interpret_scores(capsys):
    DataSensitivityConsistency().interpret_scores()
    assert "higher is better" in capsys.readouterr().out


def test_progress_counts_masks(monkeypatch, capsys):
    monkeypatch.delenv("PYTEST")
    run(table_model(), inputs(3, 6), classes(3), display_progressbar=True)
    shown = capsys.readouterr().err
    assert "Data Sensitivity Consistency: 100%" in shown
    assert "120/120" in shown
    assert "masks/s" in shown
    run(table_model(), inputs(3, 6), classes(3))
    assert not capsys.readouterr().err


@pytest.mark.parametrize("n_features", [2, 3, 8])
@pytest.mark.parametrize("estimator", ["paper", "regression"])
def test_rounding_moves_features_apart_by_less_than_ties_allow(n_features, estimator):
    """Few features have few different masks. Each is drawn many times, and errs by the same each time."""
    largest = 0.0
    for seed in range(6):
        torch.manual_seed(seed)
        model = nn.Sequential(nn.Linear(n_features, 512), nn.Linear(512, 3)).eval()
        runs = []
        for precision in (torch.float32, torch.float64):
            call = (model.to(precision), inputs(1, n_features, seed=seed), np.array([1]))
            metric, _ = run(*call, n_masks=3000, estimator=estimator, seed=seed, disable_warnings=True)
            runs.append(metric.sensitivities[0])
        apart = [record.prediction[:, None] - record.prediction for record in runs]
        tie_tolerance = runs[0].tie_tolerance[0].item()
        largest = max(largest, (apart[0] - apart[1]).abs().max().item() / tie_tolerance)
        assert tie_tolerance < (1e-5 if estimator == "regression" else 1e-5 * 3000)
    assert 0.01 < largest < 1


def test_no_warnings_on_good_input():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run(image_model(), inputs(2, 1, 8, 8), classes(2), **GRID)
