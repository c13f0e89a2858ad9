"""Time of a perturbed sample of SenC and of other metrics, over the time of the model and the explanation method alone.

    python -m benchmarks.speed --json speed.json --figure speed.png      # one to two hours on two cores
    python -m benchmarks.speed --quick                                   # about 3 minutes
    python -m benchmarks.speed --rows vit --methods Saliency --device cuda --seconds 120
    python -m benchmarks.speed --redraw speed.json --figure speed.png    # table and figure of a run

All contenders of a model and explanation method take turns in one process, after a round to warm up. Medians and quartiles
are over the rounds. Where a call with the default number of masks takes too long, its time follows from two shorter runs.
`benchmarks/README.md` says what each column is.
"""

import argparse
import json
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.calls import METHODS
from benchmarks.lineup import lineup, record
from benchmarks.models import MODELS, ROWS
from benchmarks.rows import Row
from benchmarks.speed_table import draw, table
from benchmarks.timing import environment, race

# A sample of Integrated Gradients is 16 of these, of DeepLift 2: on a CPU such rows would take hours.
FEWER = {"efficientnet": ("Saliency", "DeepLift", "GradCAM"), "vit": ("Saliency", "GradCAM")}
QUICK = {"rows": ["lenet", "mobilenet"], "methods": ["Saliency", "IntegratedGradients"], "seconds": 40.0, "rounds": 3}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=_names, default=list(ROWS), help=f"models, of {', '.join(MODELS)}")
    parser.add_argument("--methods", type=_names, help=f"of {', '.join(METHODS)}; by default all, fewer for large models")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=240, help="for each model, divided by its methods; roughly")
    parser.add_argument("--quick", action="store_true", help="two models, two methods, 40 seconds a model, 3 rounds")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--redraw", type=Path, help="the JSON of an earlier run, instead of a run")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    for name in (wrong for wrong in options.rows if wrong not in MODELS):
        parser.error(f"--rows {name}: choose from {', '.join(MODELS)}")
    for name in (wrong for wrong in options.methods or () if wrong not in METHODS):
        parser.error(f"--methods {name}: choose from {', '.join(METHODS)}")
    return options


def _names(text: str) -> list[str]:
    return text.split(",")


def measure(name: str, methods: list[str], options: argparse.Namespace) -> Iterator[dict]:
    """The lines of one model."""
    device = torch.device(options.device)
    row = Row.from_name(name, device)
    for method in methods:
        start, seconds = time.perf_counter(), options.seconds / len(methods)
        contenders, by_batch = lineup(row, method, seconds)
        race(contenders, options.rounds, seconds, by_batch, device)
        yield record(row, method, by_batch, contenders)
        logging.info("%s, %s: %.0f s", name, method, time.perf_counter() - start)


def main() -> None:
    """Measure, or read an earlier measurement. Print a table; draw a figure and write JSON where asked."""
    options = arguments()
    warnings.simplefilter("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.redraw:
        results = json.loads(options.redraw.read_text())
    else:
        results = {"environment": environment(torch.device(options.device)), "rounds": options.rounds, "lines": []}
        for name in options.rows:
            for line in measure(name, options.methods or FEWER.get(name, METHODS), options):
                results["lines"].append(line)
                if options.json:  # now, because runs are long
                    options.json.write_text(json.dumps(results, indent=1))
    print(table(results))
    if options.figure:
        draw(results).savefig(options.figure, dpi=150)


if __name__ == "__main__":
    main()
