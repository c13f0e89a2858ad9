"""The experiments of the SenC paper, and of papers about such metrics, tried again.

    python -m benchmarks.reproduce mnist --data images --workers 2
    python -m benchmarks.reproduce --list
    python -m benchmarks.reproduce --page      # benchmarks/REPRODUCTION.md from the results

An experiment that was stopped goes on where it was, at the same commit. Networks are trained once, and kept in the folder of
`--out`. Values go to `benchmarks/results/NAME-SCALE.json`, and a figure beside them.
"""

import argparse
import importlib
import json
import time
import warnings
from pathlib import Path
from typing import Any

import matplotlib
import torch

from benchmarks.reproduction.page import write_page
from benchmarks.reproduction.setup import Setup
from benchmarks.timing import commit, environment

EXPERIMENTS = {
    "mnist": "1. data and parameter SenC of ModelCNN on MNIST",
    "cifar10": "2. of a ResNet18 on CIFAR-10",
    "gtsrb": "3. of MobileNetV3-small on traffic signs",
    "imagenet": "4. data SenC of EfficientNet-Lite0 on ImageNet, and of a small transformer on traffic signs",
    "settings": "5. what mask rate, masks, superpixels and baseline change",
    "critique": "6. where maps without information stand, by SenC and by randomisation checks",
    "meta_evaluation": "7. MetaQuantus's criteria for the metrics",
    "known_truth": "8. networks whose sensitive inputs are known by construction",
}
RESULTS = Path(__file__).parent / "results"
SCALES = ("quick", "full", "smoke")


def run(name: str, setup: Setup, results: Path) -> Path:
    """Run an experiment, and write its values and its figure.

    Returns
    -------
    Path
        Of the values: `NAME-SCALE.json`, with what they were made by.
    """
    experiment = importlib.import_module(f"benchmarks.reproduction.{name}")
    start = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a thousand images, one has no score: the number of images says so
        values = experiment.run(setup)
    made_by = environment(torch.device(setup.device)) | {"seconds": round(time.monotonic() - start), "workers": setup.workers}
    results.mkdir(parents=True, exist_ok=True)
    path = results / f"{name}-{setup.scale}.json"
    record: dict[str, Any] = {
        "experiment": name,
        "scale": setup.scale,
        "seed": setup.seed,
        "made by": made_by,
        "values": values,
    }
    path.write_text(json.dumps(record, indent=1) + "\n")
    matplotlib.use("agg")
    experiment.figure(values).savefig(path.with_suffix(".png"), dpi=100)
    return path


def main() -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="*", metavar="NAME", help=f"of {', '.join(EXPERIMENTS)}")
    parser.add_argument("--scale", choices=SCALES, default="quick", help="quick (default), full (the paper's) or smoke")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--data", type=Path, help="folder of the image sets, NAME.npz; without it they are downloaded")
    parser.add_argument(
        "--out", type=Path, default=Path("reproduction"), help="networks and comparisons (default: reproduction)"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="values and figures (default: benchmarks/results)")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--workers", type=int, default=1, metavar="N", help="processes that share the parts (default: 1)")
    parser.add_argument("--list", action="store_true", help="say what each experiment is")
    parser.add_argument("--page", action="store_true", help="write the page from the results")
    options = parser.parse_args()
    if unknown := set(options.name) - set(EXPERIMENTS):
        parser.error(f"no experiment {', '.join(sorted(unknown))}; there are {', '.join(EXPERIMENTS)}")
    if options.list:
        print("\n".join(f"{name}: {text}" for name, text in EXPERIMENTS.items()))
    setup = Setup(options.data, options.out, options.scale, options.device, options.seed, options.workers, commit())
    for name in options.name:
        try:
            print(run(name, setup, options.results), flush=True)
        except (FileNotFoundError, ModuleNotFoundError) as error:
            parser.error(str(error))
    if options.page:
        print(write_page(options.results))


if __name__ == "__main__":
    main()
