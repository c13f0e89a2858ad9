"""Time of data SenC per masked copy, over the time that the model and the explanation method take anyway.

    python -m benchmarks.floor --model lenet
    python -m benchmarks.floor --model resnet18 --device cuda

The floor is a bare forward pass with softmax plus a bare `quantus.explain` on as many ready-made inputs, in batches of
the same size. All contenders take turns in one process; medians and quartiles are over the rounds.
"""

import argparse
import json
import platform
import subprocess
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import quantus
import torch
from scipy.stats import rankdata, spearmanr
from torch import Tensor, nn

from benchmarks.models import model_and_inputs
from quantus_senc import DataSensitivityConsistency
from quantus_senc._chunks import BatchLimit
from quantus_senc._segment import segment

SEGMENTS = {"segment_func": "slic", "segment_func_kwargs": {"n_segments": 15}}


def floor(model: nn.Module, inputs: Tensor, targets: Tensor, method: str, batch: int) -> int:
    """Predict and explain ready-made inputs."""
    for x, y in zip(inputs.split(batch), targets.split(batch), strict=True):
        with torch.no_grad():
            model(x).softmax(-1)
        quantus.explain(model, x, y, method=method, device=str(x.device))
    return len(inputs)


def ours(model: nn.Module, x: np.ndarray, y: np.ndarray, labels: np.ndarray, method: str, n_masks: int) -> int:
    """Data SenC with its defaults; labels are given, because they are made once for an image, not once for a mask."""
    metric = DataSensitivityConsistency(n_masks=n_masks, disable_warnings=True)
    metric(model, x, y, explain_func=quantus.explain, explain_func_kwargs={"method": method}, custom_batch=labels)
    return n_masks * len(x)


def literal(model: nn.Module, x: Tensor, y: Tensor, labels: Tensor, method: str, n_masks: int) -> int:
    """Algorithm 1 as it stands: one mask a pass."""
    with torch.no_grad():
        confidence = model(x).softmax(-1)[0, y]
    explanation = quantus.explain(model, x, y, method=method, device=str(x.device)).ravel()
    m = int(labels.max()) + 1
    sensitivities = np.zeros((2, m))
    for _ in range(n_masks):
        keep = torch.rand(m, device=x.device) > 0.8
        masked = x * keep[labels]
        with torch.no_grad():
            change = (confidence - model(masked).softmax(-1)[0, y]).abs().item()
        attribution = quantus.explain(model, masked, y, method=method, device=str(x.device)).ravel()
        similarity = spearmanr(explanation, attribution).statistic
        sensitivities += np.array([[1 - change], [similarity]]) * keep.cpu().numpy()
    return n_masks


def max_sensitivity(model: nn.Module, x: np.ndarray, y: np.ndarray, method: str, device: str, n_samples: int) -> int:
    """Quantus's MaxSensitivity, which explains as many perturbed inputs, and predicts none."""
    metric = quantus.MaxSensitivity(nr_samples=n_samples, disable_warnings=True, return_aggregate=False)
    metric(model, x, y, explain_func=quantus.explain, explain_func_kwargs={"method": method, "device": device})
    return n_samples * len(x)


def naive_ranking(attributions: np.ndarray) -> int:
    """SciPy's ranks of a batch of attributions, and nothing else."""
    rankdata(attributions, axis=1)
    return len(attributions)


def measure(contenders: dict[str, Callable[[], int]], rounds: int, device: torch.device) -> dict[str, list[float]]:
    """Microseconds a sample of each contender in each round, after one round to warm up."""
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, run in contenders.items():
            start = time.perf_counter()
            n = run()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times[name].append(1e6 * (time.perf_counter() - start) / n)
    return {name: values[1:] for name, values in times.items()}


def print_table(unit: str, times: dict[str, list[float]]) -> None:
    """Print median and quartiles of each contender, and its median over that of the floor."""
    lowest = np.median(times["floor"])
    print(f"| {unit} | µs (quartiles) | times the floor |\n|---|---|---|")
    for name, values in times.items():
        low, median, high = np.percentile(values, [25, 50, 75])
        print(f"| {name} | {median:.1f} ({low:.1f}-{high:.1f}) | {median / lowest:.2f} |")


def environment(device: torch.device) -> dict[str, str | int]:
    """What a number needs to be compared with another."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    return {
        "commit": commit,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
    }


def main() -> None:
    """Measure, print a table and write JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["lenet", "resnet18"], default="lenet")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--method", default="Saliency")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--n-masks", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")

    device = torch.device(options.device)
    model, inputs, targets = model_and_inputs(options.model, options.images)
    labels = segment(inputs, **SEGMENTS)
    x, y = inputs.numpy(), targets.numpy()
    model, inputs, targets = model.to(device), inputs.to(device), targets.to(device)
    batch = BatchLimit("auto", inputs[0].nbytes, device).size
    copies = inputs.repeat_interleave(options.n_masks, 0), targets.repeat_interleave(options.n_masks)
    maps = np.random.default_rng(0).normal(size=(batch, x[0].size)).astype(np.float32)
    method, few = options.method, max(16, options.n_masks // 16)
    contenders = {
        "floor": lambda: floor(model, *copies, method, batch),
        "ours": lambda: ours(model, x, y, labels.numpy(), method, options.n_masks),
        "literal Algorithm 1": lambda: literal(model, inputs[:1], targets[:1], labels[0].to(device), method, few),
        "Quantus MaxSensitivity": lambda: max_sensitivity(model, x, y, method, str(device), few),
        "SciPy's ranks alone": lambda: naive_ranking(maps),
    }
    times = measure(contenders, options.rounds, device)
    print(f"{options.model}, {method}, batches of {batch}; {environment(device)}")
    print_table("per sample", times)
    if options.json:
        options.json.write_text(json.dumps({"environment": environment(device), "microseconds": times}, indent=1))


if __name__ == "__main__":
    main()
