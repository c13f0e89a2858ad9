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

_LEAST = 2  # masks, of which SenC needs two
_FEWEST_ROUNDS = 3


@dataclass(frozen=True)
class Task:
    """Something that runs on a number of masks (or perturbed samples) of each image.

    Attributes
    ----------
    run
        Takes the number.
    samples
        How many perturbed samples these are for all images.
    n_run
        How many of them are predicted or explained. A sample that equals another need not be. By default all of them.
    """

    run: Callable[[int], object]
    samples: Callable[[int], int]
    n_run: Callable[[int], int] | None = None


@dataclass
class Contender:
    """Something to time.

    Attributes
    ----------
    name
        The column of the table.
    metrics
        The rows of the table.
    task
        What it runs.
    default
        The number of masks or perturbed samples of an image by default; 0 if there is none.
    whole
        A number for which passes are full; 0 if a run takes no number.
    smallest
        How many samples the smallest run predicts and explains, roughly.
    notes
        How it ran, or why it did not.
    size
        The number of a timed run.
    spent
        Seconds so far.
    runs
        For each round, the seconds of the smallest run, and of a run of `size`. The first are NaN where `size` is the default.
    """

    name: str
    metrics: tuple[str, ...]
    task: Task
    default: int = 0
    whole: int = 1
    smallest: float = 4
    notes: set[str] = field(default_factory=set)
    size: int = 0
    spent: float = 0.0
    runs: list[tuple[float, float]] = field(default_factory=list)

    @property
    def least(self) -> int:
        """The number of the smallest run."""
        return max(self.whole, _LEAST)

    def n_run(self, size: int) -> int:
        """How many samples a run predicts or explains."""
        return (self.task.n_run or self.task.samples)(size)

    @property
    def share_run(self) -> float:
        """Which share of the perturbed samples of a default call is predicted and explained."""
        return self.n_run(self.default) / self.task.samples(self.default)

    def clock(self, size: int, device: torch.device) -> float:
        """Seconds of one run."""
        start = time.perf_counter()
        self.task.run(size)
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds = time.perf_counter() - start
        self.spent += seconds
        return seconds

    def turn(self, device: torch.device) -> None:
        """One round."""
        extrapolates = self.default and self.size != self.default
        smallest = self.clock(self.least, device) if extrapolates else float("nan")
        self.runs.append((smallest, self.clock(self.size, device)))

    def once(self) -> list[float]:
        """Seconds of what a run does once, whatever its size, in each round; NaN where `size` is the default.

        The time of a run is assumed to be once + slope * samples that are run.
        """
        return [smallest - self._slope(smallest, seconds) * self.n_run(self.least) for smallest, seconds in self.runs]

    def microseconds(self) -> list[float]:
        """Of a perturbed sample of a default call, in each round."""
        if not self.default or self.size == self.default:
            return [1e6 * seconds / self.task.samples(self.size) for _, seconds in self.runs]
        missing = self.n_run(self.default) - self.n_run(self.size)
        samples = self.task.samples(self.default)
        return [1e6 * (seconds + self._slope(smallest, seconds) * missing) / samples for smallest, seconds in self.runs]

    def _slope(self, smallest: float, seconds: float) -> float:
        """Seconds of a sample that is run."""
        return (seconds - smallest) / max(self.n_run(self.size) - self.n_run(self.least), 1)

    def fit(self, seconds: float, sample: float, device: torch.device) -> None:
        """Warm up, and choose a size with which a run takes about so many seconds: the default, if that is possible.

        Parameters
        ----------
        sample
            Seconds that a sample takes at least.
        """
        taken = self.clock(self.least, device)
        if self.task.n_run and self.n_run(self.default) * sample < seconds:
            self.size = self.default
            return
        self.size = (2 if taken > seconds else 4) * self.least
        while self.whole and taken < seconds:
            growth = seconds / self.clock(self.size, device)
            larger = min(int(self.size * min(growth, 8)) // self.whole * self.whole, self.default or 2**20)
            if growth < 2 or larger <= self.size:
                break
            self.size = larger


def race(contenders: list[Contender], rounds: int, seconds: float, by_batch: dict[int, float], device: torch.device) -> None:
    """Let contenders take turns until their share of so many seconds is spent, three times at the least.

    A contender that fails is left out. So is one whose smallest run would take more than half of the seconds.

    Parameters
    ----------
    by_batch
        Seconds of a sample of the floor, by batch size. Passes of one sample tell what the smallest run takes at most.
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
    except Exception as error:  # a contender may raise anything
        first_line = next(iter(str(error).splitlines()), "")
        contender.notes.add(f"left out: {type(error).__name__}: {first_line[:160]}")
        contender.size = 0
        contender.runs.clear()


def environment(device: torch.device) -> dict[str, str | int]:
    """Commit, date, machine and versions: what a number needs to be compared with another."""
    packages = {name: version(name) for name in ("torch", "captum", "quantus", "numpy", "scipy")}
    return {
        "commit": commit(),
        "date": datetime.now(UTC).date().isoformat(),
        "device": torch.cuda.get_device_name() if device.type == "cuda" else processor(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **packages,
    }


def commit() -> str:
    """The commit of the checkout, with "-dirty" if it was changed since; empty outside of one."""
    git = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def processor() -> str:
    """The name of the CPU."""
    try:
        with open("/proc/cpuinfo") as info:
            return next(line.split(":")[1].strip() for line in info if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
