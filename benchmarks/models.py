"""Models to measure with; weights are random, which costs the same."""

from functools import partial

import torch
from quantus.helpers.model.models import LeNet
from torch import Tensor, nn


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


def model_and_inputs(name: str, n_images: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A model in evaluation mode, smooth inputs (N, C, H, W), and their classes (N,)."""
    torch.manual_seed(0)
    makers = {"lenet": (LeNet, 1, 28), "resnet18": (resnet18, 3, 32), "resnet18-16": (partial(resnet18, 16), 3, 32)}
    model, channels, size = makers[name]
    inputs = nn.functional.interpolate(torch.randn(n_images, channels, 7, 7), (size, size), mode="bilinear")
    return model().eval(), inputs, torch.randint(10, (n_images,))
