import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain
from quantus_senc.model.shared_pass import SharedPass
from tests import networks

DATA = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}


@pytest.fixture
def model():
    torch.manual_seed(0)
    return networks.Counting(networks.randomised(networks.PlainCNN())).eval()


@pytest.fixture
def call(model):
    x = np.random.default_rng(0).random((3, 3, 12, 12), dtype=np.float32)
    return {"model": model, "x_batch": x, "y_batch": np.array([0, 4, 2])}


def metric(kind):
    if kind == "data":
        return DataSensitivityConsistency(200, max_batch_size=64, **DATA)
    return ParameterSensitivityConsistency(200, layers="first_conv", max_batch_size=64)


def own_pass(self, make, targets):
    inputs = make()
    return self.explained.predict(inputs, targets), self.explained.explain(inputs, targets)


@pytest.mark.parametrize(
    ("kind", "method", "shares"),
    [
        *(("data", name, True) for name in ("Saliency", "GradCAM", "GuidedBackprop", "LRP", "DeepLift")),
        *(("data", name, False) for name in ("IG", "SmoothGrad")),
        *(("parameter", name, name != "IG") for name in ("Saliency", "GradCAM", "DeepLift", "IG")),
    ],
)
def test_scores_are_those_of_passes_of_their_own(call, model, monkeypatch, kind, method, shares):
    shared, apart = metric(kind), metric(kind)
    scores = shared(**call, explain_func=explain, explain_func_kwargs={"method": method})
    n_shared = model.samples.n
    monkeypatch.setattr(SharedPass, "run", own_pass)
    np.testing.assert_allclose(scores, apart(**call, explain_func=explain, explain_func_kwargs={"method": method}), atol=1e-6)
    assert (n_shared < 0.7 * (model.samples.n - n_shared)) == shares


def test_quantus_explain_shares_too(call, model):
    metric("data")(**call, explain_func=quantus.explain, explain_func_kwargs={"method": "Saliency"})
    assert model.samples.n < 240


def changing_inputs(model, inputs, targets, **kwargs):
    inputs.mul_(0.5)
    return quantus.explain(model, inputs, targets, method="Saliency")


def changing_data(model, inputs, targets, **kwargs):
    inputs.data = inputs.data * 0.5
    return quantus.explain(model, inputs, targets, method="Saliency")


def with_other_weights(model, inputs, targets, **kwargs):
    weight = model.model[0].weight
    before = weight.detach().clone()
    weight.data.mul_(2)
    maps = quantus.explain(model, inputs, targets, method="Saliency")
    weight.data.copy_(before)
    return maps


def in_training_mode(model, inputs, targets, **kwargs):
    model.train()
    maps = torch.autograd.grad(model(inputs.requires_grad_()).sum(), inputs)[0]
    model.eval()
    return maps


def in_other_order(model, inputs, targets, **kwargs):
    return quantus.explain(model, inputs.flip(0), targets.flip(0), method="Saliency")[::-1].copy()


def sometimes(model, inputs, targets, **kwargs):
    """The model sees the inputs themselves in one call, and copies in the next."""
    sometimes.calls += 1
    return quantus.explain(model, inputs if sometimes.calls % 2 else inputs.clone(), targets, method="Saliency")


sometimes.calls = 0


def never(model, inputs, targets, **kwargs):
    return inputs.detach() ** 2


def by_functions(model, inputs, targets, **kwargs):
    """Within `vmap`, tensors lie nowhere in memory."""

    def chosen(one, target):
        return model(one[None])[0].gather(0, target[None])[0]

    return torch.func.vmap(torch.func.grad(chosen))(inputs, targets)


OTHERWISE = [
    changing_inputs,
    changing_data,
    with_other_weights,
    in_training_mode,
    in_other_order,
    sometimes,
    never,
    by_functions,
]


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        *(("data", method) for method in OTHERWISE),
        *(("parameter", method) for method in (changing_inputs, with_other_weights, in_other_order, sometimes)),
    ],
)
def test_methods_that_give_the_model_something_else(call, monkeypatch, kind, method):
    if method is in_training_mode:
        call["model"].model[7].p = 0.0  # so that the maps are the same each time
    scores = metric(kind)(**call, explain_func=method)
    monkeypatch.setattr(SharedPass, "run", own_pass)
    if method in (changing_inputs, changing_data):  # which would alter what is explained after it was predicted
        monkeypatch.setattr(
            SharedPass,
            "run",
            lambda self, make, y: (self.explained.predict(make(), y), self.explained.explain(make(), y)),
        )
    expected = metric(kind)(**call, explain_func=method)
    np.testing.assert_allclose(scores, expected, atol=1e-6)


@pytest.mark.parametrize("softmax", [True, False])
def test_softmax_at_the_end_of_the_model(call, softmax):
    model = nn.Sequential(call["model"].model, nn.Softmax(-1))
    scores = metric("data")(**call | {"model": model}, explain_func=quantus.explain, softmax=softmax)
    plain = metric("data")(
        **call, explain_func=lambda model, inputs, targets: quantus.explain(_softmaxed(model), inputs, targets), softmax=softmax
    )
    np.testing.assert_allclose(scores, plain, atol=1e-6)


def _softmaxed(model):
    return nn.Sequential(model, nn.Softmax(-1)).eval()


def test_no_hook_is_left(call, model):
    def raises(model, inputs, targets, **kwargs):
        raise RuntimeError("no explanation")

    with pytest.raises(RuntimeError, match="no explanation"):
        metric("data")(**call, explain_func=raises)
    metric("data")(**call, explain_func=explain, explain_func_kwargs={"method": "Saliency"})
    assert not model._forward_hooks
    assert not model._forward_pre_hooks


class LaterInPlace:
    """Explains the input, but from the fifth call on half of it, which it makes in place."""

    def __init__(self):
        self.calls = 0

    def __call__(self, model, inputs, targets, **kwargs):
        self.calls += 1
        return quantus.explain(model, inputs.mul_(0.5) if self.calls > 4 else inputs, targets, method="Saliency")


def test_method_that_alters_its_inputs_later_on(call, model):
    method, found = LaterInPlace(), metric("data")
    found(**call, explain_func=method)
    assert method.calls > 6
    expected = metric("data")
    expected(**call, explain_func=quantus.explain, explain_func_kwargs={"method": "Saliency"})
    for one, other in zip(found.sensitivities, expected.sensitivities, strict=True):
        torch.testing.assert_close(one.prediction, other.prediction, rtol=1e-5, atol=1e-4)


class OnSomeInputs:
    """Doubles the first layer's outputs for inputs whose first value is eliminated, from a number of calls on."""

    def __init__(self, calls):
        self.left = calls

    def __call__(self, model, inputs, targets, **kwargs):
        self.left -= 1

        def double(module, args, output):
            return torch.where(args[0][:, :1, :1, :1] == 0, 2 * output, output) if self.left < 0 else output

        with next(model.model.children()).register_forward_hook(double):
            return quantus.explain(model, inputs, targets, method="Saliency")


@pytest.mark.parametrize("kind", ["data", "parameter"])
def test_method_that_alters_the_model_for_some_inputs_later_on(call, model, monkeypatch, kind):
    """A later look finds it, and all earlier predictions are made again."""
    sharing, apart = metric(kind), metric(kind)
    call["x_batch"][:, :1, :1, :1] = 0 if kind == "parameter" else 0.5
    n_before = 11 if kind == "data" else 14  # calls before the passes of masks, of which the first is shared well
    scores = sharing(**call, explain_func=OnSomeInputs(n_before))
    monkeypatch.setattr(SharedPass, "run", own_pass)
    expected = apart(**call, explain_func=OnSomeInputs(n_before))
    assert scores == pytest.approx(expected, abs=0.2)
    records = zip(
        *(one.sensitivities if kind == "data" else one.sensitivities["model.0"] for one in (sharing, apart)), strict=True
    )
    for one, other in records:
        torch.testing.assert_close(one.weights[:, 0], other.weights[:, 0], rtol=0, atol=1e-5)
