"""Who takes turns for one model and explanation method."""

import time
from functools import partial

import torch

from benchmarks import contenders as senc
from benchmarks import others
from benchmarks.subjects import Bare, Row, bare, by_own, by_quantus
from benchmarks.timing import Contender

DATA, FIRST_CONV, LAST_LINEAR = METRICS = ("data", "first convolution", "last fully connected")
FLOOR, OURS, OURS_OWN, WEIGHTS, LITERAL = (
    "floor",
    "SenC, quantus.explain",
    "SenC, quantus_senc.explain",
    "SenC, one mask a pass",
    "the paper's loop",
)
OTHERS = ("MaxSensitivity", "FaithfulnessCorrelation", "MPRT", "sensitivity_max", "infidelity")
COLUMNS = (FLOOR, OURS, OURS_OWN, WEIGHTS, LITERAL, *OTHERS)
_FEWEST_SAMPLES = 16  # of SenC in a run, so that what a call does once is not all that is timed


def lineup(row: Row, method: str, seconds: float) -> tuple[list[Contender], dict[int, float]]:
    """The contenders, and seconds a sample of the floor by batch size."""
    explain = bare(row, method)
    by_batch = floor_by_batch(row, explain, seconds / 20)
    batch = fastest(by_batch)
    copies = senc.masked_copies(row, max(batch, min(16 * batch, 2**26 // row.inputs[0].nbytes)))
    every = [
        Contender(FLOOR, METRICS, senc.bare_passes(row, explain, *copies, batch), smallest=0),
        *_data(row, method),
        *_parameter(row, method, FIRST_CONV, row.first_conv()),
        *_parameter(row, method, LAST_LINEAR, row.last_linear()),
        *_others(row, method, explain, batch),
    ]
    for one in every:
        if one.name == "MPRT":  # explains many images at once
            one.smallest *= by_batch[max(size for size in by_batch if size <= len(row.inputs))] / by_batch[1]
    return every, by_batch


def floor_by_batch(row: Row, explain: Bare, seconds: float) -> dict[int, float]:
    """Seconds a sample in passes of each power of two, until they take longer than so many seconds or get slower."""
    found: dict[int, float] = {}
    for size in (2**power for power in range(13 if row.device.type == "cuda" else 11)):
        run = senc.bare_passes(row, explain, *senc.masked_copies(row, size), size)
        try:
            taken = min(_seconds(run, row.device) for _ in range(3))
        except torch.OutOfMemoryError:
            break
        found[size] = taken / size
        if 2 * taken > seconds or found[size] > 1.3 * min(found.values()):
            break
    return found


def fastest(by_batch: dict[int, float]) -> int:
    """The batch size with the least seconds a sample."""
    return min(by_batch, key=by_batch.__getitem__)


def _seconds(run: senc.Run, device: torch.device) -> float:
    start = time.perf_counter()
    run(1)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _data(row: Row, method: str) -> list[Contender]:
    n = len(row.inputs)
    whole = -(-_full(row, method) // n)
    smallest = n * max(whole, 2) + 2 * n + 4
    (x, y), labels, how = row.arrays, row.labels[0].numpy(), by_quantus(row, method)
    explain = partial(how["explain_func"], **how["explain_func_kwargs"])
    weighed = senc.n_masked_images(row)
    loop = partial(senc.literal_data, row.model, x[:1], y[:1], labels, explain)
    return [
        Contender(OURS, (DATA,), senc.data_senc(row, how), 5000, whole, weighed, smallest),
        Contender(OURS_OWN, (DATA,), senc.data_senc(row, by_own(row, method)), 5000, whole, weighed, smallest),
        Contender(LITERAL, (DATA,), loop, 5000),
    ]


def _full(row: Row, method: str) -> int:
    """Samples of full passes, enough to time."""
    size = row.pass_size(method)
    return size * -(-_FEWEST_SAMPLES // size)


def _parameter(row: Row, method: str, metric: str, layer: str) -> list[Contender]:
    whole = _full(row, method)
    (x, y), how = row.arrays, by_quantus(row, method)
    explain = partial(how["explain_func"], **how["explain_func_kwargs"])
    loop = partial(senc.literal_parameter, row.model, x[:1], y[:1], layer, explain)
    found = []
    for name, way, strategy in ((OURS, how, "auto"), (OURS_OWN, by_own(row, method), "auto"), (WEIGHTS, how, "weights")):
        notes: set[str] = set()
        run = senc.parameter_senc(row, layer, way, notes, strategy)
        auto = strategy == "auto"
        size, smallest = (whole, 32 + whole) if auto else (1, 8)
        found.append(Contender(name, (metric,), run, 10_000, size, senc.n_masked_models(row, layer), smallest, notes))
    return [*found, Contender(LITERAL, (metric,), loop, 10_000)]


def _others(row: Row, method: str, explain: Bare, batch: int) -> list[Contender]:
    n, how = len(row.inputs), by_quantus(row, method)
    layers = others.n_random_layers(row) * others.n_mprt_images(row)
    parameter = (FIRST_CONV, LAST_LINEAR)
    runs = {
        "MaxSensitivity": (others.max_sensitivity(row, how), 200),
        "FaithfulnessCorrelation": (others.faithfulness_correlation(row, how), 100),
        "sensitivity_max": (others.captum_sensitivity(row, explain, batch), 10),
        "infidelity": (others.captum_infidelity(row, explain, batch), 10),
    }
    mprt = Contender("MPRT", parameter, others.mprt(row, how), whole=0, smallest=layers)
    return [mprt, *(Contender(name, (DATA,), run, usual, smallest=3 * n) for name, (run, usual) in runs.items())]


def record(row: Row, method: str, by_batch: dict[int, float], found: list[Contender]) -> dict:
    """What was found, for JSON."""
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
                "seconds of what a run does once": [round(once, 4) for _, once in one.runs],
                "explained": round(one.share, 4) if one.runs else None,
                "notes": sorted(one.notes),
            }
            for one in found
        ],
    }
