"""What is changed for a while is put back, also if Ctrl-C comes at the worst instant."""

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def run_and_put_back(run: Callable[[], T], put_back: Callable[[], None]) -> T:
    """What `run` returns. Afterwards, `put_back` is called twice, so that it reaches its end where Ctrl-C interrupts it once.

    A context manager would not do: an interrupt within its `__exit__` comes before what it puts back.

    Parameters
    ----------
    run
        Changes something, and returns a result. Every change is made within it.
    put_back
        Undoes the changes that have been made. Where there are none, it must change nothing, not even for an instant.
    """
    try:
        try:
            return run()
        finally:
            put_back()
    finally:
        put_back()
