"""Where the time of SenC goes, by stage.

    python -m benchmarks.profile --rows lenet,resnet18-16 --json profile.json
    python -m benchmarks.profile --rows vit --methods Saliency --masks 64 --device cuda

Whole calls run under `torch.profiler`, in which the package marks its stages. Shares are with the profiler on, which records
every operation of torch: stages of many small operations take longer than without. On a GPU each kernel is waited for, so that
its time counts for the stage that launches it. `benchmarks/README.md` says what each stage holds.
"""

import argparse
import json
import logging
import os
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, record_function
from torch.profiler import profile as profiler

from benchmarks.calls import DATA, METHODS, TARGETS, call, explain_by_senc
from benchmarks.models import ROWS
from benchmarks.rows import Row, explain_by_quantus
from benchmarks.speed import FEWER
from benchmarks.timing import environment

STAGES = ("segment", "checks", "masks", "distinct", "perturb", "predict", "explain", "similarity", "estimate", "rest")
_WHOLE = ("checks", "explain")  # all that happens within them counts for them
EXPLAINERS = ("quantus.explain", "quantus_senc.explain")


def stage_seconds(events: list[Any]) -> dict[str, float]:
    """Seconds of each stage, without the stages within it."""
    seconds = dict.fromkeys(STAGES, 0.0)
    marks = [event for event in events if event.name.startswith("senc.") and event.device_type == DeviceType.CPU]
    around: list[tuple[float, str]] = []  # the end and the stage of each mark around the next
    for mark in sorted(marks, key=lambda mark: (mark.time_range.start, -mark.time_range.end)):
        while around and around[-1][0] <= mark.time_range.start:
            around.pop()
        outer = around[-1][1] if around else None
        stage = outer if outer in _WHOLE else mark.name.removeprefix("senc.")
        around.append((mark.time_range.end, stage))
        taken = 1e-6 * (mark.time_range.end - mark.time_range.start)
        seconds[stage] += taken
        if outer is not None:
            seconds[outer] -= taken
    return seconds


def gpu_counts(events: list[Any], n_passes: int) -> dict[str, float]:
    """Launches of kernels, those beyond model and explanation method, transfers and waits for the device, for each pass."""
    on_host = [event for event in events if event.device_type == DeviceType.CPU]
    launches = [event for event in on_host if event.name.startswith(("cudaLaunchKernel", "cuLaunchKernel"))]
    theirs = [mark.time_range for mark in on_host if mark.name in ("senc.explain", "senc.predict", "senc.checks")]

    def within(event: Any) -> bool:
        return any(mark.start <= event.time_range.start <= mark.end for mark in theirs)

    counts = {
        "kernels": len(launches),
        "kernels of ours": sum(not within(event) for event in launches),
        "transfers": sum(event.name.startswith(("Memcpy HtoD", "Memcpy DtoH")) for event in events),
        "waits": sum(event.name.startswith(("cudaStreamSynchronize", "cudaDeviceSynchronize")) for event in on_host),
    }
    return {f"{name} a pass": n / n_passes for name, n in counts.items()}


def profile(row: Row, method: str, target: str, explainer: str, n_masks: int, repeats: int) -> dict[str, Any]:
    """Seconds of each stage in the fastest of several calls, after one that warms up."""
    on_gpu = row.device.type == "cuda"
    explaining = explain_by_senc(row.model, method) if explainer == EXPLAINERS[1] else explain_by_quantus(row, method)
    call(row.model, row.arrays, target, n_masks, explaining)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_gpu else [])]
    recorded = []
    for _ in range(repeats):
        with profiler(activities=activities, record_shapes=False, with_stack=False) as one:
            start = time.perf_counter()
            with record_function("senc.rest"):  # within it are all other marks
                call(row.model, row.arrays, target, n_masks, explaining)
            recorded.append((time.perf_counter() - start, one))
    _, fastest = min(recorded, key=lambda taken_and_profile: taken_and_profile[0])
    events = list(fastest.events())
    n_passes = sum(event.name == "senc.similarity" and event.device_type == DeviceType.CPU for event in events)
    n_pairs = n_masks * (len(row.inputs) if target == DATA else 1)
    record = {"model": row.name, "method": method, "SenC of": target, "explain_func": explainer, "passes": n_passes}
    record |= {"pairs": n_pairs, "seconds": stage_seconds(events)}
    return record | (gpu_counts(events, n_passes) if on_gpu else {})


def table(records: list[dict[str, Any]]) -> str:
    """Markdown: microseconds of a perturbed sample, and each stage's share of them."""
    counts = [key for key in records[0] if key.endswith("a pass")]
    known = ["model", "method", "SenC of", "explain_func", "passes"]
    head = [*known, "µs", *STAGES, *counts]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for record in records:
        total, sample = sum(record["seconds"].values()), 1e6 / record["pairs"]
        cells = [f"{value / total:.1%} ({value * sample:.3g})" for value in record["seconds"].values()]
        cells += [f"{record[key]:.0f}" for key in counts]
        lines.append(f"| {' | '.join([*(str(record[key]) for key in known), f'{total * sample:.4g}', *cells])} |")
    return "\n".join(lines)


def n_masks_of_full_passes(row: Row, method: str, target: str) -> int:
    """Masks of each image for which eight passes are full."""
    n_images = len(row.inputs) if target == DATA else 1
    return max(2, 8 * row.pass_size(method) // n_images)


def main() -> None:
    """Profile, print a table and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default=",".join(ROWS), help="models")
    parser.add_argument("--methods", help=f"of {', '.join(METHODS)}; by default all, fewer for large models")
    parser.add_argument("--targets", default=",".join(TARGETS))
    parser.add_argument("--explainers", default=",".join(EXPLAINERS))
    parser.add_argument("--masks", type=int, help="of each image; by default so many that eight passes are full")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    os.environ["CUDA_LAUNCH_BLOCKING"] = "1"  # read when CUDA starts
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    device = torch.device(options.device)
    results: dict[str, Any] = {"environment": environment(device), "records": []}
    for name in options.rows.split(","):
        row = Row.from_name(name, device)
        for method in options.methods.split(",") if options.methods else FEWER.get(name, METHODS):
            for target in options.targets.split(","):
                n_masks = options.masks or n_masks_of_full_passes(row, method, target)
                for explainer in options.explainers.split(","):
                    results["records"].append(profile(row, method, target, explainer, n_masks, options.repeats))
                    logging.info("%s, %s, %s, %s", name, method, target, explainer)
        if options.json:
            options.json.write_text(json.dumps(results, indent=1))
    print(", ".join(f"{key} {value}" for key, value in results["environment"].items()))
    print(f"\n{table(results['records'])}")


if __name__ == "__main__":
    main()
