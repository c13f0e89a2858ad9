import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import explain
from tests.explainers.models import N_CLASSES, QUIET, network

pytestmark = QUIET


def test_grad_cam_by_the_formula(x, y):
    model = network("ResNet10")
    seen = {}
    with model.layer2.register_forward_hook(lambda module, args, output: seen.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, seen["output"])
    expected = (gradient.mean((2, 3), keepdim=True) * seen["output"]).sum(1, keepdim=True)
    expected = nn.functional.interpolate(expected, (16, 16), mode="bilinear").detach()
    for name in ("layer2", model.layer2):
        torch.testing.assert_close(explain(model, x, y, method="GradCAM", layer=name), expected)
    by_quantus = quantus.explain(
        model, x, y, method="LayerGradCam", gc_layer="model.layer3[0].conv2", interpolate=(16, 16), interpolate_mode="bilinear"
    )
    maps = explain(
        model, x, y, method="LayerGradCam", gc_layer="model.layer3[0].conv2", interpolate=(16, 16), interpolate_mode="bilinear"
    )
    np.testing.assert_allclose(maps.numpy(), by_quantus, rtol=1e-4, atol=1e-7)


def test_grad_cam_takes_the_last_convolution_that_is_called(x, y):
    model = network("ResNet10")
    torch.testing.assert_close(
        explain(model, x, y, method="GradCAM"), explain(model, x, y, method="GradCAM", layer="layer4.0.downsample.0")
    )


def test_grad_cam_before_a_layer_that_works_in_place(x, y):
    model, plain = network("CNN"), network("CNN")
    plain[1].inplace = False
    maps, expected = (explain(one, x, y, method="GradCAM", layer="0") for one in (model, plain))
    assert torch.equal(maps, expected)


def test_grad_cam_of_tokens(x, y):
    model = network("transformer")
    seen = {}
    with model.blocks[0].register_forward_hook(lambda module, args, output: seen.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, seen["output"])
    tokens = (gradient[:, 1:].mean(1, keepdim=True) * seen["output"][:, 1:]).sum(-1)
    expected = nn.functional.interpolate(tokens.view(3, 1, 4, 4), (16, 16), mode="bilinear").detach()
    torch.testing.assert_close(explain(model, x, y, method="GradCAM", layer="blocks.0"), expected)


@pytest.mark.parametrize(("size", "patch", "n_extra"), [((30, 50), 8, 1), ((64, 20), 8, 0), ((24, 24), 8, 8), ((16, 16), 8, 5)])
@pytest.mark.parametrize("by", ["convolution", "grid"])
def test_grids_of_tokens(size, patch, n_extra, by):
    rows, columns = size[0] // patch, size[1] // patch

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.patches = nn.Conv2d(3, 4, patch, patch) if by == "convolution" else nn.LazyConv2d(4, patch, patch + 0)
            self.extra, self.tokens, self.fc = nn.Parameter(torch.rand(1, n_extra, 4)), nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x):
            patches = self.patches(x).flatten(2).transpose(1, 2)
            return self.fc(self.tokens(torch.cat([self.extra.expand(x.shape[0], -1, -1), patches], 1)).square().mean(1))

    torch.manual_seed(0)
    model, images = Tokens().eval(), torch.rand(2, 3, *size)
    model(images)
    kwargs = {"grid": (rows, columns)} if by == "grid" else {}
    maps = explain(model, images, torch.tensor([0, 1]), method="GradCAM", layer="tokens", interpolate=(rows, columns), **kwargs)
    seen = {}
    with model.tokens.register_forward_hook(lambda module, args, output: seen.update(output=output)):
        score = model(images)[[0, 1], [0, 1]].sum()
    (gradient,) = torch.autograd.grad(score, seen["output"])
    places, slopes = (tensor[:, n_extra:] for tensor in (seen["output"], gradient))
    expected = (places * slopes.mean(1, keepdim=True)).sum(-1).view(2, 1, rows, columns).detach()
    torch.testing.assert_close(maps, expected)


def test_grad_cam_of_layers_with_channels_last(x, y):
    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 4, 4), nn.LayerNorm(4), nn.Linear(4, N_CLASSES)

        def forward(self, x):
            return self.fc(self.norm(self.conv(x).permute(0, 2, 3, 1)).square().mean((1, 2)))

    model = Normed().eval()
    maps = explain(model, x, y, method="GradCAM", layer="norm", interpolate=(4, 4))
    seen = {}
    with model.norm.register_forward_hook(lambda module, args, output: seen.update(output=output)):
        score = model(x).gather(1, y[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, seen["output"])
    expected = (gradient.mean((1, 2), keepdim=True) * seen["output"]).sum(-1)[:, None].detach()
    torch.testing.assert_close(maps, expected)


def test_grad_cam_of_what_has_no_places():
    with pytest.raises(ValueError, match="no places"):
        explain(nn.Linear(4, 3), torch.rand(2, 4), torch.zeros(2, dtype=torch.long), method="GradCAM")
    with pytest.raises(ValueError, match="calls no convolution"):
        explain(
            nn.Sequential(nn.Flatten(), nn.Linear(4, 3)),
            torch.rand(2, 1, 4),
            torch.zeros(2, dtype=torch.long),
            method="GradCAM",
        )


def test_layer_that_is_never_called(x, y):
    model = network("ResNet10")
    model.unused = nn.Conv2d(3, 3, 3)
    with pytest.raises(ValueError, match="layer='unused' is never called"):
        explain(model, x, y, method="GradCAM", layer="unused")


def test_module_that_is_not_of_the_model(x, y):
    with pytest.raises(ValueError, match="no module of this model"):
        explain(network("CNN"), x, y, method="GradCAM", layer=nn.ReLU())
