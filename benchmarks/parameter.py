"""Time of parameter SenC per masked model and image: by hooks, by zeroed weights, and over the floor.

    python -m benchmarks.parameter --model lenet --layers first_conv fc_3 --images 1
    python -m benchmarks.parameter --model resnet18-16 --layers first_conv --images 16 --n-masks 64

The floor is a bare forward pass with softmax plus a bare `quantus.explain` on as many ready-made inputs, in batches of
the same size. All contenders take turns in one process; medians and quartiles are over the rounds.
"""

import argparse
import resource
import warnings

import quantus
import torch
from torch import Tensor, nn

from benchmarks.floor import environment, floor, measure, print_table
from benchmarks.models import model_and_inputs
from quantus_senc import ParameterSensitivityConsistency
from quantus_senc._chunks import BatchLimit


def run(strategy: str, layer: str, n_masks: int, model: nn.Module, x: Tensor, y: Tensor, method: str) -> int:
    """Parameter SenC of one layer."""
    metric = ParameterSensitivityConsistency(n_masks, layers=layer, strategy=strategy, disable_warnings=True)
    call = {"explain_func": quantus.explain, "explain_func_kwargs": {"method": method, "device": str(x.device)}}
    metric(model, x, y, **call)
    return n_masks * len(x)


def memory(n_masks: int, n_units: int) -> None:
    """Print how much a run of many masks of one wide layer adds to the memory in use."""
    model = nn.Sequential(nn.Linear(16, n_units), nn.ReLU(), nn.Linear(n_units, 10)).eval()
    x, y = torch.randn(1, 16), torch.zeros(1, dtype=torch.int64)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    run("auto", "2", n_masks, model, x, y, "Saliency")
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{n_masks} masks of {n_units} units: {(after - before) / 1024:.0f} MB over the {before / 1024:.0f} MB before")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["lenet", "resnet18", "resnet18-16"], default="lenet")
    parser.add_argument("--layers", nargs="+", default=["first_conv"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--method", default="Saliency")
    parser.add_argument("--images", type=int, default=1)
    parser.add_argument("--n-masks", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", action="store_true", help="measure the memory of a wide layer instead")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.memory:
        memory(options.n_masks, 2048)
        return

    device = torch.device(options.device)
    model, inputs, targets = model_and_inputs(options.model, options.images)
    model, inputs, targets = model.to(device), inputs.to(device), targets.to(device)
    batch = BatchLimit("auto", inputs[0].nbytes, device).size
    copies = inputs.repeat_interleave(options.n_masks, 0), targets.repeat_interleave(options.n_masks)
    contenders = {"floor": lambda: floor(model, *copies, options.method, batch)}
    for layer in options.layers:
        for strategy, n_masks in (("auto", options.n_masks), ("weights", max(8, options.n_masks // 4))):
            args = (strategy, layer, n_masks, model, inputs, targets, options.method)
            contenders[f"{layer}, {strategy}"] = lambda args=args: run(*args)
    times = measure(contenders, options.rounds, device)
    print(f"{options.model}, {options.method}, {options.images} images, batches of {batch}; {environment(device)}")
    print_table("per masked model and image", times)


if __name__ == "__main__":
    main()
