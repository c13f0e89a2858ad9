"""Time of a mask and peak memory on a GPU, by the size of a pass.

    python -m benchmarks.batches --rows resnet18-224,vit-b --methods Saliency,IntegratedGradients

Calls of data SenC on one image, with passes of so many masked images and with the automatic size. The time of a mask is the
difference of two calls with many and with few masks, over the number of masks between. The first call of each size warms up.
"""

import argparse
import time
import warnings

import torch

from benchmarks.calls import DATA, call, explain_by_senc
from benchmarks.rows import Row

SIZES = (64, 256, "auto")


def seconds(row: Row, method: str, n_masks: int, size: int | str) -> float:
    """Of one call."""
    x, y = row.arrays
    start = time.perf_counter()
    call(row.model, (x[:1], y[:1]), DATA, n_masks, explain_by_senc(row.model, method), row.labels[:1], max_batch_size=size)
    return time.perf_counter() - start


def line(row: Row, method: str, size: int | str, few: int, many: int) -> str:
    """One line of the table."""
    on_gpu = row.device.type == "cuda"
    seconds(row, method, few, size)
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    once, all_masks = seconds(row, method, few, size), seconds(row, method, many, size)
    memory = f"{torch.cuda.max_memory_allocated() / 2**30:.2f}" if on_gpu else "—"
    number = f"auto: {row.pass_size(method)}" if size == "auto" else str(size)
    slope = 1e6 * (all_masks - once) / (many - few)
    return f"| {row.name} | {method} | {number} | {slope:.1f} | {once - few * slope / 1e6:.3f} | {memory} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="resnet18-224,resnet50,vit-b")
    parser.add_argument("--methods", default="Saliency")
    parser.add_argument("--masks", default="512,2048", help="of the short and of the long call")
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    few, many = map(int, options.masks.split(","))
    print("| model | method | samples a pass | µs a mask | s of a call beyond | peak, GiB |\n|---|---|---|---|---|---|")
    for name in options.rows.split(","):
        row = Row.from_name(name, torch.device(options.device))
        for method in options.methods.split(","):
            for size in SIZES:
                try:
                    print(line(row, method, size, few, many), flush=True)
                except torch.OutOfMemoryError:
                    torch.cuda.empty_cache()
                    print(f"| {name} | {method} | {size} | out of memory | | |", flush=True)


if __name__ == "__main__":
    main()
