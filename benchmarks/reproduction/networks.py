"""The networks of the paper, in the sizes that two cores can train. Inputs are pixels in [0, 1]; black is 0."""

from collections import OrderedDict

from torch import Tensor, nn

from benchmarks.models import resnet18
from benchmarks.transformer import VisionTransformer


def paper_cnn() -> nn.Sequential:
    """ModelCNN of the paper (section 4): Conv, MP, Conv, MP, FC, FC, for MNIST. 16 channels of the first layer are known."""
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(1, 16, 5), relu1=nn.ReLU(), pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 16, 5), relu2=nn.ReLU(), pool2=nn.MaxPool2d(2), flatten=nn.Flatten(),
            fc1=nn.Linear(256, 64), relu3=nn.ReLU(), fc2=nn.Linear(64, 10),
        )
    )  # fmt: skip


def named_resnet18(width: int, n_classes: int = 10) -> nn.Sequential:
    """ResNet18 for 32×32 images with its layers named as in torchvision: conv1, layer1.0.conv1, …, fc."""
    conv1, norm, relu, *blocks, pool, flatten, fc = resnet18(width, n_classes)
    stages = {f"layer{stage + 1}": nn.Sequential(*blocks[2 * stage : 2 * stage + 2]) for stage in range(4)}
    return nn.Sequential(OrderedDict(conv1=conv1, bn1=norm, relu=relu, **stages, pool=pool, flatten=flatten, fc=fc))


def plain_resnet18(width: int, n_classes: int) -> nn.Sequential:
    """The same layers without shortcuts: a block does not add what it was given."""
    network = named_resnet18(width, n_classes)
    for module in network.modules():
        if hasattr(module, "downsample"):
            module.downsample = _Zeros()
    return network


class _Zeros(nn.Module):
    """Nothing is added."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) to one zero, which broadcasts."""
        return x.new_zeros(())


def small_transformer(n_classes: int) -> VisionTransformer:
    """A vision transformer for 32×32 images: patches of 4×4, four blocks of width 96."""
    return VisionTransformer(size=32, patch=4, width=96, depth=4, n_heads=4, n_classes=n_classes)
