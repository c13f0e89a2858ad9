import numpy as np
import pandas as pd
import pytest
import quantus
import torch
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain, explain_random
from tests import networks
from tests.explainers.models import BY_GRADIENTS, CANONIZED, N_CLASSES, NETWORKS, QUIET, network, snapshot

pytestmark = QUIET

PAPER_METHODS = ["Saliency", "GuidedBackprop", "IntegratedGradients", "LRP", "GradCAM", "DeepLift"]


@pytest.mark.parametrize("method", ["Saliency", "Gradient", "InputXGradient", "IntegratedGradients", "DeepLift", "LRP"])
def test_same_values_as_quantus(method, x, y):
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Tanh(), nn.Conv2d(4, 5, 12), networks.SpatialSum()
    ).eval()
    if method == "LRP":
        model = nn.Sequential(nn.Linear(8, 6), nn.ReLU(), nn.Linear(6, 5)).eval()
        x = x[:, 0, 0, :8]
    maps = explain(model, x, y, method=method)
    expected = quantus.explain(model, x, y, method=method)
    assert maps.shape == expected.shape
    np.testing.assert_allclose(maps.numpy(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("method", PAPER_METHODS)
@pytest.mark.parametrize("name", list(NETWORKS))
def test_every_method_of_the_paper_explains_every_network(name, method, x, y):
    model = network(name)
    if (name, method) == ("transformer", "LRP"):
        with pytest.raises(ValueError, match=r"no rule for 'blocks.0.norm1' \(LayerNorm\)"):
            explain(model, x, y, method=method)
        return
    maps = explain(model, x, y, method=method)
    assert maps.shape == (3, 1, 16, 16)
    assert maps.isfinite().all()
    assert (maps.flatten(1).std(1) > 0).all()
    one = explain(model, x[1:2], y[1:2], method=method)
    torch.testing.assert_close(maps[1:2], one, rtol=1e-3, atol=1e-5 * float(maps.abs().max()))


@pytest.mark.parametrize("method", BY_GRADIENTS)
@pytest.mark.parametrize("name", ["ResNet10", "MobileNetV3"])
def test_model_is_not_altered(name, method, x, y):
    model = network(name)
    model.train()
    before = snapshot(model)
    explain(model, x, y, method=method)
    assert snapshot(model) == before


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_model_is_not_altered_when_captum_raises(method, x, y):
    model = network("ResNet10")
    explain(model, x, y, method=method)
    before = snapshot(model)
    with pytest.raises(Exception, match=r"out of bounds|out of range|index"):
        explain(model, x, y + N_CLASSES, method=method)
    assert snapshot(model) == before
    assert explain(model, x, y, method=method).isfinite().all()


@pytest.mark.parametrize("method", CANONIZED)
def test_parameter_senc_by_hooks_and_by_zeroed_weights(method, x, y):
    scores = {}
    for strategy in ("hooks", "weights"):
        senc = ParameterSensitivityConsistency(20, 0.5, layers="first_conv", strategy=strategy)
        scores[strategy] = senc(
            network("ResNet10"), x.numpy(), y.numpy(), explain_func=explain, explain_func_kwargs={"method": method}
        )
    np.testing.assert_allclose(scores["hooks"], scores["weights"], atol=1e-6)


def test_in_an_evaluation_beside_quantus(x, y):
    model = network("ResNet10")
    senc = DataSensitivityConsistency(20, segment_func="grid", segment_func_kwargs={"patch_size": 4})
    results = quantus.evaluate(
        {"SenC": senc, "Correlation": quantus.FaithfulnessCorrelation(return_aggregate=False, subset_size=50, nr_runs=10)},
        {"DeepLift": explain, "random": explain_random},
        model,
        x.numpy(),
        y.numpy(),
        explain_func_kwargs={"method": "DeepLift"},
    )
    assert np.isfinite([results[method][metric] for method in results for metric in results[method]]).all()


READING = ("cpu", "numpy", "tolist", "item", "__array__", "__bool__", "__float__", "__int__")


class Stays(TorchFunctionMode):
    """Fails where a tensor's values are read by the host."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        steps = getattr(func, "__name__", "") == "tolist" and args[0].shape == (10,)  # Captum makes its ten steps on the host
        assert steps or getattr(func, "__name__", "") not in READING, func
        return func(*args, **(kwargs or {}))


class StaysBelow(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func is not torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.unwatched("all")  # a snapshot reads on the host
@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_nothing_is_read_by_the_host(method, x, y):
    model = network("CNN")
    prepared = explain.prepare(model, x, method=method)
    with Stays(), StaysBelow():
        maps = prepared(model, x, y)
    assert maps.device == x.device


def test_arrays_for_arrays_and_tensors_for_tensors(x, y):
    model = network("CNN")
    tensors = explain(model, x, y, method="Saliency")
    arrays = explain(model, x.numpy(), y.numpy(), method="Saliency", device="cpu")
    assert isinstance(arrays, np.ndarray)
    np.testing.assert_array_equal(tensors.numpy(), arrays)
    assert not tensors.requires_grad
    assert not x.requires_grad
    assert explain(model.double(), x, y, method="Saliency").dtype is torch.float64


def test_frames_are_tables():
    frame, model = pd.DataFrame({"a": [0.5, 1.5], "b": [True, False]}), nn.Linear(2, 3)
    expected = explain(model, torch.tensor(frame.to_numpy(float)), torch.tensor([2, 0]), method="InputXGradient")
    maps = explain(model, frame, pd.Series([2, 0]), method="InputXGradient")
    np.testing.assert_array_equal(maps, expected)
    with pytest.raises(ValueError, match=r"inputs is a DataFrame whose columns 'b' \(.*\) are not numeric"):
        explain(model, frame.assign(b="x"), [2, 0])


def test_precision_of_the_model_and_of_inputs_of_a_model_without_tensors(x, y):
    model = network("CNN").double()
    model.register_parameter("single", nn.Parameter(torch.zeros(1, dtype=torch.float32)))
    assert explain(model, x, y).dtype is torch.float64
    without_tensors = nn.Flatten()
    assert explain(without_tensors, x.double(), y).dtype is torch.float64
    assert explain(without_tensors, x.bool(), y).dtype is torch.float32


def test_axes_are_summed_as_in_quantus(x, y):
    model = network("CNN")
    whole = explain(model, x, y, method="Gradient", reduce_axes=())
    torch.testing.assert_close(explain(model, x, y, method="Gradient"), whole.sum(1, keepdim=True))
    torch.testing.assert_close(explain(model, x, y, method="Gradient", reduce_axes=(1, 2), keepdims=False), whole.sum((1, 2)))
    with pytest.raises(ValueError, match=r"reduce_axes=\(0,\)"):
        explain(model, x, y, reduce_axes=(0,))


def test_gradient_is_wanted_without_gradients(x, y):
    model = network("CNN")
    with torch.no_grad():
        assert explain(model, x, y, method="Saliency").abs().sum() > 0


def test_integrated_gradients_steps_add_up(x, y):
    model = network("CNN")
    maps = explain(model, x, y, method="ig", n_steps=200, integration="gausslegendre", internal_batch_size=30, reduce_axes=())
    expected = (model(x) - model(torch.zeros_like(x))).gather(1, y[:, None])[:, 0]
    torch.testing.assert_close(maps.sum((1, 2, 3)), expected, rtol=0.02, atol=1e-3)
    other = explain(model, x, y, method="ig", baseline=x[:1])
    assert other[0].abs().max() == 0


def test_smooth_grad_is_a_mean_of_saliency_over_noise_that_is_the_same_for_every_input(x, y):
    model = network("CNN")
    both = explain(model, x, y, method="SmoothGrad")
    torch.testing.assert_close(both[1:2], explain(model, x[1:2], y[1:2], method="SmoothGrad"))
    torch.testing.assert_close(
        explain(model, x, y, method="SmoothGrad", noise_level=0.0),
        explain(model, x, y, method="Saliency"),
        rtol=1e-4,
        atol=1e-7,
    )
    many = explain(model, x, y, method="SmoothGrad", n_samples=400, seed=1)
    again = explain(model, x, y, method="SmoothGrad", n_samples=400, seed=2)
    few = explain(model, x, y, method="SmoothGrad", n_samples=2, seed=3)
    assert (many - again).norm() < 0.3 * (many - few).norm()


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"method": "Salience"}, "unknown method 'Salience'; did you mean 'Saliency'"),
        ({"method": "Saliency", "n_steps": 3}, "unknown keyword of method='Saliency' 'n_steps'"),
        ({"method": "IG", "n_step": 3}, "did you mean 'n_steps'"),
        ({"method": "IG", "n_steps": 0}, "n_steps=0"),
        ({"method": "IG", "integration": "riemann"}, "unknown integration 'riemann'"),
        ({"method": "SmoothGrad", "noise_level": -1}, "noise_level=-1"),
        ({"method": "GradCAM", "layer": "layer5"}, "unknown layer 'layer5'; did you mean 'layer"),
        ({"method": "GradCAM", "layer": "fc"}, r"layer='fc' returns \(3, 5\)"),
    ],
)
def test_wrong_arguments(kwargs, message, x, y):
    with pytest.raises(ValueError, match=message):
        explain(network("ResNet10"), x, y, **kwargs)


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_series(method):
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(2, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.AvgPool1d(2), nn.Flatten(), nn.Linear(28, 3)
    ).eval()
    series = torch.rand(2, 2, 16)
    maps = explain(model, series, torch.tensor([0, 2]), method=method)
    assert maps.shape == (2, 1, 16)
    assert maps.std() > 0


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_in_inference_mode(method, x, y):
    model = network("CNN")
    expected = explain(model, x, y, method=method)
    with torch.inference_mode():
        torch.testing.assert_close(explain(model, x + 0, y, method=method), expected)


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_inference_tensors_of_every_argument(method, x, y):
    model = network("CNN")
    kwargs = {"baseline": torch.rand(1, 3, 16, 16)} if method in ("DeepLift", "IntegratedGradients") else {}
    expected = explain(model, x, y, method=method, **kwargs)
    with torch.inference_mode():
        inside = {name: value + 0 for name, value in kwargs.items()}
        inputs, targets = x + 0, y + 0
        maps = explain(model, inputs, targets, method=method, **inside)
    torch.testing.assert_close(maps, expected)
    torch.testing.assert_close(explain(model, inputs, targets, method=method, **inside), expected)


@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_model_that_was_made_in_inference_mode_is_an_error(method, x, y):
    with torch.inference_mode():
        model = network("CNN")
    for call in (lambda: explain(model, x, y, method=method), lambda: explain.prepare(model, x, method=method)):
        with pytest.raises(ValueError, match=r"'0.weight' of the model was made in torch.inference_mode\(\)"):
            call()


class Identity(nn.Module):
    """A hook gives a buffer of the model as the gradient of the input."""

    def __init__(self):
        super().__init__()
        self.register_buffer("gradient", torch.rand(3, N_CLASSES))

    def forward(self, x):
        outputs = x.view_as(x)
        if x.requires_grad and type(x) is torch.Tensor:
            x.register_hook(lambda gradient: self.gradient)
        return outputs


@pytest.mark.parametrize("method", BY_GRADIENTS)
@pytest.mark.parametrize("reduce_axes", [(), (1,)])
def test_maps_are_contiguous_and_share_no_memory(method, reduce_axes, x, y):
    model = network("CNN").to(memory_format=torch.channels_last)
    x = x.to(memory_format=torch.channels_last)
    before = x.clone(), y.clone(), snapshot(model)
    maps = explain(model, x, y, method=method, reduce_axes=reduce_axes)
    assert maps.is_contiguous()
    assert maps.untyped_storage().nbytes() == maps.nbytes
    others = [x, y, *model.parameters(), *model.buffers()]
    assert maps.untyped_storage().data_ptr() not in {one.untyped_storage().data_ptr() for one in others}
    assert torch.equal(x, before[0])
    assert torch.equal(y, before[1])
    assert snapshot(model) == before[2]


@pytest.mark.parametrize("method", ["Gradient", "Saliency", "InputXGradient", "IntegratedGradients"])
def test_maps_of_tables_share_no_memory_with_the_model(method):
    model, x, y = Identity().eval(), torch.rand(3, N_CLASSES), torch.tensor([0, 4, 2])
    if method == "IntegratedGradients":
        model = nn.Flatten().eval()
    before = x.clone()
    maps = explain(model, x, y, method=method)
    maps.fill_(7)
    assert torch.equal(x, before)
    assert not any((buffer == 7).any() for buffer in model.buffers())


@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (torch.rand(0, 3, 16, 16), torch.zeros(0, dtype=torch.long), "at least one sample"),
        (torch.rand(2, 3, 16, 16), torch.tensor(1), r"targets of shape \(\)"),
        (torch.rand(2, 3, 16, 16), torch.zeros(2, 1, dtype=torch.long), r"targets of shape \(2, 1\)"),
        (torch.rand(2, 3, 16, 16), torch.zeros(2), "type torch.float32"),
    ],
)
def test_wrong_batches(inputs, targets, message):
    with pytest.raises(ValueError, match=message):
        explain(network("CNN"), inputs, targets, method="Saliency")


def test_output_that_is_not_of_classes():
    class Pair(nn.Linear):
        def forward(self, x):
            return super().forward(x), x

    message = r"returned tuple\(\[0\]: shape \(2, 3\), \[1\]: shape \(2, 4\)\) for 2 inputs, but must return \(2, classes\)"
    for method in ("DeepLift", "Gradient"):
        with pytest.raises(ValueError, match=message):
            explain(Pair(4, 3), torch.rand(2, 4), torch.tensor([0, 1]), method=method)
    with pytest.raises(ValueError, match=r"returned shape \(2, 5, 3\) for 2 inputs"):
        explain(nn.Linear(4, 3), torch.rand(2, 5, 4), torch.tensor([0, 1]), method="Saliency")


@pytest.mark.parametrize("whole_model", [False, True])
@pytest.mark.parametrize("method", BY_GRADIENTS)
def test_channels_may_come_last_in_memory(method, whole_model):
    """Hooks of modules make torch 2.13 derive a batch norm wrongly there, even those that change nothing."""
    torch.manual_seed(0)
    norm, size = nn.BatchNorm2d(3), 5
    nn.init.normal_(norm.running_mean)
    model = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), norm, nn.Flatten(), nn.Linear(75, 3)).eval()
    x, y = torch.randn(2, 2, size, size), torch.tensor([0, 2])
    expected = explain(model, x, y, method=method)
    model = model.to(memory_format=torch.channels_last) if whole_model else model
    maps = explain(model, x.contiguous(memory_format=torch.channels_last), y, method=method)
    torch.testing.assert_close(maps, expected, rtol=1e-4, atol=1e-6)
