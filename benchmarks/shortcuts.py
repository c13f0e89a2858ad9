"""What each shortcut of the package saves, as a share of the time of a whole call.

    python -m benchmarks.shortcuts --json shortcuts.json
    python -m benchmarks.shortcuts --rows lenet --methods Saliency --rounds 3 --seconds 0.5

Whole calls with all shortcuts, and with each of them off, take turns in one process with one thread. The time is CPU time, and
the share is 1 - (median with all shortcuts) / (median without one). The column "noise" has the share of a second run with all
shortcuts: smaller shares mean nothing. The retained heap is measured apart: with it and without it in alternating processes,
in wall time, and with all threads, because a process keeps the thresholds that glibc has once set.
"""

import argparse
import json
import logging
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import torch

from benchmarks.calls import DEFAULT_MASKS, LAST_LINEAR, TARGETS, call, cpu_seconds, explain_by_senc, masks_for
from benchmarks.rows import Row
from benchmarks.timing import environment
from quantus_senc.core.mask_loop import MaskRun
from quantus_senc.model.layers_once import LayersOnce
from quantus_senc.model.shared_pass import SharedPass

ROWS = ("lenet", "resnet18-16", "mobilenet", "efficientnet")
METHODS = ("Saliency", "IntegratedGradients", "GradCAM")
HEAP = "retained heap"
CPU = torch.device("cpu")


def _no_shared_pass() -> AbstractContextManager[Any]:
    never = property(lambda self: False, lambda self, value: None)
    return patch.object(SharedPass, "shares", never, create=True)


def _no_equal_samples() -> AbstractContextManager[Any]:
    return patch.object(MaskRun, "_keys", lambda self, rows, stop: ((row, torch.arange(stop)) for row in rows))


def _no_layers_once() -> AbstractContextManager[Any]:
    return patch.object(LayersOnce, "active", False)


def _no_retained_heap() -> AbstractContextManager[Any]:
    return patch("quantus_senc.metrics.base.retain_heap", nullcontext)


# How each shortcut is switched off, and the calls in which it can matter.
SHORTCUTS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], tuple[str, ...]]] = {
    "noise": (nullcontext, TARGETS),
    "shared forward pass": (_no_shared_pass, TARGETS),
    "equal samples run once": (_no_equal_samples, TARGETS),
    "layers run once": (_no_layers_once, (LAST_LINEAR,)),
}


def measure(row: Row, method: str, target: str, rounds: int, seconds: float) -> dict[str, Any]:
    """CPU seconds of calls with all shortcuts, and without each of them; as many masks as take about so many seconds."""
    explaining, arrays = explain_by_senc(row.model, method), row.arrays

    def run(n_masks: int) -> None:
        call(row.model, arrays, target, n_masks, explaining, row.labels)

    n_masks = masks_for(run, seconds, DEFAULT_MASKS[target])
    switches = {"all": nullcontext}
    switches |= {name: switch for name, (switch, targets) in SHORTCUTS.items() if target in targets}
    times: dict[str, list[float]] = {name: [] for name in switches}
    for _ in range(rounds):
        for name, switch in switches.items():
            with switch():
                times[name].append(cpu_seconds(run, n_masks))
    return {"model": row.name, "method": method, "SenC of": target, "masks": n_masks, "CPU seconds": times, "heap": {}}


def measure_heap(records: list[dict[str, Any]], rounds: int) -> None:
    """Add wall seconds of calls with and without the retained heap to the records of a model; a process for each round."""
    for record in records:
        record["heap"] = {"on": [], "off": []}
    for _ in range(rounds):
        for switch in ("on", "off"):
            child = [sys.executable, "-m", "benchmarks.shortcuts", "--child", switch]
            done = subprocess.run(child, input=json.dumps(records), stdout=subprocess.PIPE, text=True, check=True)
            for record, taken in zip(records, json.loads(done.stdout), strict=True):
                record["heap"][switch].append(taken)


def wall_seconds(records: list[dict[str, Any]]) -> Iterator[float]:
    """Of the call of each record of a model, after one that warms up."""
    row = Row.from_name(records[0]["model"], CPU)
    for record in records:
        arguments = row.model, row.arrays, record["SenC of"], record["masks"], explain_by_senc(row.model, record["method"])
        call(*arguments, row.labels)
        start = time.perf_counter()
        call(*arguments, row.labels)
        yield time.perf_counter() - start


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: the CPU seconds of a call, and the share of time that each shortcut saves."""
    known = ["model", "method", "SenC of", "masks"]
    head = [*known, "CPU s", *SHORTCUTS, HEAP]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for record in records:
        times, heap = record["CPU seconds"], record["heap"]
        cells = [saved(times["all"], times.get(name)) for name in SHORTCUTS] + [saved(heap.get("on"), heap.get("off"))]
        values = [*(str(record[key]) for key in known), f"{median(times['all']):.3g}", *cells]
        lines.append(f"| {' | '.join(values)} |")
    return "\n".join(lines)


def saved(on: list[float] | None, off: list[float] | None) -> str:
    """The share of time that a shortcut saves."""
    return f"{1 - median(on) / median(off):.0%}" if on and off else ""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="models")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2, help="of a call, roughly; a call has 16 masks at the least")
    parser.add_argument("--heap-rounds", type=int, default=5, help="0 leaves the retained heap out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", choices=("on", "off"), help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Measure, print a table and write JSON where asked."""
    options = arguments()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.child:
        with nullcontext() if options.child == "on" else _no_retained_heap():
            print(json.dumps(list(wall_seconds(json.load(sys.stdin)))))
        return
    results: dict[str, Any] = {"environment": environment(CPU), "records": []}
    torch.set_num_threads(1)
    for name in options.rows.split(","):
        row, records = Row.from_name(name, CPU), []
        for method in options.methods.split(","):
            for target in options.targets.split(","):
                records.append(measure(row, method, target, options.rounds, options.seconds))
                logging.info("%s", table(records[-1:]).splitlines()[-1])
        measure_heap(records, options.heap_rounds)
        results["records"] += records
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    print(", ".join(f"{key} {value}" for key, value in results["environment"].items()))
    print(f"\n{table(results['records'])}")


if __name__ == "__main__":
    main()
