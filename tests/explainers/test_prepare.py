import gc
import inspect
import types
import warnings
import weakref

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import explain
from quantus_senc.explainers import grad_cam, tracer
from tests.explainers.models import BY_GRADIENTS, CANONIZED, N_CLASSES, QUIET, Pieces, network, snapshot

pytestmark = QUIET


def deep_or_shallow(net, x):
    hidden = net.gamma * net.relu(net.c1(x))
    return net.c2(net.relu(net.c2(hidden))) if net.is_deep() else net.c2(hidden)


def attribute(model):
    model.settings = {"deep": [False]}
    model.is_deep = lambda: model.settings["deep"][0]
    return lambda: model.settings["deep"].__setitem__(0, True)


def closure(model):
    deep = []
    model.is_deep = lambda: bool(deep)
    return lambda: deep.append(1)


def config_object(model):
    model.config = types.SimpleNamespace(deep=False)
    model.is_deep = lambda: model.config.deep
    return lambda: setattr(model.config, "deep", True)


def array(model):
    model.flags = np.zeros(3, dtype=bool)
    model.is_deep = lambda: bool(model.flags[1])
    return lambda: model.flags.__setitem__(1, True)


def class_attribute(model):
    model.__class__ = type("Deep", (Pieces,), {"deep": False})
    model.is_deep = lambda: type(model).deep
    return lambda: setattr(type(model), "deep", True)


IS_DEEP = [False]


def global_variable(model):
    IS_DEEP[0] = False
    model.is_deep = lambda: IS_DEEP[0]
    return lambda: IS_DEEP.__setitem__(0, True)


def buffer(model):
    model.register_buffer("deep", torch.tensor(0.0))
    model.is_deep = lambda: bool(model.deep)
    return lambda: model.deep.fill_(1)


def item_of_a_buffer(model):
    model.register_buffer("depth", torch.tensor(1))
    model.is_deep = lambda: model.depth.item() > 1
    return lambda: model.depth.add_(1)


def state_dict(model):
    buffer(model)
    return lambda: model.load_state_dict(model.state_dict() | {"deep": torch.tensor(1.0)})


def assigned_state_dict(model):
    model.is_deep = lambda: True
    return lambda: model.load_state_dict(model.state_dict() | {"gamma": torch.full((1, 4, 1, 1), 0.5)}, assign=True)


def replaced_module(model):
    model.is_deep = lambda: True
    torch.manual_seed(1)
    other = nn.Conv2d(4, 4, 1)
    return lambda: setattr(model, "c2", other)


def earlier_pass(model):
    model.n_passes = 0
    together = model.together

    def counting(net, x):
        net.n_passes += 1
        return together(net, x)

    model.together = counting
    model.is_deep = lambda: model.n_passes > 1
    return lambda: model(torch.rand(1, 3, 16, 16))


PATHS = [attribute, closure, config_object, array, class_attribute, global_variable, buffer, item_of_a_buffer, state_dict]


def changeable(change):
    model = Pieces(deep_or_shallow).eval()
    return model, change(model)


@pytest.mark.parametrize("method", CANONIZED)
@pytest.mark.parametrize("change", [*PATHS, earlier_pass, assigned_state_dict, replaced_module])
def test_explanations_follow_the_model(change, method, x, y):
    model, apply = changeable(change)
    before = explain(model, x, y, method=method)
    apply()
    after = explain(model, x, y, method=method)
    assert not torch.allclose(before, after)
    fresh, apply = changeable(change)
    apply()
    assert torch.equal(after, explain(fresh, x, y, method=method))


@pytest.mark.parametrize("change", PATHS)
def test_default_layer_of_grad_cam_follows_the_model(change, x, y):
    model = Pieces(lambda net, x: net.c2(net.c1(x)) if net.is_deep() else net.c1(x)).eval()
    apply = change(model)
    for layer in ("c1", "c2"):
        maps = explain(model, x, y, method="GradCAM")
        torch.testing.assert_close(maps, explain(model, x, y, method="GradCAM", layer=layer))
        apply()


class RefersToItself(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(3, 4, 3), nn.Linear(4, N_CLASSES)
        self.conv.register_forward_hook(self.note)

    def note(self, module, args, output):
        self.seen = len(output)

    def forward(self, x):
        return self.fc(torch.relu(self.conv(x)).mean((2, 3)))


@pytest.mark.unwatched("model")
@pytest.mark.parametrize("make", [lambda: network("ResNet10"), lambda: RefersToItself().eval()])
def test_nothing_refers_to_the_model_after_a_call(make, x, y):
    model = make()
    for method in BY_GRADIENTS:
        explain(model, x, y, method=method)
        explain.prepare(model, x, method=method)(model, x, y)
    reference = weakref.ref(model)
    del model
    gc.collect()
    assert reference() is None


@pytest.fixture
def traces(monkeypatch):
    """Has an entry for each trace of a model, and each search for the default layer of Grad-CAM."""
    calls = []
    for owner, name in ((tracer.Tracer, "record"), (grad_cam, "order_of_use")):
        function = getattr(owner, name)
        monkeypatch.setattr(owner, name, lambda *args, _f=function, **kwargs: calls.append(1) or _f(*args, **kwargs))
    return calls


@pytest.mark.parametrize("method", [*CANONIZED, "GradCAM"])
def test_model_is_traced_once_for_a_prepared_method(method, x, y, traces):
    model = network("ResNet10")
    expected = [explain(model, x, y, method=method) for _ in range(3)]
    assert len(traces) == 3
    prepared = explain.prepare(model=model, inputs=x[:1], method=method)
    assert len(traces) == 4
    maps = [prepared(model=model, inputs=x, targets=y, method=method) for _ in range(3)]
    assert len(traces) == 4
    assert all(torch.equal(*pair) for pair in zip(maps, expected, strict=True))


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_prepared_method_gives_the_same_maps(method, x, y):
    model = network("ResNet10")
    prepared = explain.prepare(model, x.numpy(), method=method, reduce_axes=(), device="cpu")
    expected = explain(model, x, y, method=method, reduce_axes=())
    assert torch.equal(prepared(model, x, y), expected)
    assert (prepared(model, x.numpy(), y.numpy()) == expected.numpy()).all()
    assert torch.equal(prepared(model, x[1:], y[1:], reduce_axes=(1,)), explain(model, x[1:], y[1:], method=method))
    with torch.inference_mode():
        assert torch.equal(prepared(model, x, y), expected)
        assert torch.equal(explain.prepare(model, x, method=method, reduce_axes=())(model, x, y), expected)


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_model_is_not_altered_by_a_prepared_method(method, x, y):
    model = network("ResNet10").train()
    before = snapshot(model)
    prepared = explain.prepare(model, x, method=method)
    assert snapshot(model) == before
    maps = prepared(model, x, y)
    assert snapshot(model) == before
    with pytest.raises(Exception, match=r"out of bounds|out of range|index"):
        prepared(model, x, y + N_CLASSES)
    assert snapshot(model) == before
    assert torch.equal(prepared(model, x, y), maps)


@pytest.mark.parametrize("method", CANONIZED)
def test_prepared_method_follows_weights_buffers_attributes_and_hooks(method, x, y):
    model = network("ResNet10")
    prepared = explain.prepare(model, x, method=method)

    def check_changed(before):
        after = prepared(model, x, y)
        assert not torch.allclose(before, after)
        assert torch.equal(after, explain(model, x, y, method=method))
        return after

    maps = prepared(model, x, y)
    with torch.no_grad():
        model.layer1[0].conv1.weight.mul_(1.5)
    maps = check_changed(maps)
    model.bn1.running_var = model.bn1.running_var + 1
    maps = check_changed(maps)
    model.layer3[0].bn1.weight = nn.Parameter(torch.rand(32))
    maps = check_changed(maps)
    model.fc = nn.Linear(model.fc.in_features, N_CLASSES)
    maps = check_changed(maps)
    model.bn1.eps = 0.5
    maps = check_changed(maps)
    with model.layer2[0].conv2.register_forward_hook(lambda module, args, output: output * 0.5):
        check_changed(maps)
    with model.fc.register_forward_pre_hook(lambda module, args: (args[0] * 0.5,)):
        check_changed(maps)
    assert torch.equal(prepared(model, x, y), maps)


class Reading(Pieces):
    """Reads a parameter, a buffer, and a tensor that is neither."""

    def __init__(self):
        super().__init__(lambda net, x: net.c2(net.relu(net.c1(x) * net.gamma / net.sizes + net.shift)))
        self.register_buffer("sizes", torch.ones(1, 4, 1, 1))
        self.shift = torch.zeros(1)


@pytest.mark.parametrize("method", CANONIZED)
def test_prepared_method_follows_tensors_that_are_replaced(method, x, y):
    model = Reading().eval()
    prepared = explain.prepare(model, x, method=method)
    maps = prepared(model, x, y)
    for name, value in (("gamma", nn.Parameter(torch.rand(1, 4, 1, 1))), ("sizes", torch.rand(1, 4, 1, 1) + 0.1)):
        setattr(model, name, value)
        before, maps = maps, prepared(model, x, y)
        assert not torch.allclose(before, maps)
        assert torch.equal(maps, explain(model, x, y, method=method))
    model.shift = torch.tensor([0.5])
    assert torch.equal(prepared(model, x, y), explain(model, x, y, method=method))


@pytest.mark.parametrize("method", [*CANONIZED, "GradCAM"])
def test_another_model_is_traced_anew(method, x, y, traces):
    model, other = network("ResNet10"), network("CNN")
    prepared = explain.prepare(model, x, method=method)
    for _ in range(2):
        assert torch.equal(prepared(other, x, y), explain(other, x, y, method=method))
    assert len(traces) == 5
    assert torch.equal(prepared(model, x, y), explain(model, x, y, method=method))


def test_other_keywords_than_those_prepared(x, y):
    model = network("ResNet10")
    prepared = explain.prepare(model, x, method="DeepLift", baseline=0.5)
    assert torch.equal(prepared(model, x, y), explain(model, x, y, method="DeepLift", baseline=0.5))
    assert torch.equal(prepared(model, x, y, baseline=x[:1]), explain(model, x, y, method="DeepLift", baseline=x[:1]))
    prepared = explain.prepare(model, x, method="GradCAM", layer="layer2")
    assert torch.equal(prepared(model, x, y), explain(model, x, y, method="GradCAM", layer="layer2"))
    assert torch.equal(prepared(model, x, y, layer="layer1"), explain(model, x, y, method="GradCAM", layer="layer1"))
    assert torch.equal(prepared(model, x, y, layer=None), explain(model, x, y, method="GradCAM"))
    prepared = explain.prepare(model, x, method="LRP")
    assert torch.equal(prepared(model, x, y, method="DeepLift"), explain(model, x, y, method="DeepLift"))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "Salience"}, "unknown method 'Salience'; did you mean 'Saliency'"),
        ({"method": "GradCAM", "layer": "layer5"}, "unknown layer 'layer5'; did you mean 'layer"),
        ({"method": "DeepLift", "n_steps": 3}, "unknown keyword of method='DeepLift' 'n_steps'"),
    ],
)
def test_wrong_arguments_are_an_error_at_the_preparation(kwargs, message, x):
    with pytest.raises(ValueError, match=message):
        explain.prepare(network("ResNet10"), x, **kwargs)


def test_wrong_arguments_of_a_prepared_method(x, y):
    model = network("CNN")
    prepared = explain.prepare(model, x, method="DeepLift")
    with pytest.raises(ValueError, match="unknown keyword of method='DeepLift' 'n_steps'"):
        prepared(model, x, y, n_steps=3)
    with pytest.raises(ValueError, match="targets of shape"):
        prepared(model, x, y[:2])
    with pytest.raises(ValueError, match="at least one sample"):
        explain.prepare(model, x[:0], method="DeepLift")


def test_warnings_are_given_once_for_a_prepared_method(x, y):
    model = network("MobileNetV3")
    for _ in range(2):
        with pytest.warns(UserWarning, match="DeepLift: no rule for 'features.0.2'"):
            explain(model, x, y, method="DeepLift")
    with pytest.warns(UserWarning, match="DeepLift: no rule for 'features.0.2'"):
        prepared = explain.prepare(model, x, method="DeepLift")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        prepared(model, x, y)


def test_explain_is_a_function_with_help():
    assert inspect.isfunction(explain)
    assert list(inspect.signature(explain).parameters)[:4] == ["model", "inputs", "targets", "method"]
    assert inspect.getdoc(explain.prepare).startswith("`explain` for many calls")
