"""How many operations a pass launches on a device, by stage; counted without a device.

    python -m benchmarks.launches --rows lenet --methods Saliency,GradCAM

An operation of torch counts as one launch, though some start several kernels. Counted is what further passes add to a call: a
call with more masks is compared with one with fewer. Checks of explanation method and hooks are left out. What the model and
the explanation method launch by themselves is in a column of its own; all other launches are of this package.
"""

import argparse
import warnings
from typing import Any

import torch

from benchmarks.calls import DATA, LAST_LINEAR, METHODS, TARGETS, call, explain_by_senc
from benchmarks.models import ROWS
from benchmarks.rows import Row
from benchmarks.second_device import DEVICE, SecondDevice, to_second_device
from quantus_senc.core.profiler_marks import stage

STAGES = ("masks", "distinct", "perturb", "predict", "explain", "similarity", "rest")
_MODEL, _METHOD = "model", "method"  # marks of what they launch by themselves
_PASSES = 5, 13  # of the calls that are compared, about; shared passes are looked at in the 4th and the 16th


def launches(row: Row, method: str, target: str, size: int) -> dict[str, float]:
    """Launches of this package in a pass, by stage, their sum, and those of model and method."""
    small, large = (_run(row, method, target, n * size, size) for n in _PASSES)
    n_passes = large.entered["similarity"] - small.entered["similarity"]
    counts = dict.fromkeys([*STAGES, "sum"], 0.0) | {"model and method": float(_launches_alone(row, method))}
    for path, n in (large.launches - small.launches).items():
        if "checks" not in path:
            within = "explain" if _METHOD in path else path[-1] if path else "rest"
            counts["model and method" if within == _MODEL else within] += n / n_passes
    counts["explain"] -= _launches_alone(row, method)
    return counts | {"sum": sum(counts[name] for name in STAGES)}


def _run(row: Row, method: str, target: str, n_pairs: int, size: int) -> SecondDevice:
    """A call in passes of this size."""
    n_masks = n_pairs // (len(row.inputs) if target == DATA else 1)
    with SecondDevice() as device:
        model = to_second_device(row.model)
        model.forward = stage(_MODEL)(model.forward)
        explaining = explain_by_senc(model, method)
        explaining["explain_func"] = _marked(explaining["explain_func"])
        call(model, row.arrays, target, n_masks, explaining, row.labels, max_batch_size=size)
    return device


def _marked(explain_func: Any) -> Any:
    """The same method, in which what it launches is marked."""
    marked = stage(_METHOD)(explain_func)
    marked.prepare = lambda **kwargs: stage(_METHOD)(explain_func.prepare(**kwargs))
    return marked


def _launches_alone(row: Row, method: str) -> int:
    """The launches of the method, and of the model within it, for a batch."""
    with SecondDevice() as device:
        model, inputs, targets = to_second_device(row.model), row.inputs.to(DEVICE), row.targets.to(DEVICE)
        explaining = explain_by_senc(model, method)
        explain = explaining["explain_func"].prepare(model=model, inputs=inputs, **explaining["explain_func_kwargs"])
        device.launches.clear()
        explain(model=model, inputs=inputs, targets=targets)
    return device.launches.total()


def table(records: list[tuple[list[str], dict[str, float]]]) -> str:
    """Markdown: launches a pass."""
    head = ["model", "method", "SenC of", "samples a pass", *records[0][1]]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join([*names, *(f'{n:.1f}' for n in counts.values())])} |" for names, counts in records]
    return "\n".join(lines)


def main() -> None:
    """Count and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", default="lenet", help=f"models, of {', '.join(ROWS)}")
    parser.add_argument("--methods", default="Saliency,IntegratedGradients,GradCAM", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--targets", default=f"{DATA},{LAST_LINEAR}", help=f"of {', '.join(TARGETS)}")
    parser.add_argument("--size", type=int, help="samples of a pass; by default as many as on a GPU")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    records = []
    for name in options.rows.split(","):
        row = Row.from_name(name, torch.device("cpu"))
        for method in options.methods.split(","):
            size = options.size or row.pass_size(method, DEVICE)
            records += [
                ([name, method, target, str(size)], launches(row, method, target, size))
                for target in options.targets.split(",")
            ]
    print(table(records))


if __name__ == "__main__":
    main()
