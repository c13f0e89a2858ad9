"""Marks by which a profiler tells the stages apart."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from torch.profiler import record_function

P = ParamSpec("P")
T = TypeVar("T")


def stage(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a function as a stage, under the name "senc.NAME" in `torch.profiler`."""

    def mark(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def marked(*args: P.args, **kwargs: P.kwargs) -> T:
            with record_function(f"senc.{name}"):
                return function(*args, **kwargs)

        return marked

    return mark
