"""Networks whose sensitive inputs are known by construction, and their images: 10 patches of 4×4 pixels, 2 by 5."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

PATCH, ROWS, COLUMNS = 4, 2, 5
N_PATCHES = ROWS * COLUMNS
GRID = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": PATCH}}
LIVE = 4  # channels of the convolution of `two_patch_network` that are read


@dataclass(frozen=True, eq=False)
class Known:
    """A network with images and what is known about it.

    Attributes
    ----------
    model
        Returns (B, 2).
    x
        Images (B, 1, 8, 20) in [0, 1].
    relevant
        The patches that the network can react to.
    """

    model: nn.Module
    x: Tensor
    relevant: tuple[int, ...]

    @property
    def y(self) -> Tensor:
        """The classes that the network predicts, (B,)."""
        with torch.no_grad():
            return self.model(self.x).argmax(1)

    @property
    def k(self) -> int:
        """Of how many patches the top-k agreement is: the relevant ones, or 3 where all are."""
        return len(self.relevant) if len(self.relevant) < N_PATCHES else 3

    def first(self, n: int) -> "Known":
        """The same with the first n images."""
        return replace(self, x=self.x[:n])


def _frozen(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def as_image(values: Tensor) -> Tensor:
    """Numbers of patches (N, 10), painted on their pixels: (N, 1, 8, 20)."""
    grid = values.view(-1, 1, ROWS, COLUMNS)
    return grid.repeat_interleave(PATCH, 2).repeat_interleave(PATCH, 3)


def bright_patches(n: int, generator: torch.Generator) -> Tensor:
    """Images (n, 1, 8, 20) of patches of random brightness with some noise; no pixel is black."""
    brightness = 0.2 + 0.6 * torch.rand(n, N_PATCHES, generator=generator)
    return as_image(brightness) + 0.2 * torch.rand(n, 1, ROWS * PATCH, COLUMNS * PATCH, generator=generator)


def linear_model(n: int, seed: int, *, n_relevant: int = N_PATCHES, n_against: int = 0, margin: float = 3.0) -> Known:
    """Two classes whose logits differ by w·x, with one weight for all pixels of a patch.

    Parameters
    ----------
    n
        The number of images.
    seed
        Of images and weights.
    n_relevant
        How many patches have a weight that is not 0.
    n_against
        How many of these patches speak for class 0; the others speak for class 1.
    margin
        The difference of the logits, on average over the images (its size, where weights have both signs).
    """
    generator = torch.Generator().manual_seed(seed)
    x = bright_patches(n, generator)
    sizes, order = 0.2 + torch.rand(N_PATCHES, generator=generator), torch.randperm(N_PATCHES, generator=generator)
    weights = torch.zeros(N_PATCHES)
    weights[order[:n_relevant]] = sizes[:n_relevant]
    weights[order[:n_against]] *= -1
    pixels = as_image(weights).flatten()
    pixels = pixels * margin / (x.flatten(1) @ pixels).abs().mean()
    layer = nn.Linear(len(pixels), 2, bias=False)
    layer.weight.data = torch.stack([-pixels, pixels]) / 2
    relevant = tuple(sorted(order[:n_relevant].tolist()))
    return Known(_frozen(nn.Sequential(nn.Flatten(), layer)), x, relevant)


def two_patch_network(n: int, seed: int, *, n_channels: int = 10) -> Known:
    """Patches 1 and 6 alone, and 4 channels of the convolution alone, reach the fully connected layers, with ReLU in between.

    Both patches speak for class 1; where both are black, the classes are equally likely.
    """
    generator = torch.Generator().manual_seed(seed)
    relevant = (1, 6)
    x = bright_patches(n, generator)
    convolution = nn.Conv2d(1, n_channels, PATCH, PATCH)
    convolution.weight.data = torch.rand(n_channels, 1, PATCH, PATCH, generator=generator) / PATCH**2
    convolution.bias.data = -0.2 * torch.rand(n_channels, generator=generator)
    read = torch.zeros(n_channels, N_PATCHES)
    read[:LIVE, list(relevant)] = torch.rand(LIVE, len(relevant), generator=generator) + 0.5
    hidden, out = nn.Linear(n_channels * N_PATCHES, 8), nn.Linear(8, 2)
    hidden.weight.data = read.flatten() * torch.rand(8, n_channels * N_PATCHES, generator=generator)
    hidden.bias.data = -0.5 * torch.rand(8, generator=generator)
    speaks = torch.rand(8, generator=generator) + 0.5
    out.weight.data, out.bias.data = torch.stack([-speaks, speaks]) / 2, torch.zeros(2)
    model = nn.Sequential(convolution, nn.ReLU(), nn.Flatten(), hidden, nn.ReLU(), out)
    return Known(_frozen(model), x, relevant)


def marked_images(n: int, generator: torch.Generator, marks: Tensor, *, reliability: float) -> tuple[Tensor, Tensor]:
    """Striped images with a mark in patch 0, and the classes of the stripes.

    Parameters
    ----------
    marks
        The class (n,) whose mark each image gets: a bright left half or a bright upper half. -1 for none: black.
    reliability
        The share of images whose stripes (upright or level) are those of `marks`; where there is no mark, chance decides.
    """
    reliable = torch.rand(n, generator=generator) < reliability
    stripes = torch.where(reliable & (marks >= 0), marks, torch.randint(2, (n,), generator=generator))
    level = (torch.arange(ROWS * PATCH) % 2).float()[:, None].expand(-1, COLUMNS * PATCH)
    upright = (torch.arange(COLUMNS * PATCH) % 2).float().expand(ROWS * PATCH, -1)
    x = torch.stack([upright, level])[stripes][:, None]
    x = 0.2 + 0.3 * x + 0.5 * torch.rand(x.shape, generator=generator)
    left, upper = torch.full((2, PATCH, PATCH), 0.1)
    left[:, : PATCH // 2], upper[: PATCH // 2] = 1, 1
    x[:, 0, :PATCH, :PATCH] = torch.stack([left, upper, torch.zeros(PATCH, PATCH)])[marks]
    return x, stripes


def shortcut_network(n: int, seed: int, *, steps: int = 150) -> tuple[Known, dict[str, float]]:
    """A convolutional network, trained on images whose mark tells the class and whose stripes tell it less often.

    A quarter of the images of the training have no mark, and a class by chance.

    Returns
    -------
    tuple
        The network with n images that it has not seen, and how often it predicts the mark's class: with stripes that agree,
        with stripes that disagree; and how often the stripes' class, with the mark black.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = nn.Sequential(
            nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(8 * 4 * 10, 16), nn.ReLU(), nn.Linear(16, 2),
        )  # fmt: skip
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    for _ in range(steps):
        classes = torch.randint(2, (64,), generator=generator)
        marks = torch.where(torch.rand(64, generator=generator) < 0.25, -1, classes)  # without a mark, chance decides
        loss = nn.functional.cross_entropy(model(marked_images(64, generator, marks, reliability=0.6)[0]), classes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    marks = torch.randint(2, (n,), generator=generator)
    known = Known(_frozen(model), marked_images(n, generator, marks, reliability=0.6)[0], (0,))
    return known, _reliance(lambda x: known.model(x).argmax(1), generator)


def _reliance(predict: Callable[[Tensor], Tensor], generator: torch.Generator) -> dict[str, float]:
    marks = torch.randint(2, (500,), generator=generator)
    x, stripes = marked_images(500, generator, marks, reliability=0.0)
    follows, agree = predict(x) == marks, stripes == marks
    bare, stripes = marked_images(500, generator, torch.full((500,), -1), reliability=0.0)
    return {
        "mark's class, stripes agree": follows[agree].double().mean().item(),
        "mark's class, stripes disagree": follows[~agree].double().mean().item(),
        "stripes' class, mark black": (predict(bare) == stripes).double().mean().item(),
    }
