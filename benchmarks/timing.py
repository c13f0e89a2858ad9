"""Time of contenders that take turns, per perturbed sample."""

import platform
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version

import numpy as np
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
        Takes the number of masks or perturbed samples of each image; returns how many perturbed samples that were in all.
    usual
        How many of them an image gets by default, over which the cost of a call as such is spread; 0 if it has none.
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
    few, runs
        Seconds and samples of each run: of small ones, which tell apart what a call costs as such, and of large ones.
    """

    name: str
    metrics: tuple[str, ...]
    run: Callable[[int], int]
    usual: int = 0
    whole: int = 1
    smallest: float = 4
    notes: set[str] = field(default_factory=set)
    size: int = 0
    spent: float = 0.0
    few: list[tuple[float, int]] = field(default_factory=list)
    runs: list[tuple[float, int]] = field(default_factory=list)

    def clock(self, size: int, device: torch.device) -> tuple[float, int]:
        """Seconds of one run, and its perturbed samples."""
        start = time.perf_counter()
        n = self.run(size)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.spent += seconds
        return seconds, n

    @property
    def least(self) -> int:
        """What `run` is given in a small run."""
        return max(self.whole, _LEAST)

    def turn(self, device: torch.device) -> None:
        """One round."""
        if self.usual:
            self.few.append(self.clock(self.least, device))
        self.runs.append(self.clock(self.size, device))

    def once(self) -> float:
        """Seconds of a call as such."""
        if not self.few:
            return 0.0
        (few_seconds, few), (seconds, n) = (np.median(runs, axis=0) for runs in (self.few, self.runs))
        return float(max(few_seconds - few * max(seconds - few_seconds, 0) / (n - few), 0))

    def microseconds(self) -> list[float]:
        """Of a perturbed sample in each round, with its share in what a call costs as such."""
        once = self.once()
        share = once * self.least / (self.usual * self.few[0][1]) if self.few else 0.0
        return [1e6 * ((seconds - once) / n + share) for seconds, n in self.runs]

    def fit(self, seconds: float, device: torch.device) -> None:
        """Warm up, and choose a size with which a run takes about so many seconds."""
        taken = self.clock(self.least, device)[0]
        self.size = (2 if taken > seconds else 4) * self.least
        while self.whole and taken < seconds:
            growth = seconds / self.clock(self.size, device)[0]
            larger = min(int(self.size * min(growth, 8)) // self.whole * self.whole, self.usual or 2**20)
            if growth < 2 or larger <= self.size:
                break
            self.size = larger


def race(contenders: list[Contender], rounds: int, seconds: float, sample: float, device: torch.device) -> None:
    """Let contenders take turns until their share of so many seconds is spent, three times at the least.

    One that would need too much of them, with `sample` seconds for each sample of its smallest run, or fails, is left out.
    """
    share = seconds / len(contenders)
    for contender in contenders:
        expected = contender.smallest * sample
        if expected > seconds / 5:
            contender.notes.add(f"left out: one call takes about {expected:.0f} s; allow it more `--seconds`")
        else:
            _try(contender, partial(contender.fit, share / (rounds + 2), device))
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
