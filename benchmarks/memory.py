"""Peak memory of further masks, in bytes for each mask and image: `python -m benchmarks.memory`.

Runs with few and with many masks have processes of their own. The difference of their peaks is what the masks take, because
passes are of the same size. The retained heap is off, because it keeps memory that nobody uses.
"""

import argparse
import resource
import subprocess
import sys
import warnings
from contextlib import nullcontext
from statistics import median
from unittest.mock import patch

import numpy as np
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain

COUNTS = (1000, 20_000)  # masks
EXPLAINING = {"explain_func": explain, "explain_func_kwargs": {"method": "Saliency"}}


def data(n_masks: int, n_images: int) -> None:
    """Data SenC of small images with 16 features."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    x = np.random.default_rng(0).normal(size=(n_images, 1, 8, 8)).astype(np.float32)
    grid = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 2}}
    metric = DataSensitivityConsistency(n_masks, disable_warnings=True, **grid)
    metric(model, x, np.zeros(n_images, dtype=np.int64), **EXPLAINING)


def parameter(n_masks: int, n_images: int, n_units: int = 16) -> None:
    """Parameter SenC of a fully connected layer."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, n_units), nn.ReLU(), nn.Linear(n_units, 10))
    x = np.random.default_rng(0).normal(size=(n_images, 16)).astype(np.float32)
    metric = ParameterSensitivityConsistency(n_masks, layers=["2"], disable_warnings=True)
    metric(model, x, np.zeros(n_images, dtype=np.int64), **EXPLAINING)


def parameter_wide(n_masks: int, n_images: int) -> None:
    """Parameter SenC of a layer of 2,048 units."""
    parameter(n_masks, n_images, n_units=2048)


CALLS = {
    "data, 16 features": (data, 64),
    "parameter, 16 units": (parameter, 64),
    "parameter, 2,048 units": (parameter_wide, 1),
}


def peak(name: str, n_masks: int) -> int:
    """The most bytes in memory of a process that makes one call."""
    child = [sys.executable, "-m", "benchmarks.memory", "--child", name, str(n_masks)]
    return int(subprocess.run(child, stdout=subprocess.PIPE, text=True, check=True).stdout)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.child:
        name, n_masks = options.child
        run, n_images = CALLS[name]
        with patch("quantus_senc.metrics.base.retain_heap", nullcontext):
            run(int(n_masks), n_images)
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
        return
    few, many = COUNTS
    print(f"| SenC | images | peak, {few} masks | peak, {many} masks | bytes a mask and image beyond |\n|---|---|---|---|---|")
    for name, (_, n_images) in CALLS.items():
        low, high = (median(peak(name, n_masks) for _ in range(options.repeats)) for n_masks in COUNTS)
        beyond = (high - low) / ((many - few) * n_images)
        print(f"| {name} | {n_images} | {low / 2**20:.0f} MB | {high / 2**20:.0f} MB | {beyond:.1f} |")


if __name__ == "__main__":
    main()
