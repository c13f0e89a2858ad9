"""Time of whole calls of one checkout over that of another.

    python benchmarks/compare_commits.py OLD NEW --json commits.json
    python benchmarks/compare_commits.py OLD NEW --rows lenet --methods Saliency --rounds 3 --seconds 0.5 --threads 1

OLD and NEW are checkouts of this repository. Their processes take turns. Each runs every method and target of a model once,
after a call with a quarter of the masks that warms up. Both use the models and calls beside this file, and of the package
public names alone. Ratios are of medians over the rounds.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

HERE = Path(__file__).resolve().parent
ROWS = "lenet,resnet18-16,mobilenet,efficientnet"
METHODS = "Saliency,IntegratedGradients,DeepLift,GradCAM"
SIDES = ("old", "new")
CLOCKS = ("CPU", "wall")
Records = list[dict[str, Any]]


def run_records(records: Records, seconds: float) -> Records:
    """Run the call of each record of one model in this process, and add its seconds.

    Parameters
    ----------
    seconds
        What a call takes roughly. Records without a number of masks get one by this.
    """
    import torch

    from benchmarks.calls import DEFAULT_MASKS, call, explain_by_senc, masks_for, segmented
    from benchmarks.models import model_and_inputs

    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    model, inputs, targets = model_and_inputs(records[0]["model"])
    arrays = inputs.numpy(), targets.numpy()
    labels = segmented(model, arrays).numpy()
    for record in records:
        explaining, target = explain_by_senc(model, record["method"]), record["SenC of"]

        def run(n_masks: int, explaining: dict[str, Any] = explaining, target: str = target) -> None:
            call(model, arrays, target, n_masks, explaining, labels)

        if "masks" not in record:
            record["masks"] = masks_for(run, seconds, DEFAULT_MASKS[target])
        run(max(record["masks"] // 4, 2))
        cpu, wall = time.process_time(), time.perf_counter()
        run(record["masks"])
        record["seconds"] = {"CPU": time.process_time() - cpu, "wall": time.perf_counter() - wall}
    return records


def in_checkout(checkout: Path, records: Records, seconds: float, n_threads: int) -> Records:
    """`run_records` in a process with the package of a checkout."""
    with TemporaryDirectory() as folder:
        (Path(folder) / "quantus_senc").symlink_to(checkout.resolve() / "quantus_senc")
        (Path(folder) / "benchmarks").symlink_to(HERE)
        settings = os.environ | {"PYTHONPATH": folder, "OMP_NUM_THREADS": str(n_threads)}
        child = [sys.executable, "-m", "benchmarks.compare_commits", "--child", str(seconds)]
        given = {"stdout": subprocess.PIPE, "text": True, "check": True, "cwd": folder, "env": settings}
        return json.loads(subprocess.run(child, input=json.dumps(records), **given).stdout)


def measure(checkouts: dict[str, Path], records: Records, options: argparse.Namespace) -> Records:
    """Seconds of each round, by side and clock, for the records of one model."""
    first = in_checkout(checkouts["old"], records, options.seconds, options.threads)
    records = [{**record, "masks": one["masks"]} for record, one in zip(records, first, strict=True)]
    times: list[dict[str, dict[str, list[float]]]] = [
        {side: {clock: [] for clock in CLOCKS} for side in SIDES} for _ in records
    ]
    for number in range(options.rounds):
        for side in SIDES if number % 2 == 0 else SIDES[::-1]:
            done = in_checkout(checkouts[side], records, options.seconds, options.threads)
            for one, record in zip(times, done, strict=True):
                for clock in CLOCKS:
                    one[side][clock].append(record["seconds"][clock])
    return [{**record, "times": one} for record, one in zip(records, times, strict=True)]


def table(records: Records) -> str:
    """Markdown: seconds of the old checkout, and the new checkout's over these, for each call and their sum."""
    known = ["model", "method", "SenC of", "masks"]
    head = [*known, *(f"{label} {clock}" for clock in CLOCKS for label in ("old,", "new/old,"))]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    sums = dict.fromkeys(((side, clock) for side in SIDES for clock in CLOCKS), 0.0)
    for record in records:
        medians = {key: median(record["times"][key[0]][key[1]]) for key in sums}
        sums = {key: total + medians[key] for key, total in sums.items()}
        lines.append(f"| {' | '.join([*(str(record[key]) for key in known), *_cells(medians)])} |")
    return "\n".join([*lines, f"| sum | | | | {' | '.join(_cells(sums))} |"])


def _cells(seconds: dict[tuple[str, str], float]) -> list[str]:
    return [
        cell
        for clock in CLOCKS
        for cell in (f"{seconds['old', clock]:.3g} s", f"{seconds['new', clock] / seconds['old', clock]:.2f}")
    ]


def commit(checkout: Path) -> str:
    """The commit of a checkout, with "dirty" if files differ from it."""
    git = ["git", "-C", str(checkout), "describe", "--always", "--dirty", "--exclude=*"]
    return subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip()


def main() -> None:
    """Measure, print a table and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path, nargs="?")
    parser.add_argument("new", type=Path, nargs="?")
    parser.add_argument("--rows", default=ROWS, help="models")
    parser.add_argument("--methods", default=METHODS)
    parser.add_argument("--targets", default="data,first convolution,last fully connected")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=2, help="of a call, roughly; a call has 16 masks at the least")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--json", type=Path)
    parser.add_argument("--child", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child is not None:
        warnings.simplefilter("ignore")
        print(json.dumps(run_records(json.load(sys.stdin), options.child)))
        return
    if options.new is None:
        parser.error("pass two checkouts")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    checkouts = {"old": options.old, "new": options.new}
    results: dict[str, Any] = {side: commit(checkout) for side, checkout in checkouts.items()} | {"records": []}
    for name in options.rows.split(","):
        calls = [
            {"model": name, "method": method, "SenC of": target}
            for method in options.methods.split(",")
            for target in options.targets.split(",")
        ]
        results["records"] += measure(checkouts, calls, options)
        logging.info("%s", table(results["records"]))
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    print(f"old {results['old']}, new {results['new']}, {options.threads} threads, {options.rounds} rounds\n")
    print(table(results["records"]))


if __name__ == "__main__":
    main()
