"""Memory that many masks of a wide layer add.

python -m benchmarks.memory --masks 10000
"""

import argparse
import resource
import warnings

import numpy as np
import quantus
from torch import nn

from quantus_senc import ParameterSensitivityConsistency


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Print how much a run of many masks adds to the memory in use."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--masks", type=int, default=10_000)
    parser.add_argument("--units", type=int, default=2048)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    model = nn.Sequential(nn.Linear(16, options.units), nn.ReLU(), nn.Linear(options.units, 10)).eval()
    x, y = np.random.default_rng(0).normal(size=(1, 16)).astype(np.float32), np.zeros(1, dtype=np.int64)
    metric = ParameterSensitivityConsistency(options.masks, layers=["2"], disable_warnings=True)
    before = peak()
    metric(model, x, y, explain_func=quantus.explain, explain_func_kwargs={"method": "Saliency"})
    print(f"{options.masks} masks of {options.units} units: {peak() - before:.0f} MB over the {before:.0f} MB before")


if __name__ == "__main__":
    main()
