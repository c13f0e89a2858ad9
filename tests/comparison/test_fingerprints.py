"""What has the same fingerprint in another process, and what has another one."""

import functools
import itertools
import logging
import math
import os
import pickle
import subprocess
import sys
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path, PurePosixPath
from types import FunctionType

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, compare, default_metrics
from quantus_senc.comparison.fingerprints import NotComparableError, of_model, of_value
from tests.small_models import classes, image_model, inputs

ROOT = Path(__file__).parents[2]


def function(text, name="f", **variables):
    """A function without a source file."""
    exec(text, variables)
    return variables[name]


def metric_class(text, **variables):
    return function(f"class Mine(Base):\n {text}", "Mine", Base=quantus.Sparseness, **variables)


class Slots:
    __slots__ = ("a", "b")

    def __init__(self, a, b=0):
        self.a, self.b = a, b


class Hidden:
    """A metric whose parameters are attributes of other names."""

    def __init__(self, k, *ks):
        self._k, self._all = k, ks

    def __call__(self, **kwargs):
        return [self._k]


class Steps(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.n = n


class Colour(Enum):
    RED = 1
    BLUE = 2


@dataclass
class Pair:
    one: int = 1


def closure(value):
    return lambda: value


def cycle(n):
    """A list of lists, the last of which holds the one that is n levels up."""
    lists = [[1], [1], [1]]
    for outer, inner in itertools.pairwise(lists):
        outer.append(inner)
    lists[-1].append(lists[-n])
    return lists[0]


def with_itself():
    slots = Slots(1)
    slots.a = [slots]
    return slots


def objects(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def generator(seed):
    return torch.Generator().manual_seed(seed)


OTHERS = {
    "an attribute of another name": (Hidden(1), Hidden(2)),
    "more arguments": (Hidden(1, 2), Hidden(1, 3)),
    "code without a source file": (function("def f(): return a.mean()"), function("def f(): return a.std()")),
    "a constant": (function("def f(): return 1"), function("def f(): return 2")),
    "true and one": (function("def f(): return True"), function("def f(): return 1")),
    "a function within": (function("def f(): return lambda: 1"), function("def f(): return lambda: 2")),
    "the name of a keyword": (function("def f(a=1): return a"), function("def f(b=1): return b")),
    "a default": (function("def f(a=1): return a"), function("def f(a=2): return a")),
    "a default of a keyword": (function("def f(*, a=1): return a"), function("def f(*, a=2): return a")),
    "a closure": (closure(1), closure(2)),
    "a partial": (functools.partial(math.pow, 1), functools.partial(math.pow, 2)),
    "an attribute of a function": [functools.wraps(closure(value))(function("def f(): return 1")) for value in (1, 2)],
    "a helper": [
        function("def f(): return g()\ndef g(): return h()\n" + h) for h in ("def h(): return 1", "def h(): return 2")
    ],
    "a helper within": [function(f"def f(): return lambda: g()\ndef g(): return {k}") for k in (1, 2)],
    "a global variable": (function("def f(): return k", k=1), function("def f(): return k", k=2)),
    "the code of a class": [metric_class(f"def __call__(self): return {k}")() for k in (1, 2)],
    "the code of a base": [
        function(f"class A:\n def f(self): return {k}\nclass B(A): pass", "B", __name__="x")() for k in (1, 2)
    ],
    "an attribute of a class": [metric_class(f"k = {k}")() for k in (1, 2)],
    "a property": [metric_class(f"@property\n def k(self): return {k}")() for k in (1, 2)],
    "a static method": [metric_class(f"@staticmethod\n def k(): return {k}")() for k in (1, 2)],
    "a cached property": [
        metric_class(f"@cached\n def k(self): return {k}", cached=functools.cached_property)() for k in (1, 2)
    ],
    "a cached function": [functools.lru_cache(function(f"def f(): return {k}")) for k in (1, 2)],
    "whose method": (Hidden(1).__call__, Hidden(2).__call__),
    "a parameter of Quantus": (quantus.PixelFlipping(features_in_step=1), quantus.PixelFlipping(features_in_step=2)),
    "a parameter of ours": (DataSensitivityConsistency(40), DataSensitivityConsistency(50)),
    "a derived metric": [DataSensitivityConsistency(40).top_k(k) for k in (1, 2)],
    "the source of a derived metric": [DataSensitivityConsistency(n).top_k(1) for n in (40, 50)],
    "a slot": (Slots(1), Slots(2)),
    "another slot": (Slots(1, 2), Slots(1, 3)),
    "an attribute of a module": (Steps(1), Steps(2)),
    "weights": (nn.Linear(2, 2), nn.Linear(2, 2)),
    "a slice": (slice(1, 2), slice(1, 3)),
    "a range": (range(3), range(4)),
    "a complex number": (1 + 2j, 1 + 3j),
    "a path": (PurePosixPath("a"), PurePosixPath("b")),
    "a type of numbers": (np.dtype("f4"), np.dtype("f8")),
    "a type of torch": (torch.float32, torch.float64),
    "a device": (torch.device("cpu"), torch.device("meta")),
    "a decimal": (Decimal("1.0"), Decimal("1.1")),
    "a generator": (np.random.default_rng(1), np.random.default_rng(2)),
    "a generator of torch": (generator(1), generator(2)),
    "a deque": (deque([1, 2]), deque([1, 3])),
    "an enum": (Colour.RED, Colour.BLUE),
    "a dataclass": (Pair(1), Pair(2)),
    "items of a dict of another class": (OrderedDict(a=1), OrderedDict(a=2)),
    "an integer of many digits": (10**5000, 10**5000 + 1),
    "a back-reference": (cycle(1), cycle(2)),
    "an array of objects": (objects(1, "a"), objects(1, "b")),
    "a number in single precision": (np.float32(0.1), 0.1),
    "a truth value": (True, 1),
    "a float": (1.0, 1),
    "a list and a tuple": ([1], (1,)),
    "a set": ({1, 2}, {1, 3}),
    "functions of NumPy": (np.add, np.subtract),
    "a bit of a tensor": (torch.tensor([0.0]), torch.tensor([-0.0])),
    "a class of numbers": (np.float32, np.float64),
}


@pytest.mark.parametrize(("one", "other"), OTHERS.values(), ids=OTHERS)
def test_other_things_have_other_fingerprints(one, other):
    assert of_value({"value": one}) != of_value({"value": other})


EQUAL = {
    "integers": (np.int64(60), 60),
    "floats": (np.float64(0.5), 0.5),
    "texts": (np.str_("a"), "a"),
    "the order of keywords": ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
    "the order of a set": ({"a", "b", "c", "d"}, {"d", "c", "b", "a"}),
    "not a number": (math.nan, float("nan")),
    "arrays of objects": (objects(1, "ab"), objects(1, "a" + "".join(["b"]))),
    "lists that are shared": ([[1]] * 2, [[1], [1]]),
    "cycles": (cycle(2), cycle(2)),
    "a line that grew": (function("f = lambda x: x"), function("f, g = lambda x: x, 1")),
    "the place of code": (function("def f(): return 1"), function("\n\n\ndef f(): return 1")),
    "closures": (closure([1]), closure([1])),
    "a closure over a module": (closure(math), closure(math)),
    "a closure over a logger": (closure(logging.getLogger("a")), closure(logging.getLogger("a"))),
    "the progress bar": (quantus.Sparseness(display_progressbar=False), quantus.Sparseness(display_progressbar=True)),
    "a global counter": [function("def f():\n global n\n n += 1", n=n) for n in (1, 2)],
    "attributes that have the name of a global variable": [function("def f(x): return x.n", n=n) for n in (1, 2)],
    "equal weights on the same seed": (image_model(), image_model()),
}


@pytest.mark.parametrize(("one", "other"), EQUAL.values(), ids=EQUAL)
def test_equal_things_have_equal_fingerprints(one, other):
    assert of_value({"value": one}) == of_value({"value": other})


ALL = {name: one for name, (one, _) in (OTHERS | EQUAL).items() if name != "weights"}


def test_the_same_in_another_process():
    """With other addresses, and sets in another order."""
    script = (
        "from tests.comparison.test_fingerprints import ALL, of_value\n"
        "for value in ALL.values():\n    print(of_value({'value': value}))\n"
    )
    environment = os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert dict(zip(ALL, done.stdout.split(), strict=True)) == {name: of_value({"value": each}) for name, each in ALL.items()}


@pytest.mark.parametrize(
    "value",
    [Slots(1, [2]), deque([slice(2)]), Colour.RED, Pair(), Steps(1), with_itself()],
    ids=lambda value: type(value).__name__,
)
def test_the_same_after_a_pickle(value):
    assert of_value(pickle.loads(pickle.dumps(value))) == of_value(value)


def nested(levels):
    value = 1
    for _ in range(levels):
        value = {"a": [value]}
    return value


def hidden_in_sets(levels):
    value = frozenset([1])
    for _ in range(levels):
        value = frozenset([value])
    return value


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (threading.Lock(), "^keyword is a lock, whose content cannot be read"),
        ({"inner": [Hidden(threading.Lock())]}, "^keyword.inner._k is a lock"),
        (closure(threading.Lock()), "keyword is a lock"),
        ((x for x in ()), "keyword is a generator"),
        (torch.empty(2, device="meta"), "keyword is a Tensor"),
        (nested(2000), "nested more than 100 levels deep"),
        (hidden_in_sets(500), "nested more than 100 levels deep"),
    ],
)
def test_what_has_no_fingerprint(value, message):
    with pytest.raises(NotComparableError, match=message):
        of_value({"keyword": value})


def test_what_metrics_compute_does_not_count():
    """Neither in metrics of Quantus and ours, nor in classes that extend them."""
    model, x, y = image_model(), inputs(2, 1, 8, 8), classes(2)
    metrics = default_metrics(x, model, n_masks=100, n_classes=3, segment_func="grid", segment_func_kwargs={"patch_size": 2})
    metrics["mine"] = metric_class("pass")(return_aggregate=False, disable_warnings=True)
    before = {name: of_value(metric) for name, metric in metrics.items()}
    result = compare(model, x, y, methods=["Saliency"], metrics=metrics)
    assert result.scores["failure"].eq("").all()
    assert {name: of_value(metric) for name, metric in metrics.items()} == before


class Other(nn.Sequential):
    """The same with another name."""


def changed_model(change):
    model = image_model()
    with torch.no_grad():
        change(model)
    return model


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model[0].bias[0].add_(1e-3),
        lambda model: model.double(),
        lambda model: model.register_buffer("more", torch.zeros(1)),
        lambda model: model[4].weight.set_(model[4].weight.reshape(64, 3)),
        lambda model: setattr(model, "__class__", Other),
    ],
    ids=["a bias", "the precision", "a buffer", "a shape", "the class"],
)
def test_other_models(change):
    assert of_model(changed_model(change)) != of_model(image_model())


def test_models_that_print_addresses():
    class Printing(nn.Linear):
        def extra_repr(self):
            return repr(object())

    torch.manual_seed(0)
    one = Printing(2, 2)
    other = Printing(2, 2)
    other.load_state_dict(one.state_dict())
    assert of_model(one) == of_model(other)


def test_functions_of_installed_packages_are_known_by_name():
    """Their code is that of a version, which a run compares."""
    renamed = FunctionType(quantus.explain.__code__, {"__name__": "quantus"}, "explain")
    renamed.__module__, renamed.__defaults__ = quantus.explain.__module__, quantus.explain.__defaults__
    assert of_value(renamed) == of_value(quantus.explain)
