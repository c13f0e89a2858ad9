"""What long comparisons cost: folders, workers, and a masked sample by the number of masks and images.

    python -m benchmarks.scale                                  # ten minutes on two cores
    python -m benchmarks.scale --parts folder,workers --rounds 3

"folder": a comparison with and without a folder, in turns. "workers": how much sooner two processes do it than one, after a
comparison that warms them up, beside how much sooner two processes do each half of it that know nothing of each other. "cost":
calls of data SenC, and the memory that they add. "projection": what `expected_time` says of the paper's setting on ImageNet
(1,000 images, 1,000 superpixels, 5,000 masks, six methods), by `--model` on `--device`.
"""

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import torch

from benchmarks.calls import DATA, call, explain_by_senc
from benchmarks.rows import Row
from quantus_senc import compare, expected_time

PARTS = ("folder", "workers", "cost", "projection")
COMPARISON: dict[str, Any] = {"methods": ["Saliency", "IntegratedGradients"], "metrics": ["SenC", "Pixel Flipping"]}
MASKS, IMAGES = (100, 1000, 10_000, 100_000), (1, 10, 100, 1000)


def images(n: int) -> tuple[Row, torch.Tensor, torch.Tensor]:
    """A LeNet with so many images, which repeat."""
    row = Row.from_name("lenet", torch.device("cpu"))
    places = torch.arange(n) % len(row.inputs)
    noise = 0.01 * torch.randn(n, *row.inputs.shape[1:], generator=torch.Generator().manual_seed(0))
    return row, row.inputs[places] + noise, row.targets[places]


def seconds(**more: Any) -> float:
    """Of a comparison of 16 images in blocks of 4."""
    row, x, y = images(16)
    start = time.perf_counter()
    compare(row.model, x, y, block_size=4, **COMPARISON, **more)
    return time.perf_counter() - start


def folder(rounds: int) -> None:
    """Print what a folder adds."""
    torch.set_num_threads(1)
    seconds(n_masks=100)
    with_folder, without = [], []
    for _ in range(rounds):
        without.append(seconds(n_masks=5000))
        with tempfile.TemporaryDirectory() as path:
            with_folder.append(seconds(n_masks=5000, folder=path))
            size = sum(file.stat().st_size for file in Path(path).rglob("*"))
    print(
        f"16 cells take {median(without):.1f} s; with a folder of {size / 1e6:.1f} MB "
        f"{median(with_folder) / median(without):.3f} times as long"
    )


def workers(rounds: int) -> None:
    """Print how much more two processes do than one, and how much the machine lets them do."""
    context = multiprocessing.get_context("spawn")
    pools = {n: ProcessPoolExecutor(n, mp_context=context, initializer=torch.set_num_threads, initargs=(1,)) for n in (1, 2)}
    for pool in pools.values():
        seconds(n_masks=100, executor=pool)
    one, two, halves = [], [], []
    for _ in range(rounds):
        one.append(seconds(n_masks=5000, executor=pools[1]))
        two.append(seconds(n_masks=5000, executor=pools[2]))
        start = time.perf_counter()
        for future in [pools[2].submit(half, 5000) for _ in range(2)]:
            future.result()
        halves.append(time.perf_counter() - start)
    for pool in pools.values():
        pool.shutdown()
    print(
        f"one process {median(one):.1f} s, two {median(two):.1f} s: {median(one) / median(two):.2f} times as fast; "
        f"two by themselves {median(one) / median(halves):.2f} times ({os.cpu_count()} cores)"
    )


def half(n_masks: int) -> None:
    """The work of `seconds` on half of the images, in this process alone."""
    row, x, y = images(16)
    compare(row.model, x[:8], y[:8], block_size=4, n_masks=n_masks, **COMPARISON)


class Repeated(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """As many images as are asked for, all of them the first of a row."""

    def __init__(self, row: Row, n_images: int) -> None:
        self.image, self.target, self.n_images = row.inputs[0].cpu(), int(row.targets[0]), n_images

    def __len__(self) -> int:
        return self.n_images

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        if place >= self.n_images:
            raise IndexError(place)
        return self.image, self.target


def projection(model: str, device: str) -> None:
    """Print what the paper's setting on ImageNet would take with a model."""
    row = Row.from_name(model, torch.device(device))
    methods = ["Saliency", "GuidedBackprop", "IntegratedGradients", "LRP", "GradCAM", "DeepLift"]
    setting = {"n_masks": 5000, "segment_func": "slic", "segment_func_kwargs": {"n_segments": 1000}}
    print(expected_time(row.model, Repeated(row, 1000), methods=methods, metrics=["SenC"], **setting))


def cost_of(n_masks: int, n_images: int) -> None:
    """Print the time of a masked sample, and the memory at its peak, in this process."""
    torch.set_num_threads(1)
    row, x, y = images(n_images)
    arrays = x.numpy(), y.numpy()
    labels = (torch.arange(28) // 4 * 7)[:, None] + torch.arange(28) // 4
    explaining = explain_by_senc(row.model, "Saliency")
    call(row.model, (arrays[0][:1], arrays[1][:1]), DATA, 100, explaining, labels[None])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    call(row.model, arrays, DATA, n_masks, explaining, labels.expand(n_images, -1, -1))
    taken, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"| {n_images} | {n_masks} | {1e6 * taken / n_images / n_masks:.1f} | {(after - before) / 1024:.0f} |", flush=True)


def cost() -> None:
    """Print a table; each line is of a process of its own."""
    print("| images | masks | µs a masked sample | further peak memory, MB |\n|---|---|---|---|", flush=True)
    for n_masks, n_images in [*((n, 1) for n in MASKS), *((100, n) for n in IMAGES[1:])]:
        subprocess.run([sys.executable, "-m", "benchmarks.scale", "--cost-of", f"{n_masks},{n_images}"], check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", default=",".join(PARTS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", default="lenet", help="of the projection, such as vit-b")
    parser.add_argument("--device", default="cpu", help="of the projection")
    parser.add_argument("--cost-of", help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.cost_of:
        cost_of(*map(int, options.cost_of.split(",")))
        return
    for part in options.parts.split(","):
        {
            "folder": lambda: folder(options.rounds),
            "workers": lambda: workers(options.rounds),
            "cost": cost,
            "projection": lambda: projection(options.model, options.device),
        }[part]()


if __name__ == "__main__":
    main()
