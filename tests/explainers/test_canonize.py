import warnings

import pytest
import torch
from captum import attr
from captum.attr._core.deep_lift import SUPPORTED_NON_LINEAR
from torch import nn

from quantus_senc import explain
from quantus_senc.explainers.canonize import canonize
from tests import networks
from tests.explainers.models import BRANCHING, CANONIZED, QUIET, Pieces, bottleneck, network, snapshot

pytestmark = QUIET


def deep_lift_by_captum(model, x, y):
    for module in model.modules():  # else Captum loses the multipliers of a nonlinearity that follows another at once
        if type(module) in SUPPORTED_NON_LINEAR:
            module.register_forward_pre_hook(lambda module, args: (args[0].clone(),))
    return attr.DeepLift(model).attribute(x, torch.zeros_like(x), y)


CAPTUM = {
    "GuidedBackprop": lambda model, x, y: attr.GuidedBackprop(model).attribute(x, y),
    "DeepLift": deep_lift_by_captum,
    "LRP": lambda model, x, y: attr.LRP(model).attribute(x, y),
}


def canonized_by_hand(name, model, method):
    if name == "MobileNetV3":
        return networks.canonical_mobilenet(model, method == "LRP")
    return {"CNN": networks.canonical_plain, "ResNet10": networks.canonical_resnet}[name](model)


@pytest.mark.parametrize("method", list(CAPTUM))
@pytest.mark.parametrize("name", ["CNN", "ResNet10", "MobileNetV3"])
def test_maps_are_those_of_a_model_written_for_captum(name, method, x, y):
    model = network(name)
    canonical = canonized_by_hand(name, model, method)
    if (name, method) == ("ResNet10", "DeepLift"):  # of windows that overlap, Captum loses contributions
        model.maxpool = canonical.maxpool = nn.MaxPool2d(2)
    expected = CAPTUM[method](canonical, x.clone().requires_grad_(), y)
    maps = explain(model, x, y, method=method, reduce_axes=())
    torch.testing.assert_close(maps, expected.detach(), rtol=1e-4, atol=1e-6 * float(expected.detach().abs().max()))


@pytest.mark.parametrize("method", list(CAPTUM))
def test_functions_and_methods_of_tensors_become_modules(method, x, y):
    model = network("functional")
    inside = (x - model.mean) / 0.25
    baseline = {"baseline": model.mean} if method == "DeepLift" else {}  # which normalises to 0
    maps = explain(model, x, y, method=method, reduce_axes=(), **baseline)
    expected = CAPTUM[method](networks.canonical_functional(model), inside.clone().requires_grad_(), y).detach()
    if method == "GuidedBackprop":
        expected /= 0.25
    if method == "LRP":  # normalising shifts the input as a bias does: the z-rule gives the shift its part
        expected = expected / (inside + 1e-9 * inside.sign()) * x / 0.25
    torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", list(BRANCHING))
def test_branches_and_repeated_modules_add_up(name, x, y):
    model = Pieces(BRANCHING[name]).eval()
    expected = model(x).gather(1, y[:, None])[:, 0]  # and 0 for the baseline
    for method in ("LRP", "DeepLift"):
        maps = explain(model, x, y, method=method, reduce_axes=()).double().sum((1, 2, 3)).float()
        torch.testing.assert_close(maps, expected, rtol=1e-3, atol=1e-6)
    guided = explain(model, x, y, method="GuidedBackprop")
    plain = explain(model, x, y, method="Gradient")
    assert not torch.allclose(guided, plain)


@pytest.mark.parametrize("method", CANONIZED)
def test_hooks_and_attributes_of_repeated_modules_stay(method, x, y):
    model = Pieces(bottleneck).eval()
    model.relu.output = "mine"
    model.relu.register_forward_hook(lambda *args: None)
    before = snapshot(model)
    explain(model, x, y, method=method)
    assert snapshot(model) == before


class ReLUConv2d(nn.Conv2d):
    def forward(self, x):
        return nn.functional.relu(super().forward(x))


@pytest.mark.parametrize("method", CANONIZED)
def test_layers_with_a_nonlinearity_of_their_own(method, x, y):
    torch.manual_seed(0)
    model = nn.Sequential(ReLUConv2d(3, 4, 3), nn.Conv2d(4, 5, 14), nn.Flatten()).eval()
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 14), nn.Flatten()).eval()
    plain[0].load_state_dict(model[0].state_dict())
    plain[2].load_state_dict(model[1].state_dict())
    torch.testing.assert_close(explain(model, x, y, method=method), explain(plain, x, y, method=method))


def test_hook_that_the_copy_would_not_call_is_an_error(x, y):
    model = network("ResNet10")
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
        changed = hidden.relu_()
        return hidden + changed


def test_copy_that_predicts_otherwise_is_an_error():
    with pytest.raises(ValueError, match="rewritten so predicts otherwise"):
        explain(Rereading(), torch.rand(20, 4), torch.zeros(20, dtype=torch.long), method="DeepLift")


def test_what_hides_a_nonlinearity_is_named():
    model = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 8, batch_first=True), nn.Flatten(), nn.Linear(12, 3)).eval()
    with pytest.raises(ValueError, match=r"'0' \(TransformerEncoderLayer\)|cannot trace"):
        explain(model, torch.rand(2, 3, 4), torch.tensor([0, 1]), method="GuidedBackprop")


def test_functions_without_a_rule_of_deep_lift_are_named(x, y):
    model = Pieces(lambda net, x: net.c1(x) * torch.exp(net.c1(x))).eval()
    with pytest.warns(UserWarning, match="no rule for the function 'exp' after 'c1', the function 'mul' after 'c1'; the"):
        explain(model, x, y, method="DeepLift")


def test_modules_without_a_rule_of_deep_lift_are_named(x, y):
    with pytest.warns(UserWarning, match=r"DeepLift: no rule for 'features.0.2' \(Hardswish\)"):
        explain(network("MobileNetV3"), x, y, method="DeepLift")
    with pytest.warns(UserWarning, match="GuidedBackprop: the model has no ReLU"):
        explain(network("transformer"), x, y, method="GuidedBackprop")


@pytest.mark.parametrize("method", CANONIZED)
def test_what_only_distributes_a_model_is_looked_through(method, x, y):
    model = network("ResNet10")
    expected = explain(model, x, y, method=method)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        maps = explain(nn.DataParallel(model), x, y, method=method)
    torch.testing.assert_close(maps, expected)


def compiled(function):
    """As torch.compile returns it: it takes nothing but tensors."""

    def call(x):
        assert isinstance(x, torch.Tensor)
        return function(x)

    return call


class Compiled(nn.Module):
    def __init__(self, model):
        super().__init__()
        self._orig_mod, self.forward = model, compiled(model)


@pytest.mark.parametrize("in_place", [False, True])
def test_compiled_model_is_explained_as_the_model_itself(in_place, x, y):
    model = network("CNN")
    expected = explain(model, x, y, method="DeepLift")
    if in_place:  # as nn.Module.compile does
        model._compiled_call_impl = compiled(model._call_impl)
    else:
        model = Compiled(model)
    torch.testing.assert_close(explain(model, x, y, method="DeepLift"), expected)
    model(x)
    assert in_place == ("_compiled_call_impl" in vars(model))


class Keeping(nn.Module):
    """Keeps what it computes in every place that a module has."""

    def __init__(self):
        super().__init__()
        self.fc1, self.relu, self.fc2 = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)
        self.list, self.dict, self.set = [], {}, set()

    def forward(self, x):
        hidden = self.relu(self.fc1(x))
        self.hidden, self.dict["hidden"] = hidden, hidden
        self.list.append(hidden)
        self.set.add(id(hidden))
        return self.fc2(hidden)


@pytest.mark.parametrize("method", CANONIZED)
def test_model_keeps_nothing_of_a_trace(method):
    model = Keeping().eval()
    explain(model, torch.rand(2, 4), torch.tensor([0, 1]), method=method)
    assert not hasattr(model, "hidden")
    assert not model.list
    assert not model.dict
    assert not model.set


class InputByName(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.relu, self.fc2 = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        return self.fc2(nn.functional.softmax(input=self.relu(input=self.fc1(input=x)), dim=1))


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift"])
def test_input_may_be_passed_by_name(method):
    torch.manual_seed(0)
    model, x, y = InputByName().eval(), torch.rand(2, 4), torch.tensor([0, 1])
    plain = nn.Sequential(model.fc1, nn.ReLU(), nn.Softmax(1), model.fc2).eval()
    torch.testing.assert_close(explain(model, x, y, method=method), explain(plain, x, y, method=method))


class Adding(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.relu, self.fc2 = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x):
        hidden = self.relu(self.fc1(x))
        hidden += self.fc1(x)
        hidden *= 2
        return self.fc2(hidden)


@pytest.mark.parametrize("method", CANONIZED)
def test_results_of_nonlinearities_may_be_changed_in_place(method):
    torch.manual_seed(0)
    model, x, y = Adding().eval(), torch.rand(2, 4), torch.tensor([0, 1])
    assert explain(model, x, y, method=method).abs().sum() > 0


def interrupt(copy):
    """A method that leaves hooks and tensors behind."""
    with copy.synchronized() as network:
        for module in network.modules():
            module.register_forward_hook(lambda module, args, output: 2 * output)
        for layer in copy.traced.network.children():
            layer.output = torch.rand(3)
        raise RuntimeError("interrupted")


def test_remains_of_an_interrupted_method_are_removed(x):
    model = network("ResNet10")
    copy = canonize(model, x, "DeepLift")
    before = snapshot(copy.traced.network)
    with pytest.raises(RuntimeError, match="interrupted"):
        interrupt(copy)
    assert snapshot(copy.traced.network) == before
    with copy.synchronized() as canonical:
        torch.testing.assert_close(canonical(x), model(x))


@pytest.mark.parametrize("method", [*CANONIZED, "GradCAM"])
def test_hooks_see_no_other_passes_than_those_of_the_method(method, x, y):
    model, n_samples = network("ResNet10"), []
    with model.conv1.register_forward_hook(lambda module, args, output: n_samples.append(len(output))):
        explain(model, x, y, method=method)
    assert set(n_samples) <= {len(x), 2 * len(x)}  # inputs, and inputs with baselines
    assert n_samples


def test_hooks_stay_in_their_order_and_are_called_again(x, y):
    model, calls = network("ResNet10"), []
    for name in ("first", "second"):
        model.conv1.register_forward_hook(lambda module, args, output, name=name: calls.append(name))
    explain(model, x, y, method="DeepLift")
    explain(model, x, y, method="GradCAM")
    del calls[:]
    model(x)
    assert calls == ["first", "second"]


class ClampsInPlace(nn.Module):
    """A statement whose result is not used, which changes large inputs only."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        x = x * 1.0
        x.clamp_(-1, 1)
        return self.fc(x)


class Rounded(torch.autograd.Function):
    """Rounds forward, and passes the gradient straight through."""

    @staticmethod
    def forward(ctx, x):
        return x.round()

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class OwnGradient(nn.Module):
    def __init__(self, of_function):
        super().__init__()
        self.fc, self.of_function = nn.Linear(4, 3), of_function

    def forward(self, x):
        if self.of_function:
            return self.fc(Rounded.apply(3 * x))
        with torch.no_grad():
            gate = x.sigmoid()
        return self.fc(x * gate)


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift", "LRP"])
def test_statements_in_place_are_refused(method):
    x = torch.rand(2, 4)
    with pytest.raises(ValueError, match="clamp_ works in place, and its result is not used"):
        explain(ClampsInPlace().eval(), x, torch.tensor([0, 1]), method=method)


@pytest.mark.filterwarnings("ignore:.*no ReLU", "ignore:.*no rule")
@pytest.mark.parametrize("of_function", [True, False])
@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift"])
def test_gradients_that_a_graph_does_not_see_are_refused(method, of_function):
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="rewritten so"):
        explain(OwnGradient(of_function).eval(), torch.rand(2, 4), torch.tensor([0, 1]), method=method)


@pytest.mark.parametrize("method", ["GuidedBackprop", "DeepLift"])
def test_a_model_without_any_gradient_has_a_map_of_zeros(method):
    """Maps of zeros have no ranks. Compared by ranks, the gradients of model and copy were called different."""
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 3)).eval()
    nn.init.zeros_(model[0].weight)
    assert explain(model, torch.randn(2, 2), torch.tensor([0, 2]), method=method).tolist() == [[0, 0], [0, 0]]
