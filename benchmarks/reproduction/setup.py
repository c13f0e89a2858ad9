"""What an experiment needs: images, trained networks, a folder to go on from, and how much is to be done."""

import json
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from joblib import Parallel, delayed
from torch import Tensor, nn

from benchmarks.reproduction.images import load_images
from benchmarks.reproduction.training import Trained, predicted, trained

SEGMENTS: dict[str, dict[str, Any]] = {
    "mnist": {"n_segments": 15, "compactness": 0.1},
    "cifar10": {"n_segments": 20},
}  # of SLIC


@dataclass(frozen=True)
class Setup:
    """Attributes
    ----------
    images
        Folder of the image sets; None downloads them.
    out
        Folder of what is kept between calls: networks, comparisons and parts of experiments.
    scale
        "quick" for two cores, "full" for the paper's numbers of images and masks, "smoke" to see that it runs.
    device
        Where networks run.
    seed
        Of masks, random maps, the choice of images, and the metrics.
    workers
        How many processes share the work; their number of threads is that of processors, divided by it.
    commit
        Of the code. What another commit has computed is not taken, but for networks, which keep their recipe with them.
    """

    images: Path | None
    out: Path
    scale: str = "quick"
    device: str = "cpu"
    seed: int = 42
    workers: int = 1
    commit: str = ""

    def size(self, quick: int, full: int, smoke: int) -> int:
        """A number of images or masks at this scale."""
        return {"quick": quick, "full": full, "smoke": smoke}[self.scale]

    def network(self, name: str) -> Trained:
        """A trained network of `training.NETWORKS`."""
        return trained(name, self.images, self.out / "models", self.device)

    def test_images(self, data: str, n: int, model: nn.Module) -> tuple[Tensor, Tensor]:
        """N test images (N, C, H, W), drawn at random, and the classes that the model predicts for them (N,)."""
        x, _ = load_images(self.images, f"{data}_test")
        x = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(self.seed))[:n]]
        return x, predicted(model, x)

    def folder(self, *names: str) -> Path:
        """A folder of this scale, seed and commit for a comparison, that is, for `compare(folder=)`."""
        return self.out.joinpath("-".join([self.scale, str(self.seed), *filter(None, [self.commit])]), *names)

    def part(self, experiment: str, name: str, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, in values of JSON, from its file if an earlier call has written it."""
        return self.parts(experiment, {name: compute})[name]

    def parts(self, experiment: str, computations: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """The same of several computations by name, `workers` of them at a time."""
        files = {name: self.folder(experiment, f"{name}.json") for name in computations}
        missing = [(files[name], compute) for name, compute in computations.items() if not files[name].exists()]
        Parallel(n_jobs=min(self.workers, len(missing)) or 1)(delayed(_write)(*each) for each in missing)
        return {name: json.loads(file.read_text()) for name, file in files.items()}


def _write(file: Path, compute: Callable[[], Any]) -> None:
    """Write what a computation returns: beside, and renamed when it is complete."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a worker does not have the filters of the process that started it
        value = compute()
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_suffix(".part")
    beside.write_text(json.dumps(value))
    os.replace(beside, file)
