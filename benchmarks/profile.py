"""Where SenC's time goes, by stage.

    python -m benchmarks.profile --rows lenet,resnet18-16 --json profile.json
    python -m benchmarks.profile --rows vit --methods Saliency --masks 64 --device cuda

The stages' functions are wrapped by timers, which wait for the device; the package is as it is, and the scores of a timed
call must be those of an untimed one. A stage that calls another has only its own time. `benchmarks/README.md` says what
each stage holds.
"""

import argparse
import json
import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.launches import launches
from benchmarks.models import MODELS
from benchmarks.speed import FEWER
from benchmarks.stages import STAGES, Stopwatch
from benchmarks.subjects import METHODS, Row, by_own, by_quantus
from benchmarks.timing import environment
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency

WAYS = {"quantus.explain": by_quantus, "quantus_senc.explain": by_own}


def scores(row: Row, target: str, n_masks: int, how: dict[str, Any]) -> list[float]:
    """A call of a metric that remembers nothing, without labels: segmentation is a stage."""
    x, y = row.arrays
    if target == "data":
        return DataSensitivityConsistency(n_masks, disable_warnings=True)(row.model, x, y, **how)
    layer = {"first_conv": row.first_conv(), "last_linear": row.last_linear()}[target]
    metric = ParameterSensitivityConsistency(n_masks, layers=[layer], disable_warnings=True)
    return metric(row.model, x[:1], y[:1], **how)


def profile(row: Row, method: str, target: str, way: str, n_masks: int, repeats: int) -> dict[str, Any]:
    """Seconds of each stage in the fastest of some calls, after one that warms up."""
    how = WAYS[way](row, method)
    expected = scores(row, target, n_masks, how)
    stopwatches = []
    for _ in range(repeats):
        with Stopwatch(row.device) as stopwatch:
            found = scores(row, target, n_masks, how)
        if not np.array_equal(found, expected, equal_nan=True):
            raise RuntimeError(f"timers change the scores of {row.name}, {method}: {expected} became {found}")
        stopwatches.append(stopwatch)
    best = min(stopwatches, key=lambda one: one.total)
    n_pairs = n_masks * (len(row.inputs) if target == "data" else 1)
    record = {"model": row.name, "method": method, "SenC of": target, "explain_func": way, "n_pairs": n_pairs}
    record |= {"seconds": best.seconds, "passes": best.calls["similarity"]}
    if row.device.type == "cuda":
        record |= launches(lambda: scores(row, target, n_masks, how), best.calls["similarity"])
    return record


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: microseconds a perturbed sample, and each stage's share of them."""
    extra = [key for key in records[0] if key.endswith("a pass")]
    head = ["model", "method", "SenC of", "explain_func", "passes", "µs", *STAGES, *extra]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for record in records:
        total = sum(record["seconds"].values())
        sample = 1e6 / record["n_pairs"]
        cells = [f"{1e2 * record['seconds'][stage] / total:.1f}% ({record['seconds'][stage] * sample:.3g})" for stage in STAGES]
        cells += [f"{record[key]:.0f}" for key in extra]
        known = [str(record[key]) for key in head[:5]]
        lines.append(f"| {' | '.join([*known, f'{total * sample:.4g}', *cells])} |")
    return "\n".join(lines)


def main() -> None:
    """Profile, print a table and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(MODELS), help="models")
    parser.add_argument("--methods", help=f"of {', '.join(METHODS)}; by default all, fewer for large models")
    parser.add_argument("--targets", default="data,first_conv,last_linear")
    parser.add_argument("--ways", default=",".join(WAYS), help="whose explain_func")
    parser.add_argument("--masks", type=int, help="of each image; by default so many that 8 passes are full")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    found: dict[str, Any] = {"environment": environment(device), "records": []}
    for name in options.rows.split(","):
        row = Row.of(name, device)
        for method in options.methods.split(",") if options.methods else FEWER.get(name, METHODS):
            for target in options.targets.split(","):
                n_masks = options.masks or n_full(row, method, target)
                for way in options.ways.split(","):
                    found["records"].append(profile(row, method, target, way, n_masks, options.repeats))
                    logging.info("%s, %s, %s, %s", name, method, target, way)
        if options.json:
            options.json.write_text(json.dumps(found, indent=1))
    print(", ".join(f"{key} {value}" for key, value in found["environment"].items()))
    print(f"\n{table(found['records'])}")


def n_full(row: Row, method: str, target: str) -> int:
    """Masks of each image with which eight passes are full."""
    n_images = len(row.inputs) if target == "data" else 1
    return max(2, 8 * row.pass_size(method) // n_images)


if __name__ == "__main__":
    main()
