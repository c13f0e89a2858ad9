"""What is shown of a comparison that is under way."""

import io
import sys

import numpy as np

from quantus_senc import compare
from quantus_senc.comparison import progress
from quantus_senc.comparison.progress import Display, Progress
from tests.small_models import image_model, inputs


def inputs_and_classes():
    return inputs(2, 1, 8, 8), np.array([0, 1])


def shown_by(n_scores, steps):
    """The last text after steps of (method of `Progress`, its arguments, the time at which it is called)."""
    texts, now = [], [0.0]
    told = Progress(n_scores, lambda text, n: texts.append((text, n)), clock=lambda: now[0])
    for name, arguments, at in steps:
        now[0] = at
        getattr(told, name)(*arguments)
    return texts[-1]


def test_each_kind_of_work_has_its_speed():
    steps = [("done", ("slow", 2), 100.0), ("done", ("fast", 2), 102.0)]
    assert shown_by({"slow": 6, "fast": 4}, steps) == ("fast, 3 min left", 2)  # 4 at 50 s, and 2 at 1 s
    assert shown_by({"slow": 6, "unknown": 4}, steps[:1])[0] == "slow, 7 min left"  # 4 at 50 s, and 4 that count as these


def test_what_is_there_takes_no_time():
    steps = [("skip", ("first", 4), 50.0), ("done", ("second", 1), 60.0)]
    assert shown_by({"first": 4, "second": 3}, steps) == ("second, 20 s left", 1)
    assert shown_by({"first": 4}, steps[:1]) == ("first", 4)


def test_without_a_terminal_there_is_a_line_a_minute(monkeypatch):
    written, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Display(10, is_shown=True) as display:
        for now[0] in (10.0, 61.0, 62.0, 130.0):
            display.show("LRP: SenC", 2)
    assert written.getvalue() == "4 of 10 scores: LRP: SenC\n8 of 10 scores: LRP: SenC\n"
    with Display(10, is_shown=False) as display:
        now[0] = 500.0
        display.show("LRP: SenC", 2)
    assert written.getvalue().count("\n") == 2


def test_a_terminal_has_a_bar(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.delenv("PYTEST", raising=False)
    with Display(4, is_shown=True) as display:
        display.show("LRP: SenC, 5 s left", 2)
    assert "50%|" in sys.stderr.getvalue()
    assert "2/4 scores" in sys.stderr.getvalue()
    assert "LRP: SenC, 5 s left" in sys.stderr.getvalue()


def test_a_failure_is_shown_at_once_and_once(monkeypatch):
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)

    def fails(model, inputs, targets):
        raise ArithmeticError("no map")

    metrics = {"one": lambda **kwargs: [0.0] * len(kwargs["x_batch"])}
    arguments = {"methods": {"mine": fails}, "metrics": metrics, "block_size": 1}
    compare(image_model(), *inputs_and_classes(), display_progressbar=True, **arguments)
    assert written.getvalue() == "mine: one: the method failed: ArithmeticError: no map\n"
    compare(image_model(), *inputs_and_classes(), **arguments)
    assert written.getvalue().count("\n") == 1
