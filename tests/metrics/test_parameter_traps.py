"""Models and methods for which hooks look right on some images, masks or sizes, and are wrong on others."""

import functools

import numpy as np
import pytest
import torch
from captum.attr import IntegratedGradients, NoiseTunnel, Saliency
from torch import nn

from quantus_senc import ParameterSensitivityConsistency
from tests import philox, reference
from tests.metrics.test_parameter_senc import names
from tests.small_models import classes, gradient, inputs, table_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def saliency(model, inputs, targets):
    inputs = inputs.clone().requires_grad_()
    return torch.autograd.grad(model(inputs).gather(1, targets[:, None]).sum(), inputs)[0]


def check(model, x, y, layer, explain_func=gradient, call=None, *, n_masks=24, **parameters):
    """The metric's scores of a layer, which must be those of the reference, image by image."""
    metric = ParameterSensitivityConsistency(
        n_masks, layers=[layer], return_layer_scores=True, disable_warnings=True, **parameters
    )
    scores = metric(model, x, y, explain_func=explain_func, **(call or {}))[layer]

    def explain_one(model, x, y):
        return explain_func(model, torch.tensor(x)[None], torch.tensor([y]))[0].detach().numpy()

    for record, one, target in zip(metric.sensitivities[layer], x, y, strict=True):
        drawn = philox.keep_masks(42, philox.layer_stream(layer), n_masks, len(record.prediction), metric.mask_rate)
        prediction, explanation, _ = reference.parameter_senc(model, one, target, explain_one, layer, drawn)
        np.testing.assert_allclose(record.prediction, prediction, rtol=1e-5)
        np.testing.assert_allclose(record.explanation, explanation, rtol=1e-4, atol=1e-4)
    return metric, scores


class Tokens(nn.Module):
    """A fully connected layer on tokens that are flattened into the batch, sample by sample or time by time."""

    def __init__(self, time_first=False, scale=1.0):
        super().__init__()
        torch.manual_seed(3)
        self.conv, self.fc, self.out = nn.Conv2d(1, 6, 3, bias=False), nn.Linear(6, 8), nn.Linear(8, 3)
        self.skip, self.time_first, self.scale = nn.Linear(6, 8), time_first, scale

    def forward(self, x):
        h = self.conv(x).tanh().flatten(2).permute((2, 0, 1) if self.time_first else (0, 2, 1))
        y = self.fc(h.reshape(-1, h.shape[-1])).tanh().unflatten(0, h.shape[:2]) * self.scale
        y = y if self.scale == 1 else y + self.skip(h).tanh()
        return self.out(y.mean(0 if self.time_first else 1))


# So many masks of the convolution's six units that those that differ make full passes of a dozen.
N_DOZENS = next(n for n in range(24, 999) if philox.n_distinct(42, philox.layer_stream("conv"), n, 6) == 24)


def images(n=3, blank=()):
    x = inputs(n, 1, 6, 6)
    x[list(blank)] = 0
    return x


@pytest.mark.parametrize(
    ("time_first", "blank", "batch_size"),
    [
        *((time_first, blank, 1) for time_first in (False, True) for blank in ([], [0], [1], [0, 1, 2])),
        *((batch_size == 64, blank, batch_size) for batch_size in (2, 64) for blank in ([0], [1])),
    ],
)
def test_blank_images_prove_nothing_for_the_others(time_first, blank, batch_size):
    model = Tokens(time_first).eval()
    metric, _ = check(model, images(blank=blank), classes(3), "fc", call={"batch_size": batch_size}, max_batch_size=16)
    assert names(metric)["fc"] == {1: "hooks and weights", 0: "hooks", 3: "weights"}[min(len(blank), 3)] or batch_size > 1


def interleaved(model, inputs, targets, n=3):
    noise = torch.randn(n, *inputs.shape[1:], generator=torch.Generator().manual_seed(7)).repeat(
        len(inputs), *[1] * (inputs.ndim - 1)
    )
    noisy = inputs.repeat_interleave(n, 0) + 0.5 * noise
    return saliency(model, noisy, targets.repeat_interleave(n)).unflatten(0, (-1, n)).mean(1)


def tiled(model, inputs, targets, n=3):
    noise = torch.randn(n, *inputs.shape[1:], generator=torch.Generator().manual_seed(7)).repeat_interleave(len(inputs), 0)
    noisy = inputs.repeat(n, *[1] * (inputs.ndim - 1)) + 0.5 * noise
    return saliency(model, noisy, targets.repeat(n)).unflatten(0, (n, -1)).mean(0)


@pytest.mark.parametrize(("mask_rate", "seed"), [(0.02, 0), (0.02, 1), (0.5, 2), (0.98, 0), (0.98, 1)])
@pytest.mark.parametrize("explain_func", [interleaved, tiled])
def test_masks_that_are_nearly_all_alike(mask_rate, explain_func, seed):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(96, 3)).eval()
    metric, _ = check(model, images(1), classes(1), "0", explain_func, n_masks=64, mask_rate=mask_rate)
    assert names(metric) == {"0": "hooks"}


def test_no_layout_is_right_for_both_the_model_and_the_method():
    metric, _ = check(Tokens().eval(), images(2), classes(2), "fc", tiled, n_masks=40, mask_rate=0.9)
    assert names(metric) == {"fc": "weights"}


@pytest.mark.unwatched("generators")
def test_noise_that_depends_on_the_place_in_the_batch():
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )

    def seeded(model, inputs, targets):
        torch.manual_seed(0)
        return NoiseTunnel(Saliency(model)).attribute(inputs, nt_samples=4, stdevs=0.3, target=targets)

    for batch_size in (1, 64):
        check(model.eval(), images(), np.arange(3), "2", seeded, call={"batch_size": batch_size}, n_masks=20)


def with_first_as_baseline(model, inputs, targets):
    attributor = IntegratedGradients(model)
    return attributor.attribute(inputs, baselines=inputs[:1] / 2, target=targets, n_steps=8).detach()


def gradient_of_mean_loss(model, inputs, targets):
    """It gets smaller in larger batches, and below a limit it counts as 0."""
    inputs = inputs.detach().clone().requires_grad_()
    (grads,) = torch.autograd.grad(nn.functional.cross_entropy(model(inputs), targets), inputs)
    return torch.where(grads.abs() < 1e-3, 0, grads)


def fewer_samples_in_large_batches(model, inputs, targets):
    noise = torch.randn(16 if len(inputs) <= 4 else 2, *inputs.shape[1:], generator=torch.Generator().manual_seed(0))
    return torch.stack([saliency(model, inputs + one, targets) for one in noise.to(inputs)]).mean(0)


class AddsItsPlace(nn.Module):
    """Its outputs depend on the place of a sample in the batch, and their gradients do not."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(64, 3)

    def forward(self, x):
        place = torch.arange(len(x), dtype=x.dtype)[:, None]
        return self.fc(self.conv(x).relu().flatten(1)) + place * torch.tensor([0.1, 0.0, -0.1])


class Plain(AddsItsPlace):
    def forward(self, x):
        return self.fc(self.conv(x).relu().flatten(1))


@pytest.mark.parametrize("n_images", [1, 3])
@pytest.mark.parametrize(
    ("model", "explain_func"),
    [
        (Plain, with_first_as_baseline),
        (Plain, gradient_of_mean_loss),
        (Plain, fewer_samples_in_large_batches),
        (AddsItsPlace, saliency),
    ],
)
def test_what_depends_on_the_batch_is_run_one_by_one(model, explain_func, n_images):
    model = model().eval()
    metric, _ = check(model, images(n_images), np.arange(n_images) % 3, "conv", explain_func)
    assert names(metric) == {"conv": "weights"}
    assert (
        metric.strategies["conv"].why == "the explanation or prediction of an input changes with the other inputs of the batch"
    )


class ConvReLU(nn.Conv2d):
    """A layer that does more than its weights: an eliminated channel is not its bias."""

    def forward(self, x):
        return super().forward(x).relu()


@pytest.mark.parametrize("max_batch_size", [1, 5, "auto"])
def test_a_layer_that_does_more_than_its_weights(max_batch_size):
    torch.manual_seed(3)
    model = nn.Sequential(ConvReLU(1, 4, 3), nn.Flatten(), nn.Linear(64, 8), nn.Tanh(), nn.Linear(8, 3)).eval()
    with torch.no_grad():
        model[0].bias[:] = torch.tensor([1.0, 1.0, 1.0, -1.0])
    metric, _ = check(model, images(2), classes(2), "0", saliency, n_masks=16, max_batch_size=max_batch_size)
    assert names(metric) == {"0": "weights"}


def test_what_is_disproved_later_is_forgotten():
    """The third image is explained in pieces, which repeat samples so often that their number looks right."""

    def sometimes_in_pieces(model, inputs, targets):
        third = (inputs == torch.tensor(X[2])).flatten(1).all(1).any()
        pieces = zip(inputs.split(4), targets.split(4), strict=True)
        if not third or len(inputs) <= 4:
            return gradient(model, inputs, targets)
        return torch.cat([gradient(model, x.repeat(3, 1, 1, 1), y.repeat(3))[: len(x)] for x, y in pieces])

    X = images()
    metric, _ = check(
        Tokens().eval(), X, classes(3), "conv", sometimes_in_pieces, {"batch_size": 1}, n_masks=N_DOZENS, max_batch_size=12
    )
    assert names(metric) == {"conv": "weights"}
    assert metric.strategies["conv"].images == {"weights": 3}


@pytest.mark.parametrize("scale", [1e-2, 1e-4, 1e-6])
def test_layers_that_matter_little(scale):
    metric, _ = check(Tokens(scale=scale).eval(), images(2), classes(2), "fc", saliency, n_masks=20)
    assert scale < 1e-2 or names(metric) == {"fc": "hooks"}


def beside_a_neighbour(model, inputs, targets):
    return gradient(model, inputs, targets) * (inputs + 2 * inputs.roll(1, 0))


def above_the_median(model, inputs, targets):
    maps = gradient(model, inputs, targets)
    return maps * (maps > maps.median())


@pytest.mark.parametrize("explain_func", [beside_a_neighbour, above_the_median])
@pytest.mark.parametrize(("batch_size", "strategy"), [(1, "auto"), (2, "auto"), (64, "auto"), (64, "weights")])
def test_methods_that_look_at_the_rest_of_the_batch(explain_func, batch_size, strategy):
    model = Tokens().eval()
    metric, _ = check(model, images(), classes(3), "conv", explain_func, {"batch_size": batch_size}, strategy=strategy)
    if batch_size > 1:
        assert names(metric) == {"conv": "weights"}


class ByKeyword(nn.Module):
    def __init__(self, how):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.out, self.how = nn.Linear(36, 6), nn.Linear(6, 3), how

    def forward(self, x):
        h = x.flatten(1)
        h = self.fc(input=h) if self.how == "keyword" else torch.stack([self.fc(row) for row in h])
        return self.out(h.tanh())


class FlattensItself(nn.Linear):
    def forward(self, x):
        return super().forward(x.flatten(1))


@pytest.mark.parametrize("case", ["keyword", "row by row", "flattens"])
def test_layers_that_are_called_in_unusual_ways(case):
    torch.manual_seed(0)
    flattening = nn.Sequential(FlattensItself(36, 6), nn.Tanh(), nn.Linear(6, 3))
    model, layer = (flattening, "0") if case == "flattens" else (ByKeyword(case), "fc")
    metric, _ = check(model.eval(), images(2), classes(2), layer)
    assert names(metric) == {layer: "weights"}
    assert metric.strategies[layer].why.startswith("the layer is given")


def test_a_layout_is_not_settled_by_what_cannot_settle_it():
    metric, _ = check(table_model(), inputs(1, 6), classes(1), "0", interleaved, n_masks=5, max_batch_size=2, mask_rate=0.5)
    assert names(metric) == {"0": "hooks"}


class Routed(nn.Module):
    """Two experts, chosen by the input."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.experts, self.out = nn.ModuleList([nn.Linear(6, 4), nn.Linear(6, 4)]), nn.Linear(4, 3)

    def forward(self, x):
        chosen = [self.experts[int(row[0] > 0)](row[None]) for row in x]
        return self.out(torch.cat(chosen).tanh())


def test_layers_that_only_some_images_use():
    x = np.abs(inputs(4, 6))
    x[:2, 0] *= -1
    for layer in ("experts.0", "experts.1", "out"):
        check(Routed().eval(), x, classes(4), layer)


def test_short_forms_among_names():
    metric = ParameterSensitivityConsistency(2, layers=["first_conv", "out"], disable_warnings=True)
    metric(Tokens().eval(), images(1), classes(1), explain_func=gradient)
    assert list(metric.sensitivities) == ["conv", "out"]


def test_layers_from_a_generator_and_parameters_that_are_set_later():
    metric = ParameterSensitivityConsistency(2, layers=(name for name in ["conv", "out"]), disable_warnings=True)
    for _ in range(2):
        metric(Tokens().eval(), images(1), classes(1), explain_func=gradient)
        assert list(metric.sensitivities) == ["conv", "out"]
    metric.strategy = "bogus"
    with pytest.raises(ValueError, match="unknown strategy 'bogus'"):
        metric(Tokens().eval(), images(1), classes(1), explain_func=gradient)
    metric.strategy, metric.layers = "auto", 7
    with pytest.raises(ValueError, match="layers=7 must be None"):
        metric(Tokens().eval(), images(1), classes(1), explain_func=gradient)
    for layers in (nn.Linear(2, 2), nn.Linear):
        with pytest.raises(ValueError, match="must be None, a list of names, a predicate"):
            ParameterSensitivityConsistency(layers=layers)


def test_models_whose_layers_cannot_be_masked():
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()
    with pytest.raises(ValueError, match="leaves no convolution or fully connected layer"):
        ParameterSensitivityConsistency(2)(torch.jit.script(model), inputs(1, 6), classes(1), explain_func=gradient)
    model[0].weight = nn.Parameter(torch.randn(1, 6).expand(8, 6))
    with pytest.raises(ValueError, match="layer '0' has a weight of which several places share one number"):
        ParameterSensitivityConsistency(2, layers="0")(model, inputs(1, 6), classes(1), explain_func=gradient)


@functools.cache
def tokens_scores():
    return check(Tokens().eval(), images(3), classes(3), "fc")[1]


@pytest.mark.parametrize("strategy", ["auto", "weights"])
@pytest.mark.parametrize("limit", [1, 2, 3, 10, 40])
def test_memory_errors_change_nothing(limit, strategy):
    def short_of_memory(model, inputs, targets):
        if len(inputs) > limit:
            raise torch.OutOfMemoryError("no memory")
        return gradient(model, inputs, targets)

    metric, scores = check(Tokens().eval(), images(3), classes(3), "fc", short_of_memory, strategy=strategy)
    assert names(metric) == {"fc": {"auto": "hooks"}.get(strategy, strategy)}
    assert scores == pytest.approx(tokens_scores())


@pytest.mark.parametrize("strategy", ["auto", "weights"])
@pytest.mark.parametrize("when", range(6, 20, 4))
def test_a_memory_error_in_the_middle_changes_nothing(when, strategy):
    calls = []

    def once_short_of_memory(model, inputs, targets):
        calls.append(1)
        if len(calls) == when and len(inputs) > 1:
            raise torch.OutOfMemoryError("no memory")
        return gradient(model, inputs, targets)

    check(Tokens().eval(), images(3), classes(3), "fc", once_short_of_memory, strategy=strategy)


class BatchStatistics(nn.Module):
    """A prediction that depends on the rest of the batch."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.norm = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)
        self.fc = nn.Linear(96, 3)

    def forward(self, x):
        return self.fc(self.norm(self.conv(x)).tanh().flatten(1))


@pytest.mark.parametrize("batch_size", [1, 2, 64])
def test_predictions_that_depend_on_the_rest_of_the_batch(batch_size):
    def one_by_one(model, inputs, targets):
        return torch.cat([saliency(model, x[None], y[None]) for x, y in zip(inputs, targets, strict=True)])

    check(BatchStatistics().eval(), images(4), classes(4), "conv", one_by_one, {"batch_size": batch_size})


class TiedWeakly(nn.Module):
    """A weight that is used a second time, where it matters for small attributions alone."""

    def __init__(self, scale):
        super().__init__()
        torch.manual_seed(0)
        self.a, self.b, self.out, self.scale = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3), scale
        self.b.weight = self.a.weight

    def forward(self, x):
        return self.out(self.a(x[:, :6]).tanh() + self.scale * self.b(x[:, 6:]).tanh())


@pytest.mark.parametrize("scale", [1e-3, 3e-5, 1e-5])
def test_attributions_that_are_small_have_ranks_too(scale):
    metric, _ = check(TiedWeakly(scale).eval(), inputs(3, 12), classes(3), "a", saliency)
    assert names(metric) == {"a": "weights"}


class AtLeastOfNorm(nn.Conv2d):
    """A layer that scales its weight as a whole, if little of it is left."""

    def forward(self, x):
        scale = (0.9 / self.weight.norm().clamp_min(1e-9)).clamp_min(1)
        return nn.functional.conv2d(x, self.weight * scale, self.bias)


@pytest.mark.parametrize("seed", range(3))
def test_a_layer_that_changes_when_few_units_are_left(seed):
    torch.manual_seed(seed)
    model = nn.Sequential(AtLeastOfNorm(1, 12, 3), nn.Tanh(), nn.Flatten(), nn.Linear(192, 3)).eval()
    metric, _ = check(model, images(), classes(3), "0", saliency, mask_rate=0.7, n_masks=40)
    assert names(metric) == {"0": "weights"}


def test_normalising_over_the_batch_is_no_obstacle():
    metric, scores = check(Tokens().eval(), images(), classes(3), "conv", saliency, normalise=True)
    assert names(metric) == {"conv": "hooks"}
    assert scores == check(Tokens().eval(), images(), classes(3), "conv", saliency)[1]


def test_an_explanation_that_is_nan_is_no_matter_of_the_others():
    def nan_for_blank(model, inputs, targets):
        return torch.where(
            inputs.eq(0).all(-1, keepdim=True).all(-2, keepdim=True), torch.nan, gradient(model, inputs, targets)
        )

    metric = ParameterSensitivityConsistency(24, layers="conv", disable_warnings=True)
    scores = metric(Tokens().eval(), images(blank=[1]), classes(3), explain_func=nan_for_blank)
    assert [np.isnan(score) for score in scores] == [False, True, False]
    _, expected = check(Tokens().eval(), images(blank=[1])[[0, 2]], classes(3)[[0, 2]], "conv")
    np.testing.assert_allclose([scores[0], scores[2]], expected)
    assert names(metric) == {"conv": "hooks"}


def in_pieces_if_many(model, inputs, targets):
    """Right for few inputs; for many, pieces are repeated so often that the number of samples looks right."""
    if len(inputs) <= 8:
        return gradient(model, inputs, targets)
    pieces = zip(inputs.split(4), targets.split(4), strict=True)
    return torch.cat([gradient(model, x.repeat(3, 1, 1, 1), y.repeat(3))[: len(x)] for x, y in pieces])


def test_methods_that_change_with_the_number_of_inputs():
    metric, _ = check(Tokens().eval(), images(1), classes(1), "conv", in_pieces_if_many, n_masks=N_DOZENS, max_batch_size=12)
    assert names(metric) == {"conv": "weights"}


class WeakBranch(nn.Module):
    """A layer that does more than its weights, in a branch that hardly matters."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.skip, self.conv, self.out = nn.Linear(36, 3), ConvReLU(1, 4, 3), nn.Linear(64, 3)
        with torch.no_grad():
            self.conv.bias[:] = torch.tensor([1.0, 1.0, -1.0, -1.0])

    def forward(self, x):
        return self.skip(x.flatten(1)) + 1e-5 * self.out(self.conv(x).flatten(1))


def test_a_layer_that_hardly_matters_and_does_more_than_its_weights():
    metric = ParameterSensitivityConsistency(16, layers="conv", disable_warnings=True)
    metric(WeakBranch().eval(), images(2), classes(2), explain_func=saliency)
    assert names(metric) == {"conv": "weights"}


@pytest.mark.parametrize("n", [1, 3])
def test_equal_samples_that_are_repeated_next_to_each_other(n):
    """Of one image, equal samples stand at the end as well, under other masks."""

    def repeated(model, inputs, targets):
        maps = gradient(model, inputs.repeat_interleave(3, 0), targets.repeat_interleave(3))
        return maps.unflatten(0, (-1, 3)).mean(1)

    metric, _ = check(Tokens().eval(), images(n), classes(n), "conv", repeated)
    assert names(metric) == {"conv": "hooks"}
