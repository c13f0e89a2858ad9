"""Models of the tests of explanation methods."""

import pytest
import torch
from torch import nn

from quantus_senc.explainers.methods import METHODS
from tests import networks

N_CLASSES = 5
PERTURBING = ["Occlusion", "FeatureAblation", "KernelShap", "Lime", "RISE"]  # they have tests of their own
BY_GRADIENTS = [name for name in METHODS if name not in PERTURBING]
CANONIZED = ["GuidedBackprop", "DeepLift", "LRP"]
QUIET = [
    pytest.mark.filterwarnings(f"ignore:{message}")
    for message in ("DeepLift. no rule", "GuidedBackprop. the model has no ReLU", "Input Tensor 0", "Setting", "Implicit")
]

NETWORKS = {
    "CNN": networks.PlainCNN,
    "ResNet10": networks.ResNet10,
    "MobileNetV3": networks.MobileNetV3,
    "transformer": networks.VisionTransformer,
    "functional": networks.Functional,
}


def network(name):
    torch.manual_seed(0)
    return networks.randomised(NETWORKS[name]())


def snapshot(model):
    """Everything in a model that an explanation must not alter."""
    tensors = [tensor.clone().numpy().tobytes() for tensor in model.state_dict().values()]
    attributes = [
        [(key, len(value) if hasattr(value, "__len__") else repr(value)) for key, value in vars(module).items()]
        for module in model.modules()
    ]
    return tensors, attributes, [module.training for module in model.modules()]


class Pieces(nn.Module):
    """Bias-free pieces of a network, put together by a function."""

    def __init__(self, together):
        super().__init__()
        torch.manual_seed(0)
        self.together, self.skip = together, True
        self.c1 = nn.Conv2d(3, 4, 3, padding=1, bias=False)
        self.c2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.c3 = nn.Conv2d(8, 4, 3, padding=1, bias=False)
        self.relu, self.leaky = nn.ReLU(inplace=True), nn.LeakyReLU()
        self.pool, self.up = nn.MaxPool2d(2), nn.Upsample(scale_factor=2)
        self.gamma = nn.Parameter(torch.rand(1, 4, 1, 1))
        self.fc = nn.Linear(4, N_CLASSES, bias=False)

    def forward(self, x, mask=None, scale=2.0):
        return scale * self.fc(self.together(self, x).mean((2, 3)))


def bottleneck(net, x):
    a = net.relu(net.c1(x))
    return net.relu(net.relu(net.c2(net.relu(net.c2(a)))) + a)


def u_net(net, x):
    a = net.relu(net.c1(x))
    return net.c3(torch.cat([net.up(net.relu(net.c2(net.pool(a)))), a], 1))


def dense(net, x):
    a = net.relu(net.c1(x))
    return net.c3(torch.cat([a, net.c2(a)], 1))


def before_activation(net, x):
    a = net.c1(x)
    return a + net.c2(nn.functional.relu(a))


BRANCHING = {
    "one ReLU three times": bottleneck,
    "U-Net": u_net,
    "dense": dense,
    "before activation": before_activation,
    "activation after ReLU": lambda net, x: net.c2(net.leaky(net.relu(net.c1(x)))),
    "one convolution three times": lambda net, x: net.c2(net.relu(net.c2(net.relu(net.c2(net.c1(x)))))),
    "layer scale": lambda net, x: net.gamma * net.c2(net.relu(net.c1(x))) / 3,
    "functional layers": lambda net, x: nn.functional.conv2d(net.relu(net.c1(x)), net.c2.weight, padding=1),
}
