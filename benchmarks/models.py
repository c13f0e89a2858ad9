"""Models to measure with; weights are random, which costs the same."""

from collections.abc import Callable
from functools import partial

import torch
from quantus.helpers.model.models import LeNet
from torch import Tensor, nn

from benchmarks.mobilenets import efficientnet_lite0, mobilenet_v3_small
from benchmarks.transformer import VisionTransformer


class Block(nn.Module):
    """Two convolutions and a shortcut (He et al. 2016)."""

    def __init__(self, n_in: int, n_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.relu2 = nn.ReLU()
        same = n_in == n_out and stride == 1
        projection = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))
        self.downsample = nn.Identity() if same else projection

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, H, W) to (N, n_out, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        return self.relu2(out + self.downsample(x))


def resnet18(width: int = 64, n_classes: int = 10) -> nn.Sequential:
    """ResNet18 for 32×32 images: a 3×3 stem without pooling."""
    stem = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    blocks, n_in = [], width
    for stage in range(4):
        n_out = width * 2**stage
        blocks += [Block(n_in, n_out, stride=1 if stage == 0 else 2), Block(n_out, n_out, stride=1)]
        n_in = n_out
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, n_classes))


class Bottleneck(nn.Module):
    """Three convolutions, of which the first and the last are 1×1, and a shortcut (He et al. 2016)."""

    def __init__(self, n_in: int, width: int, stride: int) -> None:
        super().__init__()
        n_out = 4 * width
        self.reduce = _convolution(n_in, width, 1, 1)
        self.convolve = _convolution(width, width, 3, stride)
        self.expand = _convolution(width, n_out, 1, 1)[:2]
        self.relu = nn.ReLU()
        same = n_in == n_out and stride == 1
        self.downsample = nn.Identity() if same else _convolution(n_in, n_out, 1, stride)[:2]

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, H, W) to (N, 4 · width, H / stride, W / stride)."""
        return self.relu(self.expand(self.convolve(self.reduce(x))) + self.downsample(x))


def _convolution(n_in: int, n_out: int, size: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(n_in, n_out, size, stride, size // 2, bias=False), nn.BatchNorm2d(n_out), nn.ReLU())


def imagenet_resnet(block: type[Block] | type[Bottleneck], depths: tuple[int, ...], expansion: int) -> nn.Sequential:
    """A ResNet for 224×224 images and 1,000 classes, as in the paper of He et al."""
    layers: list[nn.Module] = [_convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    n_in = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for index in range(depth):
            layers.append(block(n_in, width, 2 if stage and not index else 1))
            n_in = expansion * width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n_in, 1000))


MODELS: dict[str, tuple[Callable[[], nn.Module], int, int, int]] = {  # makers, channels and size of images, and how many
    "lenet": (LeNet, 1, 28, 16),
    "resnet18-16": (partial(resnet18, 16), 3, 32, 16),
    "mobilenet": (mobilenet_v3_small, 3, 32, 16),
    "resnet18": (resnet18, 3, 32, 4),
    "efficientnet": (efficientnet_lite0, 3, 224, 2),
    "vit": (VisionTransformer, 3, 224, 2),
}
ROWS = tuple(MODELS)  # that a CPU can measure
GPU_MODELS: dict[str, tuple[Callable[[], nn.Module], int, int, int]] = {
    "resnet18-224": (partial(imagenet_resnet, Block, (2, 2, 2, 2), 1), 3, 224, 4),
    "resnet50": (partial(imagenet_resnet, Bottleneck, (3, 4, 6, 3), 4), 3, 224, 4),
    "vit-b": (partial(VisionTransformer, width=768, n_heads=12), 3, 224, 4),
}
MODELS |= GPU_MODELS


def model_and_inputs(name: str, n_images: int | None = None) -> tuple[nn.Module, Tensor, Tensor]:
    """A model in evaluation mode, smooth inputs (N, C, H, W), and their classes (N,)."""
    torch.manual_seed(0)
    make, channels, size, usual = MODELS[name]
    n_images = n_images or usual
    inputs = nn.functional.interpolate(torch.randn(n_images, channels, 7, 7), (size, size), mode="bilinear")
    return settled(make(), inputs), inputs, torch.randint(10, (n_images,))


@torch.no_grad()
def settled(model: nn.Module, inputs: Tensor) -> nn.Module:
    """The model with the statistics of these inputs in its batch norm, so that signals neither die nor explode in it."""
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    if norms:
        model.train()(inputs.repeat(2, 1, 1, 1))
    return model.eval()
