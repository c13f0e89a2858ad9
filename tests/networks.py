"""Networks as people have them, and canonical copies prepared by hand for Captum, with the same weights."""

import copy

import torch
from captum.attr._utils.custom_modules import Addition_Module
from captum.attr._utils.lrp_rules import EpsilonRule, IdentityRule
from torch import nn
from torch.nn import functional as F


class PlainCNN(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(3, 6, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
            nn.Conv2d(6, 8, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(32, 5),
        )


def canonical_plain(model):
    pieces = [nn.ReLU() if isinstance(one, nn.ReLU) else copy.deepcopy(one) for one in model]
    return _Flattening(nn.Sequential(*pieces[:6]), pieces[8]).eval()


class _Flattening(nn.Module):
    def __init__(self, before, after):
        super().__init__()
        self.before, self.after = before, after

    def forward(self, x):
        return self.after(self.before(x).flatten(1))


class BasicBlock(nn.Module):
    """As in torchvision: one ReLU, in place, used twice, and a sum in place."""

    def __init__(self, n_in, n_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.downsample = None
        if stride != 1 or n_in != n_out:
            self.downsample = nn.Sequential(nn.Conv2d(n_in, n_out, 1, stride, bias=False), nn.BatchNorm2d(n_out))

    def forward(self, x):
        identity = x
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class CanonicalBlock(BasicBlock):
    def __init__(self, *args):
        super().__init__(*args)
        self.relu, self.relu2, self.add = nn.ReLU(), nn.ReLU(), Addition_Module()
        if self.downsample is None:
            del self.downsample
            self.downsample = lambda x: x

    def forward(self, x):
        out = self.relu(self.bn1(self.conv1(x)))
        return self.relu2(self.add(self.bn2(self.conv2(out)), self.downsample(x)))


class ResNet10(nn.Module):
    def __init__(self, block=BasicBlock, width=8, n_classes=5):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=block is BasicBlock)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for index in range(1, 5):
            setattr(self, f"layer{index}", nn.Sequential(block(widths[index - 1], widths[index], 1 if index == 1 else 2)))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width, n_classes)

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(torch.flatten(self.avgpool(x), 1))


def canonical_resnet(model):
    return _same_weights(ResNet10(CanonicalBlock), model)


class SqueezeExcitation(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1, self.fc2 = nn.Conv2d(n, n // 2, 1), nn.Conv2d(n // 2, n, 1)
        self.activation, self.scale_activation = nn.ReLU(), nn.Hardsigmoid()

    def forward(self, x):
        return self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))) * x


class InvertedResidual(nn.Module):
    """As in MobileNetV3: hard-swish in place, a depthwise convolution, squeeze and excitation."""

    def __init__(self, n_in, n_hidden, n_out, stride, activation):
        super().__init__()
        self.block = nn.Sequential(
            *_conv_bn(n_in, n_hidden, 1, 1, 1, activation),
            *_conv_bn(n_hidden, n_hidden, 3, stride, n_hidden, activation),
            SqueezeExcitation(n_hidden),
            *_conv_bn(n_hidden, n_out, 1, 1, 1, None),
        )
        self.use_res_connect = stride == 1 and n_in == n_out

    def forward(self, x):
        result = self.block(x)
        if self.use_res_connect:
            result += x
        return result


def _conv_bn(n_in, n_out, kernel, stride, groups, activation):
    conv = nn.Conv2d(n_in, n_out, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(n_out), *([] if activation is None else [activation(inplace=True)])]


class MobileNetV3(nn.Module):
    def __init__(self, n_classes=5):
        super().__init__()
        self.features = nn.Sequential(
            nn.Sequential(*_conv_bn(3, 8, 3, 2, 1, nn.Hardswish)),
            InvertedResidual(8, 16, 8, 1, nn.ReLU),
            InvertedResidual(8, 16, 12, 2, nn.Hardswish),
            nn.Sequential(*_conv_bn(12, 24, 1, 1, 1, nn.Hardswish)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Linear(24, 16), nn.Hardswish(inplace=True), nn.Dropout(0.2, inplace=True))
        self.head = nn.Linear(16, n_classes)

    def forward(self, x):
        return self.head(self.classifier(torch.flatten(self.avgpool(self.features(x)), 1)))


class _CanonicalGate(nn.Module):
    def forward(self, gate, signal):
        return gate.detach() * signal


class _CanonicalExcitation(SqueezeExcitation):
    def __init__(self, n):
        super().__init__(n)
        self.gate = _CanonicalGate()

    def forward(self, x):
        return self.gate(self.scale_activation(self.fc2(self.activation(self.fc1(self.avgpool(x))))), x)


class _CanonicalResidual(InvertedResidual):
    def __init__(self, *args):
        super().__init__(*args)
        self.add = Addition_Module()

    def forward(self, x):
        return self.add(self.block(x), x) if self.use_res_connect else self.block(x)


def canonical_mobilenet(model, for_lrp):
    """Nothing in place; for LRP also sums and gates as modules, and Captum's rules for what it has no default for."""
    canonical = _same_weights(MobileNetV3(), model)
    for module in canonical.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
        if isinstance(module, InvertedResidual):
            module.__class__ = _CanonicalResidual
            module.add = Addition_Module()
        if isinstance(module, SqueezeExcitation) and for_lrp:
            module.__class__ = _CanonicalExcitation
            module.gate = _CanonicalGate()
            module.gate.rule = EpsilonRule()
        if isinstance(module, nn.Hardswish | nn.Hardsigmoid) and for_lrp:
            module.rule = IdentityRule()
    return canonical.eval()


class _EncoderBlock(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * width, width))

    def forward(self, x):
        y = self.norm1(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    def __init__(self, size=16, patch=4, width=12, depth=2, n_classes=5):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, patch)
        self.class_token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, (size // patch) ** 2 + 1, width))
        self.blocks = nn.Sequential(*[_EncoderBlock(width) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, n_classes)

    def forward(self, x):
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(x.shape[0], -1, -1), tokens], 1) + self.positions
        return self.head(self.norm(self.blocks(tokens))[:, 0])


class Functional(nn.Module):
    """Nonlinearities and pools as functions, an input that is normalised inside."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.fc1, self.fc2 = nn.Linear(32, 12), nn.Linear(12, 5)
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))

    def forward(self, x):
        x = (x - self.mean) / 0.25
        x = F.max_pool2d(F.relu(self.conv1(x), inplace=True), 2)
        x = torch.relu(self.conv2(x))
        x = F.adaptive_avg_pool2d(x, 2).view(x.size(0), -1)
        x = F.dropout(self.fc1(x).relu_(), 0.5, self.training)
        return self.fc2(x)


def canonical_functional(model):
    first = nn.Sequential(model.conv1, nn.ReLU(), nn.MaxPool2d(2), model.conv2, nn.ReLU(), nn.AdaptiveAvgPool2d(2))
    return _Flattening(first, nn.Sequential(model.fc1, nn.ReLU(), model.fc2)).eval()


def randomised(model):
    """Weights and statistics of batch norm that are not those of a new model, in evaluation mode."""
    for index, tensor in enumerate([*model.parameters(), *model.buffers()]):
        if tensor.is_floating_point() and tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=torch.Generator().manual_seed(index))
            tensor.data = tensor.data + 0.3 * noise
    return model.eval()


def _same_weights(canonical, model):
    canonical.load_state_dict(model.state_dict())
    return canonical.eval()


class SpatialSum(nn.Module):
    def forward(self, x):
        return x.sum((2, 3))


class Tally:
    """A count. A metric does not put it back, as it does the attributes of a model."""

    n = 0


class Counting(nn.Module):
    """Counts the samples of passes without a gradient, which are the metric's own."""

    def __init__(self, model):
        super().__init__()
        self.model, self.samples = model, Tally()

    def forward(self, x):
        self.samples.n += 0 if torch.is_grad_enabled() else len(x)
        return self.model(x)
