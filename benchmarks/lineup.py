"""Who takes turns for one model and explanation method."""

import math
import time

import torch

from benchmarks import contenders as senc
from benchmarks import other_metrics
from benchmarks.calls import DATA, DEFAULT_MASKS, FIRST_CONV, LAST_LINEAR, TARGETS, explain_by_senc
from benchmarks.rows import Explain, Row, explain_by_captum, explain_by_quantus
from benchmarks.timing import Contender, Task

FLOOR, SENC_QUANTUS, SENC, WEIGHTS, PAPER = (
    "floor",
    "SenC, quantus.explain",
    "SenC, quantus_senc.explain",
    "SenC, one mask a pass",
    "the paper's loop",
)
OTHERS = ("MaxSensitivity", "FaithfulnessCorrelation", "MPRT", "sensitivity_max", "infidelity")
COLUMNS = (FLOOR, SENC_QUANTUS, SENC, WEIGHTS, PAPER, *OTHERS)
_FEWEST_SAMPLES = 16  # of SenC in a run


def lineup(row: Row, method: str, seconds: float) -> tuple[list[Contender], dict[int, float]]:
    """The contenders, and seconds of a sample of the floor by batch size."""
    explain = explain_by_captum(row, method)
    by_batch = floor_by_batch(row, explain, seconds / 20)
    batch = fastest(by_batch)
    copies = senc.masked_copies(row, max(batch, min(16 * batch, 2**26 // row.inputs[0].nbytes)))
    contenders = [
        Contender(FLOOR, TARGETS, senc.bare_passes(row, explain, *copies, batch), smallest=0),
        *_data(row, method),
        *_parameter(row, method, FIRST_CONV),
        *_parameter(row, method, LAST_LINEAR),
        *_others(row, method, explain, batch),
    ]
    for one in contenders:
        if one.name == "MPRT":  # explains many images at once
            one.smallest *= by_batch[max(size for size in by_batch if size <= len(row.inputs))] / by_batch[1]
    return contenders, by_batch


def floor_by_batch(row: Row, explain: Explain, seconds: float) -> dict[int, float]:
    """Seconds of a sample in passes of each power of two, until a pass takes longer than `seconds` or samples get slower."""
    by_batch: dict[int, float] = {}
    for size in (2**power for power in range(13 if row.device.type == "cuda" else 11)):
        task = senc.bare_passes(row, explain, *senc.masked_copies(row, size), size)
        try:
            taken = min(_seconds(task, row.device) for _ in range(3))
        except torch.OutOfMemoryError:
            break
        by_batch[size] = taken / size
        if 2 * taken > seconds or by_batch[size] > 1.3 * min(by_batch.values()):
            break
    return by_batch


def fastest(by_batch: dict[int, float]) -> int:
    """The batch size with the least seconds of a sample."""
    return min(by_batch, key=by_batch.__getitem__)


def _seconds(task: Task, device: torch.device) -> float:
    start = time.perf_counter()
    task.run(1)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _data(row: Row, method: str) -> list[Contender]:
    n = len(row.inputs)
    whole = -(-_full(row, method) // n)
    smallest = n * max(whole, 2) + 2 * n + 4
    by_quantus, by_senc = explain_by_quantus(row, method), explain_by_senc(row.model, method)
    default = DEFAULT_MASKS[DATA]
    return [
        Contender(SENC_QUANTUS, (DATA,), senc.data_senc(row, by_quantus), default, whole, smallest),
        Contender(SENC, (DATA,), senc.data_senc(row, by_senc), default, whole, smallest),
        Contender(PAPER, (DATA,), senc.paper_data(row, by_quantus), default),
    ]


def _full(row: Row, method: str) -> int:
    """Samples of full passes, enough to time."""
    size = row.pass_size(method)
    return size * -(-_FEWEST_SAMPLES // size)


def _parameter(row: Row, method: str, target: str) -> list[Contender]:
    whole, default = _full(row, method), DEFAULT_MASKS[target]
    by_quantus, by_senc = explain_by_quantus(row, method), explain_by_senc(row.model, method)
    contenders = []
    for name, explaining, strategy in (
        (SENC_QUANTUS, by_quantus, "auto"),
        (SENC, by_senc, "auto"),
        (WEIGHTS, by_quantus, "weights"),
    ):
        notes: set[str] = set()
        task = senc.parameter_senc(row, target, explaining, notes, strategy)
        size, smallest = (whole, 32 + whole) if strategy == "auto" else (1, 8)
        contenders.append(Contender(name, (target,), task, default, size, smallest, notes))
    return [*contenders, Contender(PAPER, (target,), senc.paper_parameter(row, target, by_quantus), default)]


def _others(row: Row, method: str, explain: Explain, batch: int) -> list[Contender]:
    n, explaining = len(row.inputs), explain_by_quantus(row, method)
    n_mprt = other_metrics.n_random_layers(row) * other_metrics.n_mprt_images(row)
    tasks = {
        "MaxSensitivity": (other_metrics.max_sensitivity(row, explaining), 200),
        "FaithfulnessCorrelation": (other_metrics.faithfulness_correlation(row, explaining), 100),
        "sensitivity_max": (other_metrics.captum_sensitivity(row, explain, batch), 10),
        "infidelity": (other_metrics.captum_infidelity(row, explain, batch), 10),
    }
    mprt = Contender("MPRT", (FIRST_CONV, LAST_LINEAR), other_metrics.mprt(row, explaining), whole=0, smallest=n_mprt)
    return [mprt, *(Contender(name, (DATA,), task, default, smallest=3 * n) for name, (task, default) in tasks.items())]


def record(row: Row, method: str, by_batch: dict[int, float], contenders: list[Contender]) -> dict:
    """The measurements, for JSON."""
    return {
        "model": row.name,
        "method": method,
        "images": len(row.inputs),
        "features": int(row.labels.max()) + 1,
        "floor's batch": fastest(by_batch),
        "floor's microseconds by batch": {size: round(1e6 * seconds, 1) for size, seconds in by_batch.items()},
        "SenC's batch": row.pass_size(method),
        "contenders": [
            {
                "name": one.name,
                "metrics": one.metrics,
                "masks or samples of an image": one.size,
                "microseconds": [round(value, 2) for value in one.microseconds()],
                "seconds of what a run does once": [round(once, 4) for once in one.once() if not math.isnan(once)],
                "share that is run": round(one.share_run, 4) if one.runs and one.default else None,
                "notes": sorted(one.notes),
            }
            for one in contenders
        ],
    }
