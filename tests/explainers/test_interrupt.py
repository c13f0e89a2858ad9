"""Ctrl-C at any instant leaves nothing changed."""

import math
import sys
import warnings
from math import sqrt

import pytest
import torch
from torch import fx, nn

from quantus_senc import explain
from tests.explainers.models import CANONIZED, N_CLASSES, QUIET, snapshot

pytestmark = QUIET
N_INSTANTS = 24


fx.wrap("len")


@fx.wrap
def halved(x):
    return x * 0.5


class Small(nn.Module):
    """Uses what torch.fx replaces while it traces, keeps what it computes, and has hooks."""

    def __init__(self, wraps):
        super().__init__()
        torch.manual_seed(0)
        self.wraps = wraps
        self.conv, self.relu, self.fc = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Linear(4, N_CLASSES)
        self.scale, self.kept, self.last = nn.Parameter(torch.tensor(2.0)), [], None
        self.scale.requires_grad = False
        self.conv.register_forward_hook(lambda module, args, output: None)

    def forward(self, x):
        hidden = self.relu(self.conv(x)).mean((2, 3))
        self.last = hidden
        self.kept[:] = [hidden]
        if self.wraps:
            hidden = halved(hidden) * (len(hidden) / len(hidden)) / sqrt(hidden.size(1))
        return self.fc(hidden * self.scale)


class Interrupt:
    """Raises KeyboardInterrupt at one of the lines of torch.fx and of our explainers, or counts them."""

    def __init__(self, instant=0, files=("torch/fx/", "quantus_senc/explainers/")):
        self.instant, self.files, self.n_lines = instant, files, 0

    def __call__(self, frame, event, arg):
        if not any(name in frame.f_code.co_filename for name in self.files):
            return None
        if event == "line":
            self.n_lines += 1
            if self.n_lines == self.instant:
                sys.settrace(None)
                raise KeyboardInterrupt
        return self

    def watch(self, run):
        before = sys.gettrace()
        try:
            sys.settrace(self)
            run()
        finally:
            sys.settrace(before)


def global_state():
    places = (vars(nn.Module), vars(math), vars(fx._symbolic_trace), globals())
    return [{name: id(value) for name, value in place.items()} for place in places], list(warnings.filters)


def n_interrupted(model, x, y, method, n_instants, **kwargs):
    """How many of so many instants have raised KeyboardInterrupt, and left nothing changed."""

    def run():
        explain(model, x, y, method=method)

    counted = Interrupt(**kwargs)
    counted.watch(run)
    with torch.no_grad():
        expected = model(x)
    before, attributes, flags = global_state(), snapshot(model), [one.requires_grad for one in model.parameters()]
    n = 0
    for index in range(n_instants):
        try:
            Interrupt(1 + index * counted.n_lines // n_instants, **kwargs).watch(run)
        except KeyboardInterrupt:
            assert global_state() == before  # while the exception is alive, and with it all frames
            n += 1
        assert global_state() == before
        with torch.no_grad():
            assert torch.equal(model(x), expected)
        assert snapshot(model) == attributes
        assert [one.requires_grad for one in model.parameters()] == flags
    assert torch.equal(explain(model, x, y, method=method), explain(Small(model.wraps).eval(), x, y, method=method))
    return n


@pytest.mark.unwatched("model")  # its forward pass keeps what it has seen
@pytest.mark.parametrize("method", [*CANONIZED, "GradCAM"])
def test_interrupt_leaves_nothing_changed(method, x, y):
    model = Small(wraps=method != "LRP").eval()  # which has no rule for functions of users
    model(x)
    assert n_interrupted(model, x, y, method, N_INSTANTS) >= N_INSTANTS - 2


@pytest.mark.unwatched("model")
def test_second_putting_back_may_be_interrupted_too(x, y):
    model = Small(wraps=False).eval()
    model(x)
    assert n_interrupted(model, x, y, "GradCAM", 60, files=("model/put_back.py", "model/state.py")) == 60


def test_interrupt_is_seen():
    with pytest.raises(KeyboardInterrupt):
        Interrupt(50).watch(lambda: explain(Small(True).eval(), torch.rand(1, 3, 8, 8), torch.tensor([0]), method="DeepLift"))
