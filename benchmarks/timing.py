"""Time of contenders that take turns, per perturbed sample."""

import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import torch

_LEAST = 2  # masks in the smallest run: SenC needs two; passes must be as full as in large runs
_FEWEST_ROUNDS = 3


@dataclass
class Contender:
    """Something to time.

    Attributes
    ----------
    name
        The column of the table it stands in.
    metrics
        The rows of the table it stands in.
    run
        Takes the number of masks or perturbed samples of each image; returns how many perturbed samples that were in all, and
        the seconds of what a call does once, however many they are.
    usual
        How many of them an image gets by default, over which what a call does once is spread; 0 if it has none.
    weighed
        How many masked samples are predicted and explained for so many masks, if equal ones are not repeated.
    whole
        A number with which passes are full; 0 if the number does not count.
    smallest
        How many samples the smallest run predicts and explains, roughly.
    notes
        How it ran, or why it did not.
    size
        What `run` is given in a timed run.
    spent
        Seconds so far.
    runs
        Seconds of each timed run, and of what it did once.
    pairs
        Perturbed samples of a run, repeated ones included.
    """

    name: str
    metrics: tuple[str, ...]
    run: Callable[[int], tuple[int, float]]
    usual: int = 0
    whole: int = 1
    weighed: Callable[[int], int] | None = None
    smallest: float = 4
    notes: set[str] = field(default_factory=set)
    size: int = 0
    spent: float = 0.0
    runs: list[tuple[float, float]] = field(default_factory=list)
    pairs: int = 0

    def clock(self, size: int, device: torch.device) -> tuple[float, float]:
        """Seconds of one run, and of what it does once."""
        start = time.perf_counter()
        self.pairs, once = self.run(size)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.spent += seconds
        return seconds, once

    @property
    def least(self) -> int:
        """What `run` is given in the smallest run."""
        return max(self.whole, _LEAST)

    def turn(self, device: torch.device) -> None:
        """One round."""
        self.runs.append(self.clock(self.size, device))

    @property
    def share(self) -> float:
        """How many of the perturbed samples of a usual call are predicted and explained."""
        return self.weighed(self.usual) / (self.usual * self.pairs / self.size) if self.weighed else 1.0

    def microseconds(self) -> list[float]:
        """Of a perturbed sample in each round, in a usual call: with its share in what the call does once."""
        if not (self.usual and self.runs):
            return [1e6 * seconds / self.pairs for seconds, _ in self.runs]
        weighed = self.weighed(self.size) if self.weighed else self.pairs
        usual = self.usual * self.pairs / self.size
        return [1e6 * ((seconds - once) / weighed * self.share + once / usual) for seconds, once in self.runs]

    def fit(self, seconds: float, sample: float, device: torch.device) -> None:
        """Warm up, and choose a size with which a run takes about so many seconds, if one sample takes `sample`; the usual, if
        that is possible.
        """
        taken = self.clock(self.least, device)[0]
        if self.weighed and self.weighed(self.usual) * sample < seconds:
            self.size = self.usual
            return
        self.size = (2 if taken > seconds else 4) * self.least
        while self.whole and taken < seconds:
            growth = seconds / self.clock(self.size, device)[0]
            larger = min(int(self.size * min(growth, 8)) // self.whole * self.whole, self.usual or 2**20)
            if growth < 2 or larger <= self.size:
                break
            self.size = larger


def race(contenders: list[Contender], rounds: int, seconds: float, by_batch: dict[int, float], device: torch.device) -> None:
    """Let contenders take turns until their share of so many seconds is spent, three times at the least.

    One that would need too much of them, if each sample of its smallest run takes what one alone does, or fails, is left out.
    `by_batch` has seconds a sample of the floor by batch size.
    """
    share = seconds / len(contenders)
    for contender in contenders:
        expected = contender.smallest * by_batch[1]
        if expected > seconds / 2:
            contender.notes.add(f"left out: one call takes about {expected:.0f} s; allow it more `--seconds`")
        else:
            _try(contender, partial(contender.fit, share / (rounds + 2), min(by_batch.values()), device))
    for number in range(rounds):
        for contender in contenders:
            if contender.size and (number < _FEWEST_ROUNDS or contender.spent < 1.2 * share):
                _try(contender, partial(contender.turn, device))


def _try(contender: Contender, step: Callable[[], None]) -> None:
    """Run a step; leave the contender out if it fails."""
    try:
        step()
    except Exception as error:  # whatever a contender cannot do is a result
        first_line = next(iter(str(error).splitlines()), "")
        contender.notes.add(f"left out: {type(error).__name__}: {first_line[:160]}")
        contender.size = 0
        contender.runs.clear()


def environment(device: torch.device) -> dict[str, str | int]:
    """What a number needs to be compared with another."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    commit = subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()
    packages = {name: version(name) for name in ("torch", "captum", "quantus", "numpy", "scipy")}
    return {
        "commit": commit,
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **packages,
    }


def processor() -> str:
    """The name of the CPU."""
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
