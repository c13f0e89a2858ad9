"""Whether a model and methods are the same as those that began a run: tried on one image, whatever they are made of."""

import json
import logging
import math
import threading

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import compare, explain_random
from quantus_senc.comparison.encoding import from_npz, npz_of
from quantus_senc.comparison.named_methods import Method
from quantus_senc.comparison.probe import Probe, differences, probed
from tests.comparison.test_fingerprints import closure, function, nested
from tests.comparison.test_runs import Stop, stopping_at
from tests.small_models import gradient, inputs

X, Y = inputs(4, 6), np.array([0, 1, 2, 0])
METHOD = "def f(model, inputs, targets, part=None): return "


class Scaled(nn.Module):
    """A model with an attribute that is no tensor."""

    def __init__(self, scale=1.0):
        super().__init__()
        self.layer, self.scale = nn.Linear(6, 3), scale
        with torch.no_grad():
            self.layer.weight.copy_(torch.arange(18.0).reshape(3, 6).sin())
            self.layer.bias.zero_()

    def forward(self, x):
        return self.layer(x) * self.scale


class Factor(nn.Module):
    """A method whose factor is an attribute."""

    def __init__(self, factor):
        super().__init__()
        self.factor = factor

    def forward(self, model, inputs, targets):
        return torch.as_tensor(inputs) * self.factor


class Counting:
    """A method that counts its calls."""

    def __init__(self):
        self.calls = []

    def __call__(self, model, inputs, targets, **kwargs):
        self.calls.append(np.array(inputs))
        return gradient(model, torch.as_tensor(inputs), torch.as_tensor(targets))


def hooked(hook):
    model = Scaled()
    model.layer.register_forward_hook(hook)
    return model


def other_code():
    class Scaled_(Scaled):
        def forward(self, x):
            return self.layer(x).square()

    Scaled_.__name__ = "Scaled"
    return Scaled_()


def method(text, **variables):
    return function(METHOD + text, **variables)


def call(folder, **changes):
    """Begin a small comparison, or go on with it."""
    arguments = {"model": Scaled(), "x_batch": X, "y_batch": Y, "methods": {"m": gradient}, "metrics": {"c": one_each}}
    return compare(folder=folder, **arguments | changes)


def one_each(x_batch, **kwargs):
    return [1.0] * len(x_batch)


def by(explain_func, **kwargs):
    return {"methods": {"m": (explain_func, kwargs)}}


def segments(k):
    return function(f"def f(image): return {k}")


MAP, OUTPUTS = (
    r"method 'm' \(its map of the first image is another one\)",
    r"the model \(its outputs for the first image differ by ",
)
OTHERS = {
    "an attribute of the model": ({}, {"model": Scaled(1.1)}, OUTPUTS),
    "a hook": ({}, {"model": hooked(lambda module, args, output: output * 2)}, OUTPUTS),
    "the code of the model": ({}, {"model": other_code()}, OUTPUTS),
    "the code of a method": (by(method("inputs * 2")), by(method("inputs * 3")), MAP),
    "a helper": (by(method("g(inputs)", g=np.abs)), by(method("g(inputs)", g=np.sign)), MAP),
    "a global variable": (by(method("inputs * k", k=1)), by(method("inputs * k", k=2)), MAP),
    "a default": (by(lambda model, inputs, targets, k=2: inputs * k), by(lambda model, inputs, targets, k=3: inputs * k), MAP),
    "a method that is a module": (by(Factor(1)), by(Factor(2)), MAP),
    "the shape of maps": (by(method("inputs")), by(method("inputs[:, :3]")), MAP),
    "no map": (
        by(method("inputs")),
        by(method("inputs / nothing")),
        r"method 'm' \(.* is another one each time, or an error\)",
    ),
    "a slice": (
        by(method("inputs"), part=slice(2)),
        by(method("inputs"), part=slice(3)),
        r"method 'm' \(f\(part=slice\(None, 2",
    ),
    "a function to segment": (
        {"segment_func": segments(1)},
        {"segment_func": segments(2)},
        r"parameter 'segment_func' \(its code",
    ),
    "a baseline": ({"perturb_baseline": closure(1)}, {"perturb_baseline": closure(2)}, "parameter 'perturb_baseline'"),
    "a parameter less": ({"perturb_baseline": 0.5}, {}, r"parameter 'perturb_baseline' \(0.5, now not given\)"),
    "a parameter more": ({}, {"perturb_baseline": 0.5}, r"parameter 'perturb_baseline' \(not given, now 0.5\)"),
}


@pytest.mark.parametrize(("first", "then", "message"), OTHERS.values(), ids=OTHERS)
def test_something_else_is_refused_and_named(tmp_path, first, then, message):
    call(tmp_path, **first)
    before = {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}
    with pytest.raises(ValueError, match=f"holds another comparison: other than .* began it are .*{message}"):
        call(tmp_path, **then)
    with pytest.raises(ValueError, match=message):
        call(tmp_path, **then | {"methods": by(gradient)["methods"] | then.get("methods", {})})
    assert before == {file: file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()}


class Printing(Scaled):
    def extra_repr(self):
        return repr(object())


def drawing():
    generator = np.random.default_rng(0)
    return lambda model, inputs, targets: generator.random(inputs.shape)


def failing(model, inputs, targets):
    raise ArithmeticError("no map")


def constant(module, logger):
    return lambda x_batch, **kwargs: [module.pi + logger.level] * len(x_batch)


class Locked:
    """A metric that holds what pickle cannot keep."""

    def __init__(self):
        self.inner = {"lock": threading.Lock()}

    def __call__(self, x_batch, **kwargs):
        return [1.0] * len(x_batch)


COUNTING = Counting()
EQUAL = {
    "functions with the same code": [
        {"segment_func": segments(1), "segment_func_kwargs": {"k": closure(1)}, "perturb_baseline": closure(np.ones(2))}
        for _ in range(2)
    ],
    "a method that counts its calls": [by(COUNTING), by(COUNTING)],
    "other code that does the same": [by(method("inputs")), by(method("inputs * 1.0"))],
    "numbers of NumPy": [{"n_masks": 60, "seed": 3}, {"n_masks": np.int64(60), "seed": np.int64(3)}],
    "the order of keywords": [by(COUNTING, a=1, b=2), by(COUNTING, b=2, a=1)],
    "keywords that are arrays of objects": [by(COUNTING, a=np.array([1, "b"], object)) for _ in range(2)],
    "a method that draws numbers of its own": [by(drawing()), by(drawing())],
    "a method that draws from global generators": [by(explain_random), by(explain_random)],
    "a method that fails": [by(failing), by(failing)],
    "a model that prints an address": [{"model": Printing()}, {"model": Printing()}],
    "a closure over a module": [by(lambda model, inputs, targets, math=math: inputs) for _ in range(2)],
    "a metric with a closure over a module and a logger": [
        {"metrics": {"c": constant(math, logging.getLogger("a"))}} for _ in range(2)
    ],
    "a line that grew": [by(method(f"inputs{'  ' * n}")) for n in (0, 1)],
}


@pytest.mark.parametrize(("first", "then"), EQUAL.values(), ids=EQUAL)
def test_the_same_is_accepted(tmp_path, first, then):
    call(tmp_path, **first)
    cells = {file: file.stat().st_mtime_ns for file in tmp_path.glob("cells/*/*.npz")}
    call(tmp_path, **then)
    assert cells == {file: file.stat().st_mtime_ns for file in tmp_path.glob("cells/*/*.npz")}


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        (by(Counting(), lock=threading.Lock()), r"method 'm' \(it cannot be compared: lock is a lock,"),
        (by(Counting(), a=nested(2000)), r"method 'm' \(it cannot be compared: a.* nested more than 100 levels deep"),
        ({"metrics": {"c": Locked()}}, r"metric 'c' \(it cannot be compared: inner.lock is a lock"),
        ({"segment_func": closure(threading.Lock())}, r"parameter 'segment_func' \(it cannot be compared: it is a lock"),
    ],
    ids=["a keyword", "a deep keyword", "a metric", "a parameter"],
)
def test_what_cannot_be_compared_is_named_at_once_and_refused(tmp_path, changes, what):
    with pytest.warns(UserWarning, match=f"can't be continued if it is stopped: .*{what}.*; pass plain values instead"):
        call(tmp_path, **changes)
    with pytest.raises(ValueError, match=f"{what}.*; pass plain values instead"):
        call(tmp_path, **changes)


def test_settings_are_shown_in_words(tmp_path):
    settings = call(tmp_path, segment_func=segments(1), perturb_baseline=closure(1)).settings
    assert settings["parameters"]["segment_func"] == "f"
    assert "0x" not in json.dumps(settings)
    assert settings["device"].startswith(f"cpu ({torch.backends.cpu.get_cpu_capability()}, {torch.get_num_threads()} thread")


def test_later_calls_try_the_image_of_the_run(tmp_path):
    counting = Counting()
    call(tmp_path, **by(counting))
    counting.calls.clear()
    call(tmp_path, x_batch=X + 1, image_ids=np.arange(64, 68), **by(counting))
    for tried, expected in zip(counting.calls, [X[:1], X[:1], X + 1], strict=True):
        np.testing.assert_array_equal(tried, expected)


def test_runs_in_memory_try_nothing():
    counting = Counting()
    call(None, **by(counting))
    assert len(counting.calls) == 1


def test_methods_that_are_added_are_compared_from_then_on(tmp_path):
    one, other, another = (by(method(f"inputs * {k}"))["methods"]["m"] for k in (1, 2, 3))
    for methods in ({"one": one}, {"other": other}, {"one": one, "other": other}):
        call(tmp_path, methods=methods)
    with pytest.raises(ValueError, match="method 'other'"):
        call(tmp_path, methods={"one": one, "other": another})


def test_a_method_that_was_not_added_before_a_stop_may_be_another_one(monkeypatch, tmp_path):
    call(tmp_path)
    with pytest.raises(Stop), stopping_at(monkeypatch, 2, half_written=False):
        call(tmp_path, methods={"more": method("inputs")})
    call(tmp_path, methods={"more": method("inputs * 2")})


def test_maps_of_other_devices_are_not_compared(tmp_path):
    """Nor are those that another device has added. Outputs are compared."""
    one, other = (by(method(f"inputs * {k}"))["methods"]["m"] for k in (1, 2))
    call(tmp_path, methods={"m": one})
    description, here = tmp_path / "run.json", torch.backends.cpu.get_cpu_capability()
    description.write_text(description.read_text().replace(here, "elsewhere"))
    call(tmp_path, methods={"m": other, "more": one})
    description.write_text(description.read_text().replace("elsewhere", here))
    call(tmp_path, methods={"m": one, "more": other})
    with pytest.raises(ValueError, match="method 'm'"):
        call(tmp_path, methods={"m": other})
    description.write_text(description.read_text().replace(here, "elsewhere"))
    with pytest.raises(ValueError, match=OUTPUTS):
        call(tmp_path, model=Scaled(1.1), methods={"m": one})


def test_a_probe_that_is_damaged(tmp_path):
    """It is made again, and later calls are compared with it."""
    call(tmp_path)
    (tmp_path / "probe.npz").write_bytes(b"no archive")
    with pytest.warns(UserWarning, match=r"probe.npz cannot be read .* is not compared"):
        call(tmp_path)
    call(tmp_path)
    with pytest.raises(ValueError, match=OUTPUTS):
        call(tmp_path, model=Scaled(1.1))


def test_a_method_that_failed_at_first_is_known_once_it_works(tmp_path):
    call(tmp_path, methods={"m": method("1 / 0")})
    call(tmp_path, methods={"m": method("inputs")}, retry_failed=True)
    with pytest.raises(ValueError, match="method 'm'"):
        call(tmp_path, methods={"m": method("inputs * -1")})


def test_an_interrupt_is_not_caught(tmp_path):
    def interrupted(model, inputs, targets):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(tmp_path, **by(interrupted))
    assert not (tmp_path / "run.json").exists()


def test_model_and_generators_are_as_before():
    model, state = Scaled().train(), np.random.get_state()[1].copy()

    def spoiling(model, inputs, targets):
        model.scale = 7.0
        return np.random.random(inputs.shape)

    probe = probed(model, {"m": Method(spoiling)}, X[0], 0, seed=1)
    assert probe.maps["m"].shape == (1, 6)
    assert (model.training, model.scale) == (True, 1.0)
    assert np.array_equal(np.random.get_state()[1], state)


def test_a_model_that_draws_numbers_is_not_compared():
    class Noisy(Scaled):
        def forward(self, x):
            return super().forward(x) + len(calls.append(0) or calls)

    calls = []
    probe = probed(Noisy(), {}, X[0], 0, seed=1)
    assert probe.outputs is None
    assert not differences(probe, probed(Scaled(), {}, X[0], 0, seed=1), same_device=True)


VALUES = np.linspace(-1, 1, 2001)[None]


def changed(value, place=slice(None)):
    values = VALUES.copy()
    values[:, place] += value
    return values


@pytest.mark.parametrize(
    ("before", "now", "is_same"),
    [
        (VALUES, changed(5e-4), True),
        (VALUES, changed(5e-3), False),
        (VALUES, changed(1, 7), True),
        (VALUES, changed(1, slice(3)), False),
        (VALUES[:, :99], changed(1, 7)[:, :99], False),
        (VALUES, VALUES[..., None], False),
        (VALUES, None, False),
        (None, VALUES, True),
        (np.array([[math.nan, math.inf, 1.0]]), np.array([[math.nan, math.inf, 1.0]]), True),
        (np.array([[math.nan, math.inf, 1.0]]), np.array([[math.nan, 1.0, 1.0]]), False),
        (np.array([[math.inf, 1.0]]), np.array([[math.inf, 1.1]]), False),
        (np.array([[1.0, 1.0]]), np.array([[1.0, math.nan]]), False),
        (np.array([[250]], np.uint8), np.array([[3]], np.uint8), False),
        (np.zeros((1, 3)), np.zeros((1, 3)), True),
        (np.zeros((1, 3)), np.full((1, 3), 1e-9), False),
    ],
)
def test_rounding(before, now, is_same):
    one, other = (Probe(X[0], 0, values, {"m": values}) for values in (before, now))
    assert len(differences(one, other, same_device=True)) == (0 if is_same else 2)


def test_rounding_of_another_device():
    one, near, far = (Probe(X[0], 0, values, {"m": values}) for values in (VALUES, changed(5e-3), changed(5e-2)))
    assert not differences(one, near, same_device=False)
    assert differences(one, far, same_device=False) == ["the model (its outputs for the first image differ by 0.05)"]


def test_a_probe_can_be_saved():
    probe = probed(Scaled(), {"m": Method(gradient), "fails": Method(failing)}, X[0], 2, seed=1)
    again = from_npz(npz_of(probe), Probe)
    assert (again.target, again.maps["fails"], list(again.maps)) == (2, None, ["m", "fails"])
    for one, other in ((again.image, X[0]), (again.outputs, probe.outputs), (again.maps["m"], probe.maps["m"])):
        np.testing.assert_array_equal(one, other)
        assert one.dtype == other.dtype
