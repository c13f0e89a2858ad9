"""MobileNetV3-small (Howard et al. 2019) and EfficientNet-Lite0 (Liu 2020), which are made of the same blocks."""

from torch import Tensor, nn

Activation = type[nn.Module]


def _conv_norm(n_in: int, n_out: int, kernel: int, stride: int, groups: int, activation: Activation | None) -> list[nn.Module]:
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(n_out), *([] if activation is None else [activation()])]


class SqueezeExcitation(nn.Module):
    """Channels times what a small network makes of their means."""

    def __init__(self, n: int) -> None:
        super().__init__()
        n_squeezed = max(8, (n // 4 + 4) // 8 * 8)
        squeeze = [nn.AdaptiveAvgPool2d(1), nn.Conv2d(n, n_squeezed, 1), nn.ReLU()]
        self.gate = nn.Sequential(*squeeze, nn.Conv2d(n_squeezed, n, 1), nn.Hardsigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """(N, n, H, W) to the same."""
        return self.gate(x) * x


class InvertedResidual(nn.Module):
    """Expand, a depthwise convolution, perhaps squeeze and excitation, project, and a shortcut where shapes allow."""

    def __init__(
        self, n_in: int, n_hidden: int, n_out: int, kernel: int, stride: int, activation: Activation, *, squeeze: bool
    ) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(_conv_norm(n_in, n_hidden, 1, 1, 1, activation) if n_hidden != n_in else []),
            *_conv_norm(n_hidden, n_hidden, kernel, stride, n_hidden, activation),
            *([SqueezeExcitation(n_hidden)] if squeeze else []),
            *_conv_norm(n_hidden, n_out, 1, 1, 1, None),
        )
        self.shortcut = stride == 1 and n_in == n_out

    def forward(self, x: Tensor) -> Tensor:
        """(N, n_in, H, W) to (N, n_out, H / stride, W / stride)."""
        return self.body(x) + x if self.shortcut else self.body(x)


_MOBILENET = [  # hidden, out, kernel, stride, squeeze, activation
    (16, 16, 3, 2, True, nn.ReLU),
    (72, 24, 3, 2, False, nn.ReLU),
    (88, 24, 3, 1, False, nn.ReLU),
    (96, 40, 5, 2, True, nn.Hardswish),
    *[(240, 40, 5, 1, True, nn.Hardswish)] * 2,
    (120, 48, 5, 1, True, nn.Hardswish),
    (144, 48, 5, 1, True, nn.Hardswish),
    (288, 96, 5, 2, True, nn.Hardswish),
    *[(576, 96, 5, 1, True, nn.Hardswish)] * 2,
]


def mobilenet_v3_small(n_classes: int = 10) -> nn.Sequential:
    """For 32×32 images: a stem of stride 1."""
    layers, n_in = _conv_norm(3, 16, 3, 1, 1, nn.Hardswish), 16
    for n_hidden, n_out, kernel, stride, squeeze, activation in _MOBILENET:
        layers.append(InvertedResidual(n_in, n_hidden, n_out, kernel, stride, activation, squeeze=squeeze))
        n_in = n_out
    layers += _conv_norm(n_in, 576, 1, 1, 1, nn.Hardswish)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(576, 1024), nn.Hardswish(), nn.Linear(1024, n_classes)]
    return nn.Sequential(*layers, *head)


_EFFICIENTNET = [  # expansion, out, kernel, stride, how many
    (1, 16, 3, 1, 1),
    (6, 24, 3, 2, 2),
    (6, 40, 5, 2, 2),
    (6, 80, 3, 2, 3),
    (6, 112, 5, 1, 3),
    (6, 192, 5, 2, 4),
    (6, 320, 3, 1, 1),
]


def efficientnet_lite0(n_classes: int = 1000) -> nn.Sequential:
    """For 224×224 images; no squeeze and excitation, and ReLU6 throughout."""
    layers, n_in = _conv_norm(3, 32, 3, 2, 1, nn.ReLU6), 32
    for expansion, n_out, kernel, stride, repeats in _EFFICIENTNET:
        for repeat in range(repeats):
            step = stride if repeat == 0 else 1
            layers.append(InvertedResidual(n_in, expansion * n_in, n_out, kernel, step, nn.ReLU6, squeeze=False))
            n_in = n_out
    layers += _conv_norm(n_in, 1280, 1, 1, 1, nn.ReLU6)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, n_classes))
