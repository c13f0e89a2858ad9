import gc
import warnings
import weakref

import numpy as np
import pytest
import quantus
import torch
from captum import attr
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain, explain_random
from quantus_senc._methods import METHODS
from tests import networks

N_CLASSES = 5
OF_THE_PAPER = ["Saliency", "GuidedBackprop", "IntegratedGradients", "LRP", "GradCAM", "DeepLift"]
NETWORKS = {
    "CNN": networks.PlainCNN,
    "ResNet18": networks.ResNet18,
    "MobileNetV3": networks.MobileNetV3,
    "transformer": networks.VisionTransformer,
    "functional": networks.Functional,
}
CAPTUM = {
    "GuidedBackprop": lambda twin, x, y: attr.GuidedBackprop(twin).attribute(x, y),
    "DeepLift": lambda twin, x, y: attr.DeepLift(twin).attribute(x, torch.zeros_like(x), y),
    "LRP": lambda twin, x, y: attr.LRP(twin).attribute(x, y),
}

pytestmark = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("DeepLift. Captum has no rule", "GuidedBackprop. the model has no ReLU", "Input Tensor 0", "Setting")
]


@pytest.fixture
def x():
    return torch.rand(3, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def y():
    return torch.tensor([0, 4, 2])


def network(name):
    torch.manual_seed(0)
    return networks.randomised(NETWORKS[name]())


def twin_by_hand(name, model, method):
    if name == "MobileNetV3":
        return networks.mobilenet_twin(model, method == "LRP")
    return {"CNN": networks.plain_twin, "ResNet18": networks.resnet_twin}[name](model)


@pytest.mark.parametrize("method", list(CAPTUM))
@pytest.mark.parametrize("name", ["CNN", "ResNet18", "MobileNetV3"])
def test_maps_are_those_of_a_twin_prepared_by_hand(name, method, x, y):
    model = network(name)
    expected = CAPTUM[method](twin_by_hand(name, model, method), x.clone().requires_grad_(), y)
    found = explain(model, x, y, method=method, reduce_axes=())
    torch.testing.assert_close(found, expected.detach(), rtol=1e-4, atol=1e-6 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("method", list(CAPTUM))
def test_functions_and_methods_of_tensors_become_modules(method, x, y):
    model = network("functional")
    inside = (x - model.mean) / 0.25
    baseline = {"baseline": model.mean} if method == "DeepLift" else {}  # which normalises to that of the twin
    found = explain(model, x, y, method=method, reduce_axes=(), **baseline)
    expected = CAPTUM[method](networks.functional_twin(model), inside.clone().requires_grad_(), y).detach()
    if method == "GuidedBackprop":
        expected /= 0.25
    if method == "LRP":  # normalising shifts the input as a bias does: the z-rule gives the shift its part
        expected = expected / (inside + 1e-9 * inside.sign()) * x / 0.25
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("method", ["Saliency", "Gradient", "InputXGradient", "IntegratedGradients", "DeepLift", "LRP"])
def test_same_values_as_quantus(method, x, y):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 12), networks.SpatialSum()
    ).eval()
    if method == "LRP":
        model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5)).eval()
        x = x[:, 0, 0, :8]
    found = explain(model, x, y, method=method)
    expected = quantus.explain(model, x, y, method=method)
    assert found.shape == expected.shape
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("method", OF_THE_PAPER)
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_method_of_the_paper_explains_every_network(name, method, x, y):
    model = network(name)
    if (name, method) == ("transformer", "LRP"):
        with pytest.raises(ValueError, match=r"no rule for 'blocks.0.norm1' \(LayerNorm\)"):
            explain(model, x, y, method=method)
        return
    maps = explain(model, x, y, method=method)
    assert maps.shape == (3, 1, 16, 16)
    assert maps.isfinite().all()
    assert (maps.flatten(1).std(1) > 0).all()
    one = explain(model, x[1:2], y[1:2], method=method)
    torch.testing.assert_close(maps[1:2], one, rtol=1e-3, atol=1e-5 * float(maps.abs().max()))


@pytest.mark.parametrize("method", list(METHODS))
@pytest.mark.parametrize("name", ["ResNet18", "MobileNetV3"])
def test_model_is_not_altered(name, method, x, y):
    model = network(name)
    model.train()
    before = snapshot(model)
    explain(model, x, y, method=method)
    assert snapshot(model) == before


@pytest.mark.parametrize("method", list(METHODS))
def test_model_is_not_altered_when_captum_raises(method, x, y):
    model = network("ResNet18")
    explain(model, x, y, method=method)
    before = snapshot(model)
    with pytest.raises(Exception, match=r"out of bounds|out of range|index"):
        explain(model, x, y + N_CLASSES, method=method)
    assert snapshot(model) == before
    assert explain(model, x, y, method=method).isfinite().all()


def snapshot(model):
    tensors = [tensor.clone().numpy().tobytes() for tensor in model.state_dict().values()]
    attributes = [
        [(key, len(value) if hasattr(value, "__len__") else repr(value)) for key, value in vars(module).items()]
        for module in model.modules()
    ]
    return tensors, attributes, [module.training for module in model.modules()]


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_twin_follows_weights_and_hooks(method, x, y):
    model = network("ResNet18")
    before = explain(model, x, y, method=method)
    with torch.no_grad():
        model.layer1[0].conv1.weight.mul_(1.5)
    other_weights = explain(model, x, y, method=method)
    assert not torch.allclose(before, other_weights)
    with model.layer2[0].conv2.register_forward_hook(lambda module, args, output: output * 0.5):
        hooked = explain(model, x, y, method=method)
    assert not torch.allclose(hooked, other_weights)
    assert torch.equal(explain(model, x, y, method=method), other_weights)


def test_twin_follows_modules_that_are_replaced(x, y):
    model = network("ResNet18")
    before = explain(model, x, y, method="DeepLift")
    model.fc = nn.Linear(model.fc.in_features, N_CLASSES)
    after = explain(model, x, y, method="DeepLift")
    assert not torch.allclose(before, after)
    model.maxpool = nn.AvgPool2d(3, 2, 1)
    assert not torch.allclose(after, explain(model, x, y, method="DeepLift"))


def test_twin_is_made_once(x, y, monkeypatch):
    model, calls = network("ResNet18"), []
    trace = torch.fx.Tracer.trace
    monkeypatch.setattr(torch.fx.Tracer, "trace", lambda *args, **kwargs: calls.append(1) or trace(*args, **kwargs))
    for _ in range(3):
        explain(model, x, y, method="DeepLift")
    assert len(calls) == 1


def test_model_can_be_forgotten(x, y):
    model = network("ResNet18")
    for method in METHODS:
        explain(model, x, y, method=method)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_hook_that_the_twin_would_miss_is_an_error(x, y):
    model = network("ResNet18")
    with model.layer1.register_forward_hook(lambda module, args, output: 2 * output):
        with pytest.raises(ValueError, match=r"module 'layer1' \(Sequential\) has hooks"):
            explain(model, x, y, method="DeepLift")
        explain(model, x, y, method="Saliency")


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(x) if x.sum() > 0 else self.fc(-x)


def test_model_that_cannot_be_traced_is_an_error():
    with pytest.raises(ValueError, match="cannot trace Branching"):
        explain(Branching(), torch.rand(2, 4), torch.zeros(2, dtype=torch.long), method="DeepLift")
    assert explain(Branching(), torch.rand(2, 4), torch.zeros(2, dtype=torch.long), method="Saliency").shape == (2, 4)


class Rereading(nn.Module):
    """Reads a tensor again after it was changed in place under another name."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        hidden = self.fc(x)
        hidden.relu_()
        return hidden


def test_twin_that_predicts_otherwise_is_an_error():
    with pytest.raises(ValueError, match="rewritten so predicts otherwise"):
        explain(Rereading(), torch.rand(20, 4), torch.zeros(20, dtype=torch.long), method="DeepLift")


def test_what_captum_lacks_is_said_once(x, y):
    model = network("MobileNetV3")
    with pytest.warns(UserWarning, match=r"DeepLift: Captum has no rule for 'features.0.2' \(Hardswish\)"):
        explain(model, x, y, method="DeepLift")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, x, y, method="DeepLift")
    with pytest.warns(UserWarning, match="GuidedBackprop: the model has no ReLU"):
        explain(network("transformer"), x, y, method="GuidedBackprop")


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_parameter_senc_by_hooks_and_by_zeroed_weights(method, x, y):
    scores = {}
    for strategy in ("hooks", "weights"):
        senc = ParameterSensitivityConsistency(40, 0.5, layers="first_conv", strategy=strategy)
        scores[strategy] = senc(
            network("ResNet18"), x.numpy(), y.numpy(), explain_func=explain, explain_func_kwargs={"method": method}
        )
    np.testing.assert_allclose(scores["hooks"], scores["weights"], atol=1e-6)


def test_in_an_evaluation_beside_quantus(x, y):
    model = network("ResNet18")
    senc = DataSensitivityConsistency(20, segment_func="grid", segment_func_kwargs={"patch_size": 4})
    results = quantus.evaluate(
        {"SenC": senc, "Correlation": quantus.FaithfulnessCorrelation(return_aggregate=False, subset_size=50)},
        {"DeepLift": explain, "random": explain_random},
        model,
        x.numpy(),
        y.numpy(),
        explain_func_kwargs={"method": "DeepLift"},
    )
    assert np.isfinite([results[method][metric] for method in results for metric in results[method]]).all()


READING = ("cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__float__", "__int__")


class Stays(TorchFunctionMode):
    """Fails where a tensor's values are read by the host."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        steps = getattr(func, "__name__", "") == "tolist" and args[0].shape == (10,)  # Captum makes its ten steps on the host
        assert steps or getattr(func, "__name__", "") not in READING, func
        return func(*args, **(kwargs or {}))


class StaysBelow(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("method", list(METHODS))
def test_nothing_is_read_by_the_host(method, x, y):
    model = network("CNN")
    explain(model, x, y, method=method)
    with Stays(), StaysBelow():
        found = explain(model, x, y, method=method)
    assert found.device == x.device


def test_arrays_for_arrays_and_tensors_for_tensors(x, y):
    model = network("CNN")
    tensors = explain(model, x, y, method="Saliency")
    arrays = explain(model, x.numpy(), y.numpy(), method="Saliency", device="cpu")
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(tensors.numpy(), arrays)
    assert not tensors.requires_grad
    assert not x.requires_grad
    assert explain(model.double(), x, y, method="Saliency").dtype is torch.float64


def test_axes_are_summed_as_in_quantus(x, y):
    model = network("CNN")
    whole = explain(model, x, y, method="Gradient", reduce_axes=())
    torch.testing.assert_close(explain(model, x, y, method="Gradient"), whole.sum(1, keepdim=True))
    torch.testing.assert_close(explain(model, x, y, method="Gradient", reduce_axes=(1, 2), keepdims=False), whole.sum((1, 2)))
    with pytest.raises(ValueError, match=r"reduce_axes=\(0,\)"):
        explain(model, x, y, reduce_axes=(0,))


def test_gradient_is_wanted_without_gradients(x, y):
    model = network("CNN")
    with torch.no_grad():
        assert explain(model, x, y, method="Saliency").abs().sum() > 0


def test_integrated_gradients_steps_add_up(x, y):
    model = network("CNN")
    maps = explain(model, x, y, method="ig", n_steps=200, integration="gausslegendre", internal_batch_size=30, reduce_axes=())
    expected = (model(x) - model(torch.zeros_like(x))).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(maps.sum((1, 2, 3)), expected, rtol=0.02, atol=1e-3)
    other = explain(model, x, y, method="ig", baseline=x[:1])
    assert other[0].abs().max() == 0


def test_smooth_grad_is_a_mean_of_saliency_over_noise_that_is_the_same_for_every_input(x, y):
    model = network("CNN")
    both = explain(model, x, y, method="SmoothGrad")
    torch.testing.assert_close(both[1:2], explain(model, x[1:2], y[1:2], method="SmoothGrad"))
    torch.testing.assert_close(
        explain(model, x, y, method="SmoothGrad", noise_level=0.0),
        explain(model, x, y, method="Saliency"),
        rtol=1e-4,
        atol=1e-7,
    )
    many = explain(model, x, y, method="SmoothGrad", n_samples=400, seed=1)
    again = explain(model, x, y, method="SmoothGrad", n_samples=400, seed=2)
    few = explain(model, x, y, method="SmoothGrad", n_samples=2, seed=3)
    assert (many - again).norm() < 0.3 * (many - few).norm()


def test_grad_cam_by_the_formula(x, y):
    model = network("ResNet18")
    kept = {}
    with model.layer2.register_forward_hook(lambda module, args, output: kept.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept["output"])
    expected = (gradient.mean((2, 3), keepdim=True) * kept["output"]).sum(1, keepdim=True)
    expected = nn.functional.interpolate(expected, (16, 16), mode="bilinear").detach()
    for name in ("layer2", model.layer2):
        torch.testing.assert_close(explain(model, x, y, method="GradCAM", layer=name), expected)
    by_quantus = quantus.explain(
        model, x, y, method="LayerGradCam", gc_layer="model.layer3[0].conv2", interpolate=(16, 16), interpolate_mode="bilinear"
    )
    found = explain(
        model, x, y, method="LayerGradCam", gc_layer="model.layer3[0].conv2", interpolate=(16, 16), interpolate_mode="bilinear"
    )
    np.testing.assert_allclose(found.numpy(), by_quantus, rtol=1e-4, atol=1e-7)


def test_grad_cam_takes_the_last_convolution_that_is_called(x, y):
    model = network("ResNet18")
    torch.testing.assert_close(
        explain(model, x, y, method="GradCAM"), explain(model, x, y, method="GradCAM", layer="layer4.1.conv2")
    )


def test_grad_cam_before_a_layer_that_works_in_place(x, y):
    model, plain = network("CNN"), network("CNN")
    plain[1].inplace = False
    found, expected = (explain(one, x, y, method="GradCAM", layer="0") for one in (model, plain))
    assert torch.equal(found, expected)


def test_grad_cam_of_tokens(x, y):
    model = network("transformer")
    kept = {}
    with model.blocks[0].register_forward_hook(lambda module, args, output: kept.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept["output"])
    tokens = (gradient[:, 1:].mean(1, keepdim=True) * kept["output"][:, 1:]).sum(-1)
    expected = nn.functional.interpolate(tokens.view(3, 1, 4, 4), (16, 16), mode="bilinear").detach()
    torch.testing.assert_close(explain(model, x, y, method="GradCAM", layer="blocks.0"), expected)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "Salience"}, "unknown method 'Salience'; did you mean 'Saliency'"),
        ({"method": "Saliency", "n_steps": 3}, "unknown keyword of method='Saliency' 'n_steps'"),
        ({"method": "IG", "n_step": 3}, "did you mean 'n_steps'"),
        ({"method": "IG", "n_steps": 0}, "n_steps=0"),
        ({"method": "IG", "integration": "riemann"}, "unknown integration 'riemann'"),
        ({"method": "SmoothGrad", "noise_level": -1}, "noise_level=-1"),
        ({"method": "GradCAM", "layer": "layer5"}, "unknown layer 'layer5'; did you mean 'layer"),
        ({"method": "GradCAM", "layer": nn.ReLU()}, "no module of this model"),
        ({"method": "GradCAM", "layer": "fc"}, r"layer='fc' returns \(3, 5\)"),
        ({"method": "LRP", "composite": "EpsilonPlus"}, r"zennit|unknown composite"),
    ],
)
def test_wrong_arguments(kwargs, message, x, y):
    if kwargs.get("composite") and _has_zennit():
        pytest.skip("zennit is installed")
    with pytest.raises(ValueError, match=message):
        explain(network("ResNet18"), x, y, **kwargs)


def _has_zennit():
    try:
        import zennit  # noqa: F401
    except ImportError:
        return False
    return True


def test_grad_cam_of_what_has_no_places():
    with pytest.raises(ValueError, match="no places"):
        explain(nn.Linear(4, 3), torch.rand(2, 4), torch.zeros(2, dtype=torch.long), method="GradCAM")
    with pytest.raises(ValueError, match="calls no convolution"):
        explain(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 3)),
            torch.rand(2, 1, 4),
            torch.zeros(2, dtype=torch.long),
            method="GradCAM",
        )


@pytest.mark.parametrize("method", list(METHODS))
def test_series(method):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(28, 3)
    ).eval()
    series = torch.rand(2, 2, 16)
    maps = explain(model, series, torch.tensor([0, 2]), method=method)
    assert maps.shape == (2, 1, 16)
    assert maps.std() > 0


def test_relevance_adds_up_to_the_output(x, y):
    torch.manual_seed(0)
    model = networks.ResNet18().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
    model.fc.bias.data.zero_()
    relevance = explain(model, x, y, method="LRP", reduce_axes=()).double().sum((1, 2, 3))
    torch.testing.assert_close(relevance, model(x).gather(1, y[:, None])[:, 0].double(), rtol=1e-2, atol=1e-5)


class Pieces(nn.Module):
    """Bias-free pieces of a network, put together by a function."""

    def __init__(self, together):
        super().__init__()
        torch.manual_seed(0)
        self.together, self.skip = together, True
        self.c1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.c2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.c3 = nn.Conv2d(8, 4, 3, padding=1, bias=False)
        self.relu, self.leaky = nn.ReLU(inplace=True), nn.LeakyReLU()
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.gamma = nn.Parameter(torch.rand(1, 4, 1, 1))
        self.fc = nn.Linear(4, N_CLASSES, bias=False)

    def forward(self, x, mask=None, scale=2.0):
        return scale * self.fc(self.together(self, x).mean((2, 3)))


def bottleneck(net, x):
    a = net.relu(net.c1(x))
    return net.relu(net.relu(net.c2(net.relu(net.c2(a)))) + a)


def u_net(net, x):
    a = net.relu(net.c1(x))
    return net.c3(torch.cat([net.up(net.relu(net.c2(net.pool(a)))), a], 1))


def dense(net, x):
    a = net.relu(net.c1(x))
    return net.c3(torch.cat([a, net.c2(a)], 1))


def before_activation(net, x):
    a = net.c1(x)
    return a + net.c2(nn.functional.relu(a))


BRANCHING = {
    "one ReLU three times": bottleneck,
    "U-Net": u_net,
    "dense": dense,
    "before activation": before_activation,
    "activation after ReLU": lambda net, x: net.c2(net.leaky(net.relu(net.c1(x)))),
    "one convolution three times": lambda net, x: net.c2(net.relu(net.c2(net.relu(net.c2(net.c1(x)))))),
    "layer scale": lambda net, x: net.gamma * net.c2(net.relu(net.c1(x))) / 3,
    "functional layers": lambda net, x: nn.functional.conv2d(net.relu(net.c1(x)), net.c2.weight, padding=1),
}


@pytest.mark.parametrize("name", list(BRANCHING))
def test_branches_and_repeated_modules_add_up(name, x, y):
    model = Pieces(BRANCHING[name]).eval()
    expected = model(x).gather(1, y[:, None])[:, 0]  # and 0 for the baseline
    for method in ("LRP", "DeepLift"):
        found = explain(model, x, y, method=method, reduce_axes=()).double().sum((1, 2, 3)).float()
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-6)
    guided = explain(model, x, y, method="GuidedBackprop")
    plain = explain(model, x, y, method="Gradient")
    assert not torch.allclose(guided, plain)


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_hooks_and_attributes_of_repeated_modules_stay(method, x, y):
    model = Pieces(bottleneck).eval()
    model.relu.output = "mine"
    model.relu.register_forward_hook(lambda *args: None)
    before = snapshot(model)
    explain(model, x, y, method=method)
    assert snapshot(model) == before


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_twin_follows_attributes_and_constants(method, x, y):
    def together(net, x):
        a = net.gamma * net.relu(net.c1(x))
        return net.c2(a) if net._settings["skip"][0] else net.c2(net.relu(net.c2(a)))

    model = Pieces(together).eval()
    model._settings = {"skip": [True]}
    maps = [explain(model, x, y, method=method)]
    model._settings["skip"][0] = False
    maps.append(explain(model, x, y, method=method))
    model.gamma.data = model.gamma.data.flip(1)
    maps.append(explain(model, x, y, method=method))
    fresh = Pieces(together).eval()
    fresh._settings = {"skip": [False]}
    fresh.gamma.data = fresh.gamma.data.flip(1)
    assert not torch.allclose(maps[0], maps[1])
    assert not torch.allclose(maps[1], maps[2])
    torch.testing.assert_close(maps[2], explain(fresh, x, y, method=method))


class ReLUConv2d(nn.Conv2d):
    def forward(self, x):
        return nn.functional.relu(super().forward(x))


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_layers_with_a_nonlinearity_of_their_own(method, x, y):
    torch.manual_seed(0)
    model = nn.Sequential(ReLUConv2d(3, 4, 3), nn.Conv2d(4, 5, 14), nn.Flatten()).eval()
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 14), nn.Flatten()).eval()
    for own, other in ((model[0], plain[0]), (model[1], plain[2])):
        other.load_state_dict(own.state_dict())
    torch.testing.assert_close(explain(model, x, y, method=method), explain(plain, x, y, method=method))


class KeepsItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, N_CLASSES)
        self.conv.register_forward_hook(self.look)

    def look(self, module, args, output):
        self.seen = len(output)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


def test_model_that_its_hooks_refer_to_can_be_forgotten(x, y):
    model = KeepsItself().eval()
    for method in METHODS:
        explain(model, x, y, method=method)
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_what_hides_a_nonlinearity_is_named():
    model = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(12, 3)).eval()
    with pytest.raises(ValueError, match=r"'0' \(TransformerEncoderLayer\)|cannot trace"):
        explain(model, torch.rand(2, 3, 4), torch.tensor([0, 1]), method="GuidedBackprop")


def test_functions_without_a_rule_of_deep_lift_are_named(x, y):
    model = Pieces(lambda net, x: net.c1(x) * torch.exp(net.c1(x))).eval()
    with pytest.warns(UserWarning, match="Captum has no rule") as caught:
        explain(model, x, y, method="DeepLift")
    said = [str(one.message) for one in caught]
    assert any("the function 'exp' after 'c1'" in message for message in said)
    assert any("the function 'mul' after 'c1'" in message for message in said)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (lambda net, x: net.c1(x) * net.c1(x), "the function 'mul' after 'c1'"),
        (lambda net, x: torch.exp(net.c1(x)), "the function 'exp' after 'c1'"),
        (lambda net, x: net.c1(x) - net.c2(net.c1(x)), "the function 'sub'"),
        (lambda net, x: torch.div(net.c1(x), 2, rounding_mode="floor"), "the function 'div'"),
        (lambda net, x: nn.functional.softplus(net.c1(x)) * net.gamma**x, "the function 'pow'"),
    ],
)
def test_what_lrp_has_no_rule_for_is_named(kind, message, x, y):
    with pytest.raises(ValueError, match=message):
        explain(Pieces(kind).eval(), x, y, method="LRP")


def test_computed_weights_have_no_rule(y):
    model = nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(4, 6)), nn.ReLU(), nn.Linear(6, 5))
    with pytest.raises(ValueError, match=r"no rule for '0' \(ParametrizedLinear\)"):
        explain(model, torch.rand(3, 4), y, method="LRP")
    assert explain(model, torch.rand(3, 4), y, method="DeepLift").isfinite().all()


def test_hooks_of_the_whole_model(x, y):
    model = network("CNN")
    plain = explain(model, x, y, method="DeepLift")
    seen = []
    with model.register_forward_pre_hook(lambda module, args: seen.append(len(args[0]))):
        assert torch.equal(explain(model, x, y, method="DeepLift"), plain)
        explain(model, x, y, method="LRP")
    assert max(seen) == 6  # inputs and baselines
    with model.register_forward_hook(lambda module, args, output: 2 * output):
        torch.testing.assert_close(explain(model, x, y, method="DeepLift"), 2 * plain)
        with pytest.raises(ValueError, match="a hook of the model changes its input or output"):
            explain(model, x, y, method="LRP")


@pytest.mark.parametrize("method", list(METHODS))
def test_in_inference_mode(method, x, y):
    model = network("CNN")
    expected = explain(model, x, y, method=method)
    with torch.inference_mode():
        torch.testing.assert_close(explain(model, x + 0, y, method=method), expected)


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (torch.rand(0, 3, 16, 16), torch.zeros(0, dtype=torch.long), "at least one sample"),
        (torch.rand(2, 3, 16, 16), torch.tensor(1), r"targets of shape \(\)"),
        (torch.rand(2, 3, 16, 16), torch.zeros(2, 1, dtype=torch.long), r"targets of shape \(2, 1\)"),
        (torch.rand(2, 3, 16, 16), torch.zeros(2), "type torch.float32"),
    ],
)
def test_wrong_batches(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        explain(network("CNN"), inputs, targets, method="Saliency")


def test_output_that_is_not_of_classes():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(ValueError, match="Pair returned a tuple"):
        explain(Pair(4, 3), torch.rand(2, 4), torch.tensor([0, 1]), method="DeepLift")
    with pytest.raises(ValueError, match=r"returned tuple for 2 inputs, but must return \(2, classes\)"):
        explain(Pair(4, 3), torch.rand(2, 4), torch.tensor([0, 1]), method="Gradient")
    with pytest.raises(ValueError, match=r"returned shape \(2, 5, 3\) for 2 inputs"):
        explain(nn.Linear(4, 3), torch.rand(2, 5, 4), torch.tensor([0, 1]), method="Saliency")


@pytest.mark.parametrize(("size", "patch", "n_extra"), [((30, 50), 8, 1), ((64, 20), 8, 0), ((24, 24), 8, 8), ((16, 16), 8, 5)])
@pytest.mark.parametrize("by", ["convolution", "grid"])
def test_grids_of_tokens(size, patch, n_extra, by):
    rows, columns = size[0] // patch, size[1] // patch

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 4, patch, patch) if by == "convolution" else nn.LazyConv2d(4, patch, patch + 0)
            self.extra, self.tokens, self.fc = nn.Parameter(torch.rand(1, n_extra, 4)), nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x):
            patches = self.patches(x).flatten(2).transpose(1, 2)
            return self.fc(self.tokens(torch.cat([self.extra.expand(x.shape[0], -1, -1), patches], 1)).square().mean(1))

    torch.manual_seed(0)
    model, images = Tokens().eval(), torch.rand(2, 3, *size)
    model(images)
    kwargs = {"grid": (rows, columns)} if by == "grid" else {}
    found = explain(
        model, images, torch.tensor([0, 1]), method="GradCAM", layer="tokens", interpolate=(rows, columns), **kwargs
    )
    kept = {}
    with model.tokens.register_forward_hook(lambda module, args, output: kept.update(output=output)):
        score = model(images)[[0, 1], [0, 1]].sum()
    (gradient,) = torch.autograd.grad(score, kept["output"])
    places, slopes = (tensor[:, n_extra:] for tensor in (kept["output"], gradient))
    expected = (places * slopes.mean(1, keepdim=True)).sum(-1).view(2, 1, rows, columns).detach()
    torch.testing.assert_close(found, expected)


def test_grad_cam_of_layers_with_channels_last(x, y):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4), nn.Linear(4, N_CLASSES)

        def forward(self, x):
            return self.fc(self.norm(self.conv(x).permute(0, 2, 3, 1)).square().mean((1, 2)))

    model = Normed().eval()
    maps = explain(model, x, y, method="GradCAM", layer="norm", interpolate=(4, 4))
    kept = {}
    with model.norm.register_forward_hook(lambda module, args, output: kept.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, kept["output"])
    expected = (gradient.mean((1, 2), keepdim=True) * kept["output"]).sum(-1)[:, None].detach()
    torch.testing.assert_close(maps, expected)


def test_layer_that_is_never_called(x, y):
    model = network("ResNet18")
    model.unused = nn.Conv2d(3, 3, 3)
    with pytest.raises(ValueError, match="layer='unused' is never called"):
        explain(model, x, y, method="GradCAM", layer="unused")
