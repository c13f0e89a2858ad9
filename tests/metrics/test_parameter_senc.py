"""Parameter SenC against copies of the model with zeroed weights, and which way is taken to its score."""

import copy
import functools
import warnings

import numpy as np
import pytest
import quantus
import torch
from captum.attr import LRP, DeepLift, GuidedBackprop, InputXGradient, IntegratedGradients, LayerGradCam, NoiseTunnel, Saliency
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm, weight_norm

from benchmarks.models import Block
from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency, explain_random
from quantus_senc.metrics.units import zeroed_weights
from tests import philox, reference
from tests.small_models import classes, gradient, inputs, table_model

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


class CNN(nn.Module):
    """Conv, pool, conv, pool, and two fully connected layers, as the paper's network for MNIST."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.conv1, self.relu1, self.pool1 = nn.Conv2d(1, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.conv2, self.relu2, self.pool2 = nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        self.fc1, self.relu3 = nn.Linear(32, 10), nn.ReLU()
        self.fc2 = nn.Linear(10, 3)

    def forward(self, x):
        x = self.pool2(self.relu2(self.conv2(self.pool1(self.relu1(self.conv1(x))))))
        return self.fc2(self.relu3(self.fc1(x.flatten(1))))


class ResNet(nn.Module):
    """Batch norm, a shortcut that is the identity and one that is a convolution."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(2)
        self.stem = nn.Conv2d(1, 4, 3, padding=1, bias=False)
        self.block1, self.block2, self.pool = Block(4, 4, 1), Block(4, 6, 2), nn.AdaptiveAvgPool2d(2)
        self.fc = nn.Linear(24, 3)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)

    def forward(self, x):
        return self.fc(self.pool(self.block2(self.block1(self.stem(x)))).flatten(1))


def cnn_1d():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv1d(2, 6, 5, padding=2), nn.ReLU(), nn.Conv1d(6, 6, 3, groups=6), nn.ReLU(), nn.Flatten(), nn.Linear(60, 3)
    )


MODELS = {
    "cnn": (CNN().eval(), (1, 8, 8), ["conv1", "conv2", "fc1", "fc2"], "conv2"),
    "resnet": (ResNet().eval(), (1, 8, 8), ["stem", "block2.conv1", "block2.downsample.0", "fc"], "block2.conv2"),
    "cnn 1d": (cnn_1d().eval(), (2, 12), ["0", "2", "5"], "2"),
    "mlp": (table_model().eval(), (6,), ["0", "2"], None),
}


def grad_cam(layer):
    def explain(model, inputs, targets):
        target = model.get_submodule(layer)
        maps = LayerGradCam(model, target).attribute(inputs, targets)
        return LayerGradCam.interpolate(maps, tuple(inputs.shape[2:])).clone()

    return explain


def interleaved(model, inputs, targets):
    """SmoothGrad with the same noise for every sample, which repeats them as NoiseTunnel does."""
    noise = torch.randn(5, *inputs.shape[1:], generator=torch.Generator().manual_seed(7)).repeat(
        len(inputs), *[1] * (inputs.ndim - 1)
    )
    noisy = (inputs.repeat_interleave(5, 0) + 0.3 * noise).requires_grad_()
    (grads,) = torch.autograd.grad(model(noisy).gather(1, targets.repeat_interleave(5)[:, None]).sum(), noisy)
    return grads.abs().unflatten(0, (-1, 5)).mean(1)


METHODS = {
    "Saliency": lambda model, inputs, targets: Saliency(model).attribute(inputs, targets),
    "InputXGradient": lambda model, inputs, targets: InputXGradient(model).attribute(inputs, targets),
    "GuidedBackprop": lambda model, inputs, targets: GuidedBackprop(model).attribute(inputs, targets),
    "IntegratedGradients": lambda model, inputs, targets: IntegratedGradients(model).attribute(
        inputs, target=targets, n_steps=5
    ),
    "DeepLift": lambda model, inputs, targets: DeepLift(model).attribute(inputs, target=targets),
    "LRP": lambda model, inputs, targets: LRP(model).attribute(inputs, target=targets),
    "LayerGradCam": None,
    "NoiseTunnel": lambda model, inputs, targets: NoiseTunnel(Saliency(model)).attribute(
        inputs, nt_samples=4, stdevs=0.0, target=targets
    ),
    "SmoothGrad": interleaved,
}
LRP_MODELS = {"cnn", "mlp"}  # Captum has no rule for Flatten and for functional addition
CASES = [
    (model, method)
    for model in MODELS
    for method in METHODS
    if (method != "LRP" or model in LRP_MODELS) and (method != "LayerGradCam" or MODELS[model][3])
]


def method_for(method, model):
    return grad_cam(MODELS[model][3]) if method == "LayerGradCam" else METHODS[method]


def expected_of(model, x, y, explain_func, layer, n_units, seed, n_masks, mask_rate=0.8):
    def explain_one(model, x, y):
        return explain_func(model, torch.tensor(x)[None], torch.tensor([y]))[0].detach().numpy()

    masks = philox.keep_masks(seed, philox.layer_stream(layer), n_masks, n_units, mask_rate)
    tie_tolerance = reference.rounding(n_masks, mask_rate, n_units, np.finfo(x.dtype).eps)
    return reference.parameter_senc(model, x, y, explain_one, layer, masks, tie_tolerance)


def run(model, x, y, explain_func=gradient, call=None, **parameters):
    metric = ParameterSensitivityConsistency(**{"n_masks": 12, "return_layer_scores": True, **parameters})
    return metric, metric(model, x, y, explain_func=explain_func, **(call or {}))


def names(metric):
    return {layer: strategy.name for layer, strategy in metric.strategies.items()}


@pytest.mark.unwatched("generators")
@pytest.mark.parametrize(("name", "method"), CASES)
def test_equals_algorithm_2_by_hooks(name, method):
    model, shape, layers, _ = MODELS[name]
    # In double precision, because in single some attributions differ by no more than rounding, whose order is anybody's.
    model, x, y = copy.deepcopy(model).double(), inputs(2, *shape).astype(np.float64), classes(2)
    explain_func = method_for(method, name)
    metric, scores = run(model, x, y, explain_func, layers=layers, mask_rate=0.5, n_masks=8, max_batch_size=12)
    assert list(scores) == layers
    assert set(names(metric).values()) == {"hooks"}, metric.strategies
    for place, layer in enumerate(layers):
        image = place % 2  # an image a layer, in turns
        record = metric.sensitivities[layer][image]
        prediction, explanation, score = expected_of(
            model, x[image], y[image], explain_func, layer,
            n_units=len(record.prediction), seed=42, n_masks=8, mask_rate=0.5,
        )  # fmt: skip
        np.testing.assert_allclose(record.prediction, prediction, rtol=1e-5)
        np.testing.assert_allclose(record.explanation, explanation, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(scores[layer][image], score, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize(
    ("name", "method"),
    [("cnn", "SmoothGrad"), ("resnet", "IntegratedGradients"), ("cnn 1d", "Saliency"), ("mlp", "IntegratedGradients")],
)
def test_hooks_and_weights_agree(name, method):
    model, shape, layers, _ = MODELS[name]
    x, y = inputs(3, *shape), classes(3)
    both = [run(model, x, y, METHODS[method], layers=layers, strategy=strategy)[0] for strategy in ("auto", "weights")]
    assert [set(names(metric).values()) for metric in both] == [{"hooks"}, {"weights"}]
    for layer in layers:
        for a, b in zip(*(metric.sensitivities[layer] for metric in both), strict=True):
            np.testing.assert_allclose(a.prediction, b.prediction, rtol=1e-5)
            np.testing.assert_allclose(a.explanation, b.explanation, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 6, 3, groups=2),
        nn.Conv2d(4, 4, 3, groups=4, bias=False),
        nn.ConvTranspose2d(4, 6, 3, groups=2),
        nn.ConvTranspose2d(4, 6, 2, stride=2, bias=False),
    ],
)
@pytest.mark.parametrize("strategy", ["hooks", "weights"])
def test_convolutions_of_every_kind(module, strategy):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), module, nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten())
    model.append(nn.Linear(4 * module.out_channels, 3)).eval()
    x, y = inputs(1, 1, 7, 7), classes(1)
    metric, scores = run(model, x, y, layers=["2"], strategy=strategy, mask_rate=0.5)
    _, explanation, score = expected_of(
        model, x[0], y[0], gradient, "2", n_units=module.out_channels, seed=42, n_masks=12, mask_rate=0.5
    )
    np.testing.assert_allclose(metric.sensitivities["2"][0].explanation, explanation, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scores["2"], score, atol=1e-5, equal_nan=True)


@pytest.mark.parametrize(("dims", "shape"), [(1, (2, 9)), (3, (1, 5, 5, 5))])
def test_convolutions_in_one_and_three_dimensions(dims, shape):
    conv = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[dims - 1]
    model = nn.Sequential(conv(shape[0], 5, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(3)).eval()
    x, y = inputs(2, *shape), classes(2)
    model(torch.tensor(x))
    both = [run(model, x, y, strategy=s, layers="conv", call={"channel_first": True})[1]["0"] for s in ("hooks", "weights")]
    np.testing.assert_allclose(*both, atol=1e-12)


@functools.cache
def three_images(batch_size=64, max_batch_size="auto"):
    call = {"batch_size": batch_size}
    return run(CNN().eval(), inputs(3, 1, 8, 8), classes(3), max_batch_size=max_batch_size, call=call)[1]


@pytest.mark.parametrize(("batch_size", "max_batch_size"), [(1, 7), (1, "auto"), (2, 1), (2, 64), (64, 7), (64, 64)])
def test_batch_sizes_change_nothing(batch_size, max_batch_size):
    expected, scores = three_images(), three_images(batch_size, max_batch_size)
    assert list(scores) == list(expected) == ["conv1", "conv2", "fc1", "fc2"]
    np.testing.assert_allclose(list(scores.values()), list(expected.values()), atol=1e-12)


def test_every_image_has_the_same_masked_models():
    model, x, y = CNN().eval(), inputs(3, 1, 8, 8), classes(3)
    _, scores = run(model, x, y)
    _, turned = run(model, x[::-1], y[::-1])
    np.testing.assert_allclose([s[::-1] for s in turned.values()], list(scores.values()), atol=1e-12)


def test_scores_are_the_mean_over_layers():
    model, x, y = CNN().eval(), inputs(3, 1, 8, 8), classes(3)
    metric, by_layer = run(model, x, y, n_masks=40)
    _, scores = run(model, x, y, n_masks=40, return_layer_scores=False)
    np.testing.assert_allclose(scores, np.mean(list(by_layer.values()), axis=0))
    assert metric.evaluation_scores is by_layer
    assert metric.all_evaluation_scores == [by_layer]
    _, aggregate = run(model, x, y, n_masks=40, return_layer_scores=False, return_aggregate=True)
    np.testing.assert_allclose(aggregate, [np.mean(scores)])


def test_in_evaluate_with_data_senc_and_top_k():
    model, x, y = CNN().eval(), inputs(3, 1, 8, 8), classes(3)
    senc = ParameterSensitivityConsistency(n_masks=12, layers="first_conv")
    data = DataSensitivityConsistency(n_masks=12, segment_func="grid")
    metrics = {"P": senc, "Top-3": senc.top_k(3), "D": data, "Max": quantus.Complexity()}
    results = quantus.evaluate(metrics, {"Saliency": quantus.explain}, model, x, y, explain_func_kwargs={})["Saliency"]
    assert [len(scores) for scores in results.values()] == [3, 3, 3, 3]
    assert list(senc.sensitivities) == ["conv1"]
    assert results["Top-3"] == [record.top_k_agreement(3) for record in senc.sensitivities["conv1"]]


# --- which layers


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        (None, ["conv1", "conv2", "fc1", "fc2"]),
        ("first_conv", ["conv1"]),
        ("conv", ["conv1", "conv2"]),
        ("linear", ["fc1", "fc2"]),
        ("fc1", ["fc1"]),
        (["fc2", "conv1"], ["conv1", "fc2"]),
        (lambda name, module: name.endswith("1"), ["conv1", "fc1"]),
    ],
)
def test_layers(layers, expected):
    _, scores = run(CNN().eval(), inputs(1, 1, 8, 8), classes(1), layers=layers, n_masks=2)
    assert list(scores) == expected


class OutOfOrder(nn.Module):
    """Layers that are not registered in the order of use; one is never used, one has a single unit."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.last, self.unused, self.first, self.single = nn.Linear(4, 3), nn.Linear(4, 4), nn.Linear(6, 4), nn.Linear(1, 3)

    def forward(self, x):
        x = self.first(x).relu()
        return self.last(x) + self.single(x[:, :1])


def test_layers_come_in_the_order_of_use_and_unfit_ones_are_left_out():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, scores = run(OutOfOrder(), inputs(2, 6), classes(2), n_masks=20)
    assert list(scores) == ["first", "last"]
    messages = [str(w.message) for w in caught if "left out" in str(w.message)]
    assert messages == [
        "Layers left out: 'single' has one unit, and ranks need two; 'unused' is not reached by the forward pass."
    ]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ("conv_1", "unknown layer 'conv_1'; did you mean 'conv'"),
        (["firs"], "unknown layer 'firs'; did you mean 'first'"),
        ("unused", "layer 'unused' is not reached by the forward pass"),
        (["first", "single"], "layer 'single' has one unit"),
        ("conv", "layers='conv' leaves no convolution or fully connected layer"),
    ],
)
def test_layers_that_cannot_be_masked(layers, message):
    with pytest.raises(ValueError, match=message):
        run(OutOfOrder(), inputs(2, 6), classes(2), layers=layers)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"layers": 3}, "layers=3 must be None, a list of names"),
        ({"layers": []}, r"layers=\[\] must be None, a list of names"),
        ({"strategy": "hook"}, "unknown strategy 'hook'; did you mean 'hooks'"),
        ({"n_masks": 1}, "n_masks=1 must be an integer from 2"),
        ({"layer": "conv1"}, "unknown keyword 'layer'; did you mean 'layers'"),
    ],
)
def test_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        ParameterSensitivityConsistency(**parameters)


# --- models and methods for which hooks are not right


def slow_agrees_with_reference(metric, model, x, y, explain_func, layer):
    record = metric.sensitivities[layer][0]
    prediction, explanation, _ = expected_of(
        model, x[0], y[0], explain_func, layer, n_units=len(record.prediction), seed=42, n_masks=12
    )
    np.testing.assert_allclose(record.prediction, prediction, rtol=1e-5)
    np.testing.assert_allclose(record.explanation, explanation, rtol=1e-4, atol=1e-4)


def normalises_over_the_batch(model, inputs, targets):
    maps = gradient(model, inputs, targets)
    return maps / maps.abs().max().clamp_min(1e-9)


def scrambled(model, inputs, targets):
    """Repeats samples in an order that is neither tiled nor interleaved."""
    order = torch.randperm(3 * len(inputs), generator=torch.Generator().manual_seed(0))
    maps = gradient(model, inputs.repeat(3, 1, 1, 1)[order], targets.repeat(3)[order])
    return maps[order.argsort()].unflatten(0, (3, -1)).mean(0)


def in_pieces(model, inputs, targets):
    """Explains a few samples at a time."""
    return torch.cat([gradient(model, x, y) for x, y in zip(inputs.split(5), targets.split(5), strict=True)])


def in_repeated_pieces(model, inputs, targets):
    """Explains a few samples at a time, each so often that their number looks right."""
    pieces = zip(inputs.split(4), targets.split(4), strict=True)
    return torch.cat([gradient(model, x.repeat(3, 1, 1, 1), y.repeat(3))[: len(x)] for x, y in pieces])


@pytest.mark.unwatched("generators")
@pytest.mark.parametrize(
    ("explain_func", "why"),
    [
        (normalises_over_the_batch, "predictions or explanations differ from those with zeroed weights"),
        (scrambled, "predictions or explanations differ from those with zeroed weights"),
        (in_pieces, "the layer is given 5 samples where 8 inputs are explained"),
        (in_repeated_pieces, "the layer is given 12 samples where 8 inputs are explained"),
        (explain_random, "predictions or explanations differ from those with zeroed weights"),
        (
            lambda model, inputs, targets: torch.rand_like(inputs),
            "explanations or predictions differ for the same input",
        ),
    ],
)
def test_methods_that_hooks_cannot_serve(explain_func, why):
    model, x, y = CNN().eval(), inputs(1, 1, 8, 8), classes(1)
    metric, _ = run(model, x, y, explain_func, layers=["conv1", "fc1"])
    assert names(metric) == {"conv1": "weights", "fc1": "weights"}
    assert {strategy.why for strategy in metric.strategies.values()} == {why}
    if "for the same input" not in why:
        slow_agrees_with_reference(metric, model, x, y, explain_func, "conv1")
        with pytest.raises(ValueError, match=r"strategy='hooks' cannot be used: .*; take 'auto' or 'weights'"):
            run(model, x, y, explain_func, layers="conv1", strategy="hooks")


@pytest.mark.unwatched("generators")
def test_a_random_method_goes_by_hooks_if_it_is_told_to():
    metric, _ = run(
        CNN().eval(), inputs(1, 1, 8, 8), classes(1), lambda model, inputs, targets: torch.rand_like(inputs), strategy="hooks"
    )
    assert set(names(metric).values()) == {"hooks"}
    assert "asked for; not checked" in metric.strategies["conv1"].why


def test_a_method_that_never_changes_goes_by_hooks_if_it_is_told_to():
    def blob(model, inputs, targets):
        return torch.linspace(0, 1, inputs[0].numel()).view_as(inputs[:1]).expand_as(inputs)

    for strategy, name in {"auto": "weights", "hooks": "hooks"}.items():
        metric, _ = run(CNN().eval(), inputs(1, 1, 8, 8), classes(1), blob, strategy=strategy, layers="conv1")
        assert names(metric) == {"conv1": name}
        assert "explanations do not change with the masks" in metric.strategies["conv1"].why


def test_random_maps_differ_for_each_masked_model():
    metric, scores = run(CNN().eval(), inputs(12, 1, 8, 8), classes(12), explain_random, layers="fc1", n_masks=300)
    similarities = [record.explanation.abs().max() / 300 for record in metric.sensitivities["fc1"]]
    assert max(similarities) < 0.05
    assert abs(np.mean(scores["fc1"])) < 3 * np.std(scores["fc1"]) / np.sqrt(12)


class Shared(nn.Module):
    """One layer that is used twice, and one whose weight another layer uses too."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.twice, self.tied, self.other, self.out = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3)
        self.other.weight = self.tied.weight

    def forward(self, x):
        x = self.twice(self.twice(x).relu()).relu()
        return self.out(self.other(self.tied(x).relu()).relu())


def test_shared_modules_and_weights():
    model, x, y = Shared().eval(), inputs(1, 6), classes(1)
    metric, _ = run(model, x, y)
    assert names(metric) == {"twice": "hooks", "tied": "weights", "other": "weights", "out": "hooks"}
    for layer in metric.sensitivities:
        slow_agrees_with_reference(metric, model, x, y, gradient, layer)


class Attention(nn.Module):
    """Uses the weights of `out_proj` without calling it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed, self.attention, self.head = nn.Linear(4, 8), nn.MultiheadAttention(8, 2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        tokens = self.embed(x.transpose(1, 2))
        return self.head(self.attention(tokens, tokens, tokens)[0].mean(1))


def test_attention_uses_weights_without_calling_the_layer():
    model, x, y = Attention().eval(), inputs(1, 4, 6), classes(1)
    metric, scores = run(model, x, y)
    assert list(scores) == ["embed", "attention.out_proj", "head"]
    assert names(metric) == {"embed": "hooks", "attention.out_proj": "weights", "head": "hooks"}
    assert metric.strategies["attention.out_proj"].why == "the layer's weights are used without the layer being called"
    for layer in scores:
        slow_agrees_with_reference(metric, model, x, y, gradient, layer)


@pytest.mark.parametrize("norm", [weight_norm, spectral_norm, parametrizations.weight_norm, parametrizations.spectral_norm])
def test_weights_that_are_computed_cannot_be_masked(norm):
    model = nn.Sequential(norm(nn.Linear(6, 8)), nn.ReLU(), nn.Linear(8, 3)).eval()
    with pytest.raises(ValueError, match="layer '0' computes its weight from other parameters"):
        run(model, inputs(2, 6), classes(2), layers=["0"])
    _, scores = run(model, inputs(2, 6), classes(2))
    assert list(scores) == ["2"]


def test_hooks_that_the_model_already_has():
    model, x, y = CNN().eval(), inputs(1, 1, 8, 8), classes(1)
    model.conv1.register_forward_hook(lambda module, args, output: output.square() + 1)
    model.fc1.register_forward_pre_hook(lambda module, args: (args[0].square() + 1,))
    metric, _ = run(model, x, y)
    for layer in metric.sensitivities:
        slow_agrees_with_reference(metric, model, x, y, gradient, layer)
    assert names(metric) == {"conv1": "hooks", "conv2": "hooks", "fc1": "hooks", "fc2": "hooks"}


def test_data_parallel_and_training_mode():
    model, x, y = CNN().eval(), inputs(2, 1, 8, 8), classes(2)
    _, expected = run(model, x, y)
    _, scores = run(nn.DataParallel(model).train(), x, y, layers=[f"module.{layer}" for layer in expected])
    assert [len(s) for s in scores.values()] == [2] * 4
    _, again = run(model.train(), x, y)
    assert again == expected


# --- what is left behind


def state(model):
    return [
        (name, module.training, [list(v.items()) for k, v in vars(module).items() if k.endswith("_hooks")])
        for name, module in model.named_modules()
    ] + [(t.detach().numpy().tobytes(), t.requires_grad, t.grad) for t in (*model.parameters(), *model.buffers())]


@pytest.mark.parametrize("strategy", ["auto", "weights"])
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_the_model_is_as_before(strategy, error):
    model, calls = CNN(), []
    with torch.no_grad():
        model.conv1.weight[0, 0, 0, 0] = -0.0
        model.conv2.weight[0, 0, 0, 0] = torch.inf
        model.conv2.weight[0, 0, 0, 1] = torch.nan
    model.fc1.weight.requires_grad_(False)
    before = state(model)

    def explain(model, inputs, targets):
        calls.append(1)
        if error and len(calls) == 6:
            raise error("in the middle")
        return gradient(model, inputs, targets)

    try:
        run(model, inputs(2, 1, 8, 8), classes(2), explain, strategy=strategy, disable_warnings=True)
    except (RuntimeError, KeyboardInterrupt):
        assert error
    else:
        assert not error
    assert str(state(model)) == str(before)


def test_infinite_weights_are_eliminated_too():
    model, x = table_model(), torch.tensor(inputs(1, 6))
    with torch.no_grad():
        model[0].weight[0, 2] = torch.inf
    keep = torch.arange(6) != 2
    expected = reference.masked_model(model, "0", keep.numpy())(x)
    with zeroed_weights(model[0]) as mask:
        mask(keep)
        assert torch.equal(model(x), expected)
    assert expected.isfinite().all()
    assert model[0].weight[0, 2] == torch.inf


def test_progress_counts_the_copies_of_all_layers(monkeypatch, capsys):
    monkeypatch.delenv("PYTEST")
    for strategy in ("auto", "weights"):
        run(CNN().eval(), inputs(3, 1, 8, 8), classes(3), display_progressbar=True, strategy=strategy)
        assert "Parameter Sensitivity Consistency: 100%" in (shown := capsys.readouterr().err)
        assert "144/144" in shown


def test_unreliable_layers_are_counted_in_one_warning():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _, scores = run(CNN().eval(), inputs(2, 1, 8, 8), classes(2), lambda model, inputs, targets: torch.zeros_like(inputs))
    assert np.isnan(list(scores.values())).all()
    assert [str(w.message) for w in caught] == [
        "Parameter Sensitivity Consistency is NaN for 8 of 8 pairs of layer and image: 8 with a constant attribution."
    ]
