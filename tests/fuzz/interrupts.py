"""Interrupts at a chosen moment of a call: Ctrl-C before the n-th line of this package, Captum or torch.fx."""

import sys
from contextlib import contextmanager
from functools import cache

_WHERE = ("/quantus_senc/", "/captum/", "/torch/fx/")


class _Lines:
    """Counts lines that are about to run, and raises KeyboardInterrupt before one of them."""

    def __init__(self, interrupted):
        self.interrupted, self.count, self.place = interrupted, 0, ""

    def enter(self, frame, event, arg):
        """Trace only functions of these packages."""
        return self.step if _is_traced(frame.f_code.co_filename) else None

    def step(self, frame, event, arg):
        """A line, a return or an exception."""
        if event == "line":
            self.count += 1
            if self.count == self.interrupted:
                self.place = f"{frame.f_code.co_filename}:{frame.f_lineno} ({frame.f_code.co_qualname})"
                raise KeyboardInterrupt
        return self.step


@contextmanager
def interrupted(line=None):
    """Raise KeyboardInterrupt before the line with this number, from 1; without a number, only count lines.

    Yields
    ------
    _Lines
        With the `count` of lines so far, and the `place` of the interrupt.
    """
    lines, before = _Lines(line), sys.gettrace()
    sys.settrace(lines.enter)
    try:
        yield lines
    finally:
        sys.settrace(before)


@cache
def _is_traced(filename):
    path = filename.replace("\\", "/")
    return any(where in path for where in _WHERE) and "/tests/" not in path
