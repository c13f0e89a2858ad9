"""Time of whole calls of data SenC over the time of the model and the explanation method alone, without extrapolation.

    python -m benchmarks.whole_calls --calls resnet18-224:Saliency:4:5000,vit-b:Saliency:1:5000

A call is a model, an explanation method, the number of images and the number of masks. The floor predicts and explains masked
images that lie ready on the device, at the batch size that is the fastest. Calls and floor take turns, after a call that warms
up. The table has medians over the rounds, and the ratio of the two. `benchmarks.speed` has the other contenders.
"""

import argparse
import time
import warnings
from collections.abc import Callable
from statistics import median

import torch

from benchmarks.calls import DATA, call, explain_by_senc
from benchmarks.contenders import bare_passes, masked_copies
from benchmarks.lineup import fastest, floor_by_batch
from benchmarks.rows import Row, explain_by_captum
from benchmarks.timing import environment

CALLS = (
    "resnet18-224:Saliency:4:5000,resnet50:Saliency:2:5000,vit-b:Saliency:1:3000,"
    "resnet18-224:IntegratedGradients:1:2000,resnet50:IntegratedGradients:1:700,vit-b:IntegratedGradients:1:200"
)


def seconds(run: Callable[[], object], device: torch.device) -> float:
    """Of one run, to the end of what it has the device do."""
    start = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def line(row: Row, method: str, n_images: int, n_masks: int, rounds: int) -> str:
    """One line of the table."""
    x, y = row.arrays
    explaining, explain = explain_by_senc(row.model, method), explain_by_captum(row, method)
    batch = fastest(floor_by_batch(row, explain, 2.0))
    n_batches = max(min(n_images * n_masks, 4096) // batch, 1)
    floor = bare_passes(row, explain, *masked_copies(row, batch), batch)

    def senc() -> None:
        call(row.model, (x[:n_images], y[:n_images]), DATA, n_masks, explaining, row.labels[:n_images])

    size = row.pass_size(method)
    call(row.model, (x[:1], y[:1]), DATA, 2 * size, explaining, row.labels[:1])  # full passes, for which memory is then there
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(rounds):
        times[0].append(seconds(lambda: floor.run(n_batches), row.device) / (n_batches * batch))
        times[1].append(seconds(senc, row.device) / (n_images * n_masks))
    lowest, taken = (1e6 * median(each) for each in times)
    cells = [row.name, method, n_images, n_masks, f"{lowest:.1f} ({batch})", f"{taken:.1f} ({size})", f"{taken / lowest:.3f}"]
    return f"| {' | '.join(map(str, cells))} |"


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", default=CALLS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    device = torch.device(options.device)
    print(", ".join(f"{key} {value}" for key, value in environment(device).items()))
    print("| model | method | images | masks | floor, µs (batch) | SenC, µs (batch) | ratio |\n|---|---|---|---|---|---|---|")
    for one in options.calls.split(","):
        name, method, n_images, n_masks = one.split(":")
        row = Row.from_name(name, device)
        print(line(row, method, int(n_images), int(n_masks), options.rounds), flush=True)


if __name__ == "__main__":
    main()
