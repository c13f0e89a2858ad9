import sys

import pytest
import torch
from torch import nn

from quantus_senc import explain
from tests import networks
from tests.explainers.models import QUIET, Pieces, network

pytestmark = QUIET


def test_relevance_adds_up_to_the_output(x, y):
    torch.manual_seed(0)
    model = networks.ResNet10().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.zero_()
    model.fc.bias.data.zero_()
    relevance = explain(model, x, y, method="LRP", reduce_axes=()).double().sum((1, 2, 3))
    torch.testing.assert_close(relevance, model(x).gather(1, y[:, None])[:, 0].double(), rtol=1e-2, atol=1e-5)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (lambda net, x: net.c1(x) * net.c1(x), "the function 'mul' after 'c1'"),
        (lambda net, x: torch.exp(net.c1(x)), "the function 'exp' after 'c1'"),
        (lambda net, x: net.c1(x) - net.c2(net.c1(x)), "the function 'sub'"),
        (lambda net, x: torch.div(net.c1(x), 2, rounding_mode="floor"), "the function 'div'"),
        (lambda net, x: nn.functional.softplus(net.c1(x)) * net.gamma ** net.c1(x), "the function 'pow'"),
    ],
)
def test_what_lrp_has_no_rule_for_is_named(kind, message, x, y):
    with pytest.raises(ValueError, match=message):
        explain(Pieces(kind).eval(), x, y, method="LRP")


def test_half_precision_is_an_error(x, y):
    with pytest.raises(ValueError, match=r"float16 rounds to 0; explain model.float\(\) or model.bfloat16\(\)"):
        explain(network("CNN").half(), x, y, method="LRP")
    assert explain(network("CNN").bfloat16(), x, y, method="LRP").isfinite().all()


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
    assert set(seen) == {3}  # inputs, and before them baselines
    with model.register_forward_hook(lambda module, args, output: 2 * output):
        torch.testing.assert_close(explain(model, x, y, method="DeepLift"), 2 * plain)
        with pytest.raises(ValueError, match="a hook of the model changes its input or output"):
            explain(model, x, y, method="LRP")


def test_gates_pass_relevance_to_the_signal(x, y):
    model = Pieces(lambda net, x: net.c2(net.c1(x) * torch.sigmoid(net.c1(x)))).eval()
    relevance = explain(model, x, y, method="LRP", reduce_axes=()).double().sum((1, 2, 3)).float()
    torch.testing.assert_close(relevance, model(x).gather(1, y[:, None])[:, 0], rtol=1e-3, atol=1e-6)


def test_sigmoid_that_is_no_gate_has_no_rule(x, y):
    model = Pieces(lambda net, x: net.c2(torch.sigmoid(net.c1(x)))).eval()
    with pytest.raises(ValueError, match="no rule for a functional Sigmoid"):
        explain(model, x, y, method="LRP")


@pytest.mark.parametrize("composite", ["EpsilonPlus", "epsilon_plus"])
def test_composites_of_zennit(composite, x, y):
    composites = pytest.importorskip("zennit.composites", exc_type=ImportError)
    attribution = pytest.importorskip("zennit.attribution", exc_type=ImportError)
    model = network("CNN")
    plain = networks.canonical_plain(model)
    one_hot = nn.functional.one_hot(y, 5).float()
    with attribution.Gradient(plain, composites.EpsilonPlus()) as attributor:
        _, expected = attributor(x.clone().requires_grad_(), one_hot)
    for kwargs in ({"composite": composite}, {"composite": composites.EpsilonPlus()}):
        maps = explain(model, x, y, method="LRP", reduce_axes=(), **kwargs)
        torch.testing.assert_close(maps, expected)
    with pytest.raises(ValueError, match="unknown composite 'epsilonplu'; did you mean 'epsilonplus"):
        explain(model, x, y, method="LRP", composite="EpsilonPlu")


def test_composites_need_zennit(x, y, monkeypatch):
    monkeypatch.setitem(sys.modules, "zennit.composites", None)
    with pytest.raises(ValueError, match=r"composite='EpsilonPlus' needs zennit.*install quantus-senc\[zennit\]"):
        explain(network("CNN"), x, y, method="LRP", composite="EpsilonPlus")
