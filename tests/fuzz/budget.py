"""How many examples are tried, and how long each may take."""

import functools
import os
import signal

from hypothesis import given, settings

MANY = os.environ.get("SENC_FUZZ", "few") == "many"
_MOST_SECONDS = 20


def cases(few, many, **strategies):
    """Run a test on so many examples in `make test`, and on so many in `make fuzz`. None may take more than 20 seconds."""

    def decorate(test):
        return settings(max_examples=many if MANY else few)(given(**strategies)(_limited(test)))

    return decorate


def _limited(test):
    @functools.wraps(test)
    def limited(*args, **kwargs):
        before = signal.signal(signal.SIGALRM, _give_up)
        signal.alarm(_MOST_SECONDS)
        try:
            return test(*args, **kwargs)
        finally:
            signal.alarm(0)
            signal.signal(signal.SIGALRM, before)

    return limited


def _give_up(signum, frame):
    raise TimeoutError(f"the example takes more than {_MOST_SECONDS} seconds")
