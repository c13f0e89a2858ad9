"""Each call of a public function leaves the model and the process as they were; otherwise the test fails."""

import functools
from contextlib import contextmanager

from torch import nn
from torch.nn.parameter import is_lazy

from tests.snapshots import ModelSnapshot, ProcessSnapshot

_LARGEST_MODEL = 2**22  # parameters; larger models are not looked at
_watch = None  # of the test that runs


class _Watch:
    """What calls in one test have left behind."""

    def __init__(self, unwatched):
        self.unwatched = unwatched
        self.is_in_call = False
        self.traces = []

    @contextmanager
    def around(self, name, model):
        """Compare the state before and after a call; calls inside of it belong to it."""
        self.is_in_call = True
        process, before = ProcessSnapshot(), ModelSnapshot(model) if _is_small(model) else None
        try:
            yield
        finally:
            self.is_in_call = False
            changed = process.differences(generators="generators" not in self.unwatched)
            if before is not None and "model" not in self.unwatched:
                changed += before.differences()
            self.traces += [f"{name} has changed {what}" for what in changed]


@contextmanager
def watching(unwatched):
    """Watch the calls of a test, but for "model", "generators", or "all", which the test's own functions may change."""
    global _watch
    around, process = _watch, ProcessSnapshot()
    _watch = watch = _Watch(unwatched)
    try:
        yield
        traces = watch.traces + [f"the test has changed {what}" for what in process.differences(generators=False)]
        assert not traces, "\n".join(traces)
    finally:
        _watch = around


def install():
    """Let every call of a public function be watched. It is called before tests import the functions."""
    import sympy  # noqa: F401  torch imports it when it first traces a model, and it adds a filter of warnings

    import quantus_senc
    from quantus_senc.comparison import compare, expected_time
    from quantus_senc.explainers import explain
    from quantus_senc.metrics import base, derived

    for owner, name, place in (
        (base.SensitivityConsistency, "__call__", 1),
        (derived.DerivedMetric, "__call__", 1),
        (explain, "_explain", 1),  # both `explain` and what `prepare` returns call it
        (explain.explain, "prepare", 0),
        (compare, "compare", 0),
        (expected_time, "expected_time", 0),
    ):
        setattr(owner, name, _watched(getattr(owner, name), place))
    quantus_senc.compare, quantus_senc.expected_time = compare.compare, expected_time.expected_time


def _watched(function, place):
    """The same function, watched; `place` is where its model stands among the arguments."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        if _watch is None or _watch.is_in_call or "all" in _watch.unwatched:
            return function(*args, **kwargs)
        model = kwargs.get("model", args[place] if len(args) > place else None)
        with _watch.around(function.__qualname__, model):
            return function(*args, **kwargs)

    return call


def _is_small(model):
    if not isinstance(model, nn.Module):
        return False
    return sum(one.numel() for one in model.parameters() if not is_lazy(one)) <= _LARGEST_MODEL
