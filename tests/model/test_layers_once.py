"""Layers before a masked one are run once for each input, and nothing else changes."""

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import ParameterSensitivityConsistency, explain
from quantus_senc.metrics.hook_check import HookCheck
from quantus_senc.model.layers_once import LayersOnce
from tests.metrics.test_parameter_senc import CNN, METHODS, ResNet, grad_cam
from tests.small_models import classes, gradient, inputs

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def senc(model, layer, method, x, strategy="auto", **parameters):
    given = {"max_batch_size": 40, **parameters}
    metric = ParameterSensitivityConsistency(60, 0.5, layers=[layer], strategy=strategy, disable_warnings=True, **given)
    metric(model, x, classes(len(x)), explain_func=method)
    return metric, metric.sensitivities[layer]


def agree(a, b):
    for one, other in zip(a, b, strict=True):
        torch.testing.assert_close(one.prediction, other.prediction, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(one.explanation, other.explanation, rtol=1e-9, atol=1e-9)


def spent(model, layer, method, x, **parameters):
    """What a run with once finds, and how many rows a convolution computes, for which torch's own function is counted."""
    rows, conv = [], nn.functional.conv2d

    def counted(values, *args, **kwargs):
        rows.append(len(values))
        return conv(values, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("torch.nn.modules.conv.F.conv2d", counted)
        metric, found = senc(model, layer, method, x, **parameters)
    assert metric.strategies[layer].name == "hooks", metric.strategies
    return found, sum(rows)


EXPLAINERS = [*(name for name in METHODS if name != "LayerGradCam"), "cam before", "cam after", "explain"]


@pytest.mark.unwatched("generators")
@pytest.mark.parametrize(
    ("network", "layer", "method"),
    [
        *((CNN, "fc2", method) for method in EXPLAINERS),
        *((ResNet, "block2.conv2", method) for method in EXPLAINERS if method not in ("InputXGradient", "NoiseTunnel", "LRP")),
    ],
)
def test_sensitivities_are_those_of_zeroed_weights_and_of_hooks_alone(monkeypatch, network, layer, method):
    model, x = network().double().eval(), inputs(2, 1, 8, 8).astype(np.float64)
    cams = {"cam before": ("conv1", "block1.conv2"), "cam after": ("conv2", "block2.conv2")}
    if method in cams:
        explain_func = grad_cam(cams[method][network is ResNet])
    else:
        explain_func = explain if method == "explain" else METHODS[method]
    found, n_rows = spent(model, layer, explain_func, x)
    agree(found, senc(model, layer, explain_func, x, "weights")[1])
    monkeypatch.setattr(LayersOnce, "active", False)
    alone, n_rows_alone = spent(model, layer, explain_func, x)
    agree(found, alone)
    if method != "LRP":  # which hooks the layers itself; proofs spare nothing
        assert n_rows < 0.8 * n_rows_alone
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Conv1d(4, 6, 3, 2, 1), (4, 11)),
        (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 0), (1, 2), groups=2), (4, 9, 8)),
        (nn.Conv2d(4, 4, 3, groups=4, bias=False), (4, 6, 6)),
        (nn.Conv2d(4, 4, 2, 3), (4, 10, 10)),
        (nn.Conv3d(4, 2, 3, padding=1), (4, 5, 4, 3)),
        (nn.Conv2d(1, 6, 5), (1, 14, 11)),
        (nn.Conv2d(1, 5, (4, 7), (2, 1), padding=(2, 5)), (1, 9, 12)),
        (nn.Conv2d(2, 5, (7, 5), (2, 3), (3, 1)), (2, 13, 20)),
        (nn.Conv2d(3, 8, 4, 4), (3, 18, 15)),
        (nn.Conv2d(4, 8, 4, 7, 6), (4, 18, 15)),
        (nn.Linear(7, 5), (7,)),
        (nn.Linear(7, 5), (3, 7)),
    ],
)
@pytest.mark.parametrize("layout", ["tiled", "interleaved"])
@pytest.mark.parametrize("n_repeats", [1, 3])
def test_outputs_and_gradients_are_the_layer_s_own(layer, shape, layout, n_repeats):
    layer, masked = layer.double(), nn.Identity()
    model = nn.Sequential(layer, masked)
    which = torch.tensor([0, 0, 0, 1, 1, 2])
    images = torch.randn(3, *shape, dtype=torch.float64)[which]
    repeats = [images * scale for scale in range(1, n_repeats + 1)]
    given = torch.cat(repeats) if layout == "tiled" else torch.stack(repeats, 1).flatten(0, 1)
    expected_inputs, found_inputs = (given.clone().requires_grad_() for _ in range(2))
    expected = model(expected_inputs)
    weights = torch.randn_like(expected)
    (expected * weights).sum().backward()
    once = LayersOnce(model, masked, lambda: model(given))
    assert once.active
    rows = []
    with once.for_copies(which, torch.tensor([0, 3, 5]), layout), pytest.MonkeyPatch.context() as patched:
        compute = layer.forward
        patched.setattr(layer, "forward", lambda values: rows.append(len(values)) or compute(values))
        found = model(found_inputs)
        (found * weights).sum().backward()
    assert rows == [3 * n_repeats]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(found_inputs.grad, expected_inputs.grad)
    assert not once.failed()
    assert once.active


def test_passes_of_few_copies_spare_nothing(monkeypatch):
    """There it would cost more than it saves."""
    model, x = ResNet().double().eval(), inputs(2, 1, 8, 8).astype(np.float64)
    for size, spares in ((3, False), (6, True)):
        n_rows = [spent(model, "block2.conv2", gradient, x, max_batch_size=size)[1]]
        with monkeypatch.context() as patched:
            patched.setattr(LayersOnce, "active", False)
            n_rows.append(spent(model, "block2.conv2", gradient, x, max_batch_size=size)[1])
        assert (n_rows[0] < n_rows[1]) == spares


def viewed(model, inputs, targets):
    """Wants gradients that can be viewed."""
    maps = gradient(model, inputs, targets)
    (grads,) = torch.autograd.grad(model(inputs.requires_grad_()).sum(), inputs)
    return grads.view(len(grads), -1).view(maps.shape) * maps


class Altering(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.masked, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.requires_grad_(False)

    def forward(self, x):
        h = 1.0 * x
        y = self.first(h)
        h += y.relu()
        return self.out(self.masked(h).relu())


class Stem(nn.Sequential):
    """With a large kernel first."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(
            nn.Conv2d(1, 4, 5, padding=2), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 49, 6), nn.ReLU(), nn.Linear(6, 3)
        )


@pytest.mark.parametrize(
    ("network", "layer", "shape", "method"),
    [(Stem, "5", (1, 7, 7), viewed), (Altering, "masked", (6,), gradient), (Stem, "5", (1, 7, 7), gradient)],
)
@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_layers_stay_spared(monkeypatch, network, layer, shape, method, precision):
    stops = []
    monkeypatch.setattr(LayersOnce, "stop", lambda once: stops.append(once))
    metric, _ = senc(network().to(precision).eval(), layer, method, inputs(2, *shape))
    assert metric.strategies[layer].name == "hooks"
    assert not stops


def test_a_layer_that_is_called_again_after_the_masked_one_computes_all():
    layer, masked = nn.Linear(4, 4), nn.Identity()
    masked.register_forward_hook(lambda module, args, output: output * torch.arange(1.0, 7.0)[:, None])
    model, given = nn.Sequential(layer, masked, layer), torch.rand(1, 4).repeat(6, 1)
    expected, once = model(given), LayersOnce(model, masked, lambda: model(given))
    with once.for_copies(torch.zeros(6, dtype=torch.int64), torch.tensor([0]), "tiled"):
        torch.testing.assert_close(model(given), expected)


@pytest.mark.parametrize("place", [0, 1, 5])
def test_samples_that_are_no_copies_are_noticed(place):
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    given = torch.ones(6, 4)
    given[place, 2] = 1.5
    once = LayersOnce(model, model[1], lambda: model(given))
    with once.for_copies(torch.zeros(6, dtype=torch.int64), torch.tensor([0]), "tiled"):
        model(given)
    assert once.failed()
    assert not once.active


def test_passes_of_no_copies_are_run_again(monkeypatch):
    def by_place(model, inputs, targets):
        scale = 1 + torch.arange(len(inputs), dtype=inputs.dtype) * (len(inputs) > 20)  # in full passes alone
        return gradient(model, inputs * scale[:, None, None, None], targets)

    monkeypatch.setattr(HookCheck, "probe", lambda *args: None)  # as if the masks that it chooses told nothing
    model, x = CNN().double().eval(), inputs(2, 1, 8, 8).astype(np.float64)
    metric, found = senc(model, "fc1", by_place, x)
    assert metric.strategies["fc1"].name == "hooks"
    monkeypatch.setattr(LayersOnce, "active", False)
    agree(found, senc(model, "fc1", by_place, x)[1])


class Twice(nn.Module):
    """A layer that is called before the masked one and after it, and a branch beside that one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.shared, self.masked, self.beside, self.out = (nn.Linear(6, 6) for _ in range(4))

    def forward(self, x):
        h = self.shared(x).tanh()
        return self.out(self.shared(self.masked(h).tanh()).tanh() + self.beside(h).tanh())


def squared_gradient(model, inputs, targets):
    """The gradient of the gradient's square."""
    inputs = inputs.detach().requires_grad_()
    chosen = model(inputs).gather(1, targets[:, None]).sum()
    (first,) = torch.autograd.grad(chosen, inputs, create_graph=True)
    return torch.autograd.grad((first**2).sum(), inputs)[0]


def altering(model, inputs, targets):
    """Noise on the weights, which is taken back at the end, if nothing is raised before."""
    weight = model.shared.weight
    before = weight.detach().clone()
    weight.data += 0.1 * (weight.data != 0)
    maps = squared_gradient(model, inputs, targets)
    weight.data.copy_(before)
    return maps


def from_the_middle(model, inputs, targets):
    """Calls a part of the model by itself after the whole."""
    maps = gradient(model, inputs, targets)
    noise = torch.rand(inputs.shape, dtype=inputs.dtype, generator=torch.Generator().manual_seed(0))
    return maps * model.shared(inputs + 0 * noise).detach().square()


@pytest.mark.parametrize("method", [gradient, squared_gradient, altering, from_the_middle])
@pytest.mark.parametrize("layer", ["masked", "beside", "out"])
def test_unusual_models_and_methods(method, layer):
    model, x = Twice().double().eval(), inputs(2, 6).astype(np.float64)
    metric, found = senc(model, layer, method, x)
    assert metric.strategies[layer].name == "hooks"
    agree(found, senc(model, layer, method, x, "weights")[1])


def doubled(module, args, output):
    return 2 * output


@pytest.mark.parametrize("kind", ["forward", "pre", "backward"])
def test_layers_with_hooks_of_the_user_are_left_alone(kind):
    model, x = CNN().double().eval(), inputs(2, 1, 8, 8).astype(np.float64)
    if kind == "forward":
        model.conv2.register_forward_hook(doubled)
    elif kind == "pre":
        model.conv2.register_forward_pre_hook(lambda module, args: (args[0] ** 2,))
    else:
        model.conv2.register_full_backward_hook(lambda module, given, taken: (3 * given[0],))
    metric, found = senc(model, "fc1", METHODS["Saliency"], x)
    assert metric.strategies["fc1"].name == "hooks"
    agree(found, senc(model, "fc1", METHODS["Saliency"], x, "weights")[1])


def test_errors_of_the_method_are_its_own():
    def raises(model, inputs, targets):
        if len(inputs) > 8:
            raise RuntimeError("no explanation today")
        return gradient(model, inputs, targets)

    model = CNN().eval()
    with pytest.raises(RuntimeError, match="no explanation today"):
        senc(model, "fc1", raises, inputs(1, 1, 8, 8))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
