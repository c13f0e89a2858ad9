import warnings

import pytest
import torch
from torch import nn

from quantus_senc import explain
from tests.explainers.models import N_CLASSES, QUIET, Pieces, network

pytestmark = QUIET


def convolution(n_in, n_out, *args):
    torch.manual_seed(n_in)
    return nn.Conv2d(n_in, n_out, 3, *args)


def with_probabilities():
    layers = [convolution(3, 4, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, N_CLASSES)]
    return nn.Sequential(*layers, nn.Softmax(1)).eval()


class Attending(nn.Module):
    """A softmax over the channels of every place, one over all places, and one over the classes."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = convolution(3, 6, 2), convolution(6, 5)
        self.channels, self.fc = nn.Softmax(dim=1), nn.Linear(5, N_CLASSES)

    def forward(self, x):
        hidden = self.conv2(self.channels(self.conv1(x))).flatten(2)
        attention = torch.softmax(hidden[:, :1], dim=-1)
        return self.fc((attention * hidden).sum(2)).softmax(dim=-1)


class WithoutAxis(nn.Module):
    """A softmax that chooses its axis by itself: the last but two of four, and the classes of two."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = convolution(3, 4, 2), nn.Linear(4, N_CLASSES)

    def forward(self, x):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return nn.functional.softmax(self.fc(nn.functional.softmax(self.conv(x)).mean((2, 3))))


def alone(model, x, y, **kwargs):
    return torch.cat([explain(model, x[i : i + 1], y[i : i + 1], method="DeepLift", **kwargs) for i in range(len(x))])


def assert_same(maps, expected):
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("make", [with_probabilities, Attending, WithoutAxis])
def test_softmax_looks_at_one_sample(make, x, y):
    model = make().double().eval()
    assert_same(explain(model, x, y, method="DeepLift", reduce_axes=()), alone(model, x, y, reduce_axes=()))


@pytest.mark.parametrize("make", [with_probabilities, WithoutAxis])
def test_softmax_adds_up(make, x, y):
    model = make().double().eval()
    expected = (model(x.double()) - model(torch.zeros_like(x).double())).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(explain(model, x, y, method="DeepLift").sum((1, 2, 3)), expected)


def test_softmax_gives_each_output_to_the_input_at_its_place(x, y):
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, N_CLASSES), nn.Softmax(1)).double().eval()
    images, black = x.double(), torch.zeros_like(x).double()
    changes = [model[:n](images) - model[:n](black) for n in (2, 3)]
    multipliers = (changes[1] / changes[0]).gather(1, y[:, None])
    expected = (multipliers * model[1].weight[y]).view_as(x) * images
    torch.testing.assert_close(explain(model, x, y, method="DeepLift", reduce_axes=()), expected)


def difference_of_columns():
    """A filter that is exactly 0 in plain regions, though their pixels differ from the baseline."""
    conv = nn.Conv2d(3, 4, (1, 2), bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([1.0, -1.0]).expand(4, 3, 1, 2) * torch.arange(1.0, 5.0)[:, None, None, None])
    return conv


def test_max_pool_looks_at_one_sample(x, y):
    torch.manual_seed(0)
    plain = x.clone()
    plain[:, :, :, :8] = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)
    model = nn.Sequential(difference_of_columns(), nn.MaxPool2d(2), nn.Tanh(), nn.Flatten(), nn.Linear(224, N_CLASSES)).eval()
    maps = explain(model, plain, y, method="DeepLift")
    assert_same(maps, alone(model, plain, y))


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 2, 1), (3, 1, 1), (2, 2, 0)])
def test_max_pool_adds_up_where_windows_overlap(kernel, stride, padding, x, y):
    torch.manual_seed(0)
    pool = nn.MaxPool2d(kernel, stride, padding)
    model = nn.Sequential(convolution(3, 4), pool, nn.Flatten(), nn.LazyLinear(N_CLASSES)).eval()
    model(x)
    model.double()
    expected = (model(x.double()) - model(torch.zeros_like(x).double())).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(explain(model, x, y, method="DeepLift").sum((1, 2, 3)), expected)


@pytest.mark.parametrize("layers", [(nn.MaxPool2d(2), nn.Tanh()), (nn.Tanh(), nn.Sigmoid(), nn.MaxPool2d(2))])
def test_nonlinearities_may_follow_each_other(layers, x, y):
    torch.manual_seed(0)
    model = nn.Sequential(convolution(3, 4), *layers, nn.Flatten(), nn.Linear(196, N_CLASSES)).double().eval()
    expected = (model(x.double()) - model(torch.zeros_like(x).double())).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(explain(model, x, y, method="DeepLift").sum((1, 2, 3)), expected)


def test_max_pool_that_returns_places_has_no_rule(x, y):
    model = Pieces(lambda net, x: nn.functional.max_pool2d(net.c1(x), 2, return_indices=True)[0]).eval()
    with pytest.warns(UserWarning, match="DeepLift: no rule for .*max_pool2d"):
        explain(model, x, y, method="DeepLift")


class SequenceFirst(nn.Module):
    """A perceptron of each token, with the tokens or the samples on the first axis."""

    def __init__(self, first):
        super().__init__()
        torch.manual_seed(0)
        self.first = first
        self.fc1, self.fc2, self.relu = nn.Linear(3, 8), nn.Linear(8, N_CLASSES), nn.ReLU()

    def forward(self, x):
        tokens = x.flatten(2).permute(2, 0, 1) if self.first else x.flatten(2).transpose(1, 2)
        return self.fc2(self.relu(self.fc1(tokens))).mean(0 if self.first else 1)


def test_batch_need_not_be_the_first_axis_within_the_model(x, y):
    first, last = (explain(SequenceFirst(first).eval(), x, y, method="DeepLift") for first in (True, False))
    assert_same(first, last)


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["CNN", "probabilities"])
def test_half_precision(name, precision, x, y):
    x = x.clone()
    x[:, :, :4] = 0  # there the baseline is not left
    model = network("CNN") if name == "CNN" else with_probabilities()
    expected = explain(model, x, y, method="DeepLift")
    maps = explain(model.to(precision), x, y, method="DeepLift")
    assert maps.dtype is precision
    assert maps.isfinite().all()
    cosines = nn.functional.cosine_similarity(maps.float().flatten(1), expected.flatten(1))
    assert (cosines > 0.98).all()


def test_one_warning_lists_everything_without_a_rule(x, y):
    def repeated(net, x):
        hidden = net.c1(x)
        for _ in range(3):
            hidden = nn.functional.gelu(hidden) * torch.exp(net.c2(hidden))
        return hidden

    model = Pieces(repeated).eval()
    with pytest.warns(UserWarning, match="DeepLift") as caught:
        explain(model, x, y, method="DeepLift")
    operations = "a functional GELU, the function 'exp' after 'c2', the function 'mul'"
    messages = [str(warning.message) for warning in caught]
    assert messages == [f"DeepLift: no rule for {operations}; the gradient is used instead."]
