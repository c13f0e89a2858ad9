"""Networks trained from a seed, kept in a folder with their accuracy."""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.mobilenets import mobilenet_v3_small
from benchmarks.reproduction.images import load_images
from benchmarks.reproduction.networks import named_resnet18, paper_cnn, plain_resnet18, small_transformer
from quantus_senc.model.arrays import model_device


@dataclass(frozen=True)
class Recipe:
    """How a network is trained. Batches of 128, cross-entropy, and one or two cycles of the learning rate."""

    data: str  # the image set's name
    sizes: tuple[int, ...]  # side of the random crops, epoch by epoch
    rate: float  # the highest learning rate
    optimizer: str = "sgd"
    weight_decay: float = 5e-4
    padding: int = 0  # pixels around an image before it is cropped to its full size
    flip: bool = False
    seed: int = 0
    again: tuple[int, ...] = ()  # sides in a second cycle, of a quarter of the learning rate

    def plain(self) -> dict[str, Any]:
        """In values that a file can hold."""
        return asdict(self) | {"sizes": list(self.sizes), "again": list(self.again)}


NETWORKS: dict[str, tuple[Callable[[], nn.Module], Recipe]] = {
    "mnist": (paper_cnn, Recipe("mnist", (28,) * 4, 3e-3, "adam", 0.0)),
    "cifar10": (
        partial(named_resnet18, 16),
        Recipe("cifar10", (24,) * 14 + (32,) * 14, 0.4, padding=4, flip=True, again=(32,) * 8),
    ),
    "gtsrb": (partial(mobilenet_v3_small, 43), Recipe("gtsrb", (32,) * 8, 4e-3, "adam", 1e-2, padding=3)),
    "gtsrb_transformer": (partial(small_transformer, 43), Recipe("gtsrb", (32,) * 10, 2e-3, "adam", 5e-2, padding=3)),
    "gtsrb_shortcuts": (partial(named_resnet18, 8, 43), Recipe("gtsrb", (32,) * 2, 0.2, padding=3)),
    "gtsrb_no_shortcuts": (partial(plain_resnet18, 8, 43), Recipe("gtsrb", (32,) * 2, 0.2, padding=3)),
}


@dataclass(frozen=True, eq=False)
class Trained:
    """A network in evaluation mode, its share of right predictions on the test images, and how it came about."""

    model: nn.Module
    accuracy: float
    recipe: Recipe


def trained(name: str, images: Path | None, folder: Path, device: torch.device | str = "cpu") -> Trained:
    """The network of this name, trained unless the folder holds it.

    Parameters
    ----------
    name:
        One of `NETWORKS`.
    images:
        Folder of the image sets; None downloads them.
    folder:
        Holds `NAME.pt` afterwards. A file of another recipe is replaced.
    """
    make, recipe = NETWORKS[name]
    path = folder / f"{name}.pt"
    saved = torch.load(path, weights_only=True) if path.exists() else None
    if saved is None or saved["recipe"] != recipe.plain():
        saved = _train(make, recipe, images, torch.device(device))
        folder.mkdir(parents=True, exist_ok=True)
        torch.save(saved, path)
        print(f"{name}: {saved['accuracy']:.2%} of the test images, {saved['seconds']:.0f} s", flush=True)
    model = make().to(device)
    model.load_state_dict(saved["state"])
    return Trained(model.eval().requires_grad_(False), saved["accuracy"], recipe)


def _train(make: Callable[[], nn.Module], recipe: Recipe, images: Path | None, device: torch.device) -> dict:
    x, y = load_images(images, f"{recipe.data}_train")
    test = load_images(images, f"{recipe.data}_test")
    start = time.perf_counter()
    torch.manual_seed(recipe.seed)
    model = make().to(device, memory_format=torch.channels_last)
    for cycle, sizes in enumerate(filter(None, (recipe.sizes, recipe.again))):
        optimizer, schedule = _optimizer(model, recipe, recipe.rate / 4**cycle, steps=-(-len(x) // 128) * len(sizes))
        for epoch, size in enumerate(sizes):
            model.train()
            for batch in torch.randperm(len(x)).split(128):
                inputs = _augmented(x[batch], size, recipe).to(device, memory_format=torch.channels_last)
                loss = nn.functional.cross_entropy(model(inputs), y[batch].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
            right, taken = accuracy(model, test[0][:2000], test[1][:2000]), time.perf_counter() - start
            print(f"  epoch {epoch + 1} of {len(sizes)}: {right:.1%} of 2,000 test images, {taken:.0f} s", flush=True)
        torch.manual_seed(recipe.seed + cycle + 1)  # so that a second cycle can be tried with a network that is there
    state = {key: value.cpu().contiguous() for key, value in model.state_dict().items()}
    right = accuracy(model, *test)
    return {"state": state, "accuracy": right, "recipe": recipe.plain(), "seconds": time.perf_counter() - start}


def _optimizer(
    model: nn.Module, recipe: Recipe, rate: float, steps: int
) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
    optimizer: torch.optim.Optimizer
    decay = recipe.weight_decay
    if recipe.optimizer == "adam":
        optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=decay)
    else:
        optimizer = torch.optim.SGD(model.parameters(), rate, momentum=0.9, weight_decay=decay, nesterov=True)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.25)


def _augmented(x: Tensor, size: int, recipe: Recipe) -> Tensor:
    """Random crops (N, C, size, size), mirrored or not."""
    if size == x.shape[-1]:
        x = nn.functional.pad(x, (recipe.padding,) * 4)
    n, room = len(x), x.shape[-1] - size + 1
    rows, columns = (torch.randint(room, (n, 1)) + torch.arange(size) for _ in range(2))
    if recipe.flip:
        columns = torch.where(torch.rand(n, 1) < 0.5, columns.flip(1), columns)
    return x[torch.arange(n)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    """Share of images whose class the model predicts, in evaluation mode."""
    return (predicted(model.eval(), x) == y).double().mean().item()


@torch.no_grad()
def predicted(model: nn.Module, x: Tensor) -> Tensor:
    """The classes (N,) that the model predicts for images (N, C, H, W), on the host."""
    return torch.cat([model(part.to(model_device(model))).argmax(1).cpu() for part in x.split(64)])
