"""What an experiment needs: images, trained networks, a folder to go on from, and how much is to be done."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
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
    """

    images: Path | None
    out: Path
    scale: str = "quick"
    device: str = "cpu"
    seed: int = 42

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
        """A folder of this scale and seed for a comparison, that is, for `compare(folder=)`."""
        return self.out.joinpath(f"{self.scale}-{self.seed}", *names)

    def part(self, experiment: str, name: str, compute: Callable[[], Any]) -> Any:
        """What `compute` returns, in values of JSON, from its file if an earlier call has written it."""
        path = self.folder(experiment, f"{name}.json")
        if not path.exists():
            value = compute()
            path.parent.mkdir(parents=True, exist_ok=True)
            beside = path.with_suffix(".part")
            beside.write_text(json.dumps(value))
            os.replace(beside, path)
        return json.loads(path.read_text())
