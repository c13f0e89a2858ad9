"""How far a comparison is, and how long the rest takes."""

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any

from tqdm.auto import tqdm

_PATIENCE = 60.0  # seconds between lines where there is no terminal


class Progress:
    """Scores that are done, and the time left.

    Every kind of work, such as one metric of one method, is expected to take as long a score as it has taken so far. A kind
    that has not been seen yet counts as the mean of the others.

    Parameters
    ----------
    n_scores
        How many scores each kind of work makes.
    show
        Called with a text at each step, and how many scores that step has made.
    note
        Called with what users should know at once.
    clock
        Seconds, from any start on.

    Examples
    --------
    >>> times = iter([0.0, 2.0, 3.0])
    >>> progress = Progress({"Saliency: SenC": 20, "Saliency: MPRT": 20}, clock=times.__next__)
    >>> progress.done("Saliency: SenC", 10)
    >>> progress.done("Saliency: MPRT", 10)
    >>> progress.seconds_left()  # 10 scores at 0.2 s, and 10 at 0.1 s
    3.0
    """

    def __init__(
        self,
        n_scores: Mapping[str, int],
        show: Callable[[str, int], object] = lambda text, n_scores: None,
        note: Callable[[str], object] = lambda text: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._left, self._show, self._clock = dict(n_scores), show, clock
        self.note = note
        self._taken = dict[str, tuple[float, int]]()  # seconds, and for how many scores
        self._since = clock()

    @classmethod
    def silent(cls) -> "Progress":
        """One that shows nothing."""
        return cls({})

    def begin(self, what: str) -> None:
        """Say what is done next."""
        self._show(self._text(what), 0)

    def done(self, kind: str, n_scores: int) -> None:
        """Work of a kind is done. What has passed since the last step was done for it."""
        now = self._clock()
        seconds, scores = self._taken.get(kind, (0.0, 0))
        self._taken[kind] = seconds + now - self._since, scores + n_scores
        self._since = now
        self._finish(kind, n_scores)

    def skip(self, kind: str, n_scores: int) -> None:
        """Work of a kind need not be done."""
        self._since = self._clock()
        self._finish(kind, n_scores)

    def seconds_left(self) -> float | None:
        """How long the rest takes; None if nothing is done yet."""
        rates = {kind: seconds / scores for kind, (seconds, scores) in self._taken.items()}
        if not rates:
            return None
        mean = sum(rates.values()) / len(rates)
        return sum(rates.get(kind, mean) * n_scores for kind, n_scores in self._left.items())

    def _finish(self, kind: str, n_scores: int) -> None:
        self._left[kind] = max(self._left.get(kind, 0) - n_scores, 0)
        self._show(self._text(kind), n_scores)

    def _text(self, what: str) -> str:
        seconds = self.seconds_left()
        return what if seconds is None else f"{what}, {duration(seconds)} left"


class Display:
    """A bar in a terminal or a notebook; elsewhere a line a minute.

    Parameters
    ----------
    total
        How many scores there are.
    is_shown
        Whether anything is shown.
    """

    def __init__(self, total: int, *, is_shown: bool) -> None:
        self._has_bar = is_shown and (sys.stderr.isatty() or "ipykernel" in sys.modules)
        self._has_lines, self._total, self._n, self._last = is_shown and not self._has_bar, total, 0, time.monotonic()
        self._notes = set[str]()
        form = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} scores, {elapsed}{postfix}"
        self._bar = tqdm(total=total, disable=not self._has_bar, bar_format=form)

    def show(self, text: str, n_scores: int) -> None:
        """Show that so many more scores are done, and a text."""
        self._n += n_scores
        self._bar.set_postfix_str(text, refresh=False)
        self._bar.update(n_scores)
        if self._has_lines and time.monotonic() > self._last + _PATIENCE:
            self._last = time.monotonic()
            sys.stderr.write(f"{self._n} of {self._total} scores: {text}\n")

    def note(self, text: str) -> None:
        """Show a line that stays, but not twice."""
        if text not in self._notes and (self._has_bar or self._has_lines):
            self._notes.add(text)
            self._bar.write(text, file=sys.stderr)

    def __enter__(self) -> "Display":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> Any:
        self._bar.close()


def duration(seconds: float) -> str:
    """A time in words, to about a tenth.

    Examples
    --------
    >>> duration(0.2), duration(75), duration(4000), duration(40_000), duration(400_000)
    ('< 1 s', '75 s', '67 min', '11 h', '4.6 days')
    """
    if seconds < 1:
        return "< 1 s"
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 48)):
        if seconds < most * size:
            return f"{round(seconds / size)} {unit}"
    return f"{seconds / 86400:.1f} days"
