"""Everything that can change between two calls, against everything that reads an earlier run: nothing is stale."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from tests.small_models import inputs

X, Y = inputs(2, 1, 8, 8), np.array([0, 2])
POWER, SCALE = [0.0], [1.0]


class Config:
    scale = 1.0


class Model(nn.Module):
    """Reads what models were seen to read: a buffer, a plain tensor, an array, nested containers, an object, its class."""

    shared = 1.0

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.fc = nn.Conv2d(1, 4, 3), nn.Linear(144, 3)
        self.register_buffer("buffer", torch.ones(()))
        self.tensor, self.array, self.config = torch.ones(()), np.ones(1), Config()
        self.nested = {"list": [1.0, torch.ones(())]}
        self.fc.register_forward_pre_hook(lambda module, args: (args[0] * SCALE[0],))

    def forward(self, x):
        scale = self.buffer * self.tensor * self.array[0] * self.nested["list"][0] * self.nested["list"][1]
        scale = scale * self.config.scale * self.shared
        return self.fc((self.conv(x) * scale).tanh().flatten(1))


def explained(model, inputs, targets, power):
    inputs = inputs.clone().requires_grad_()
    (grads,) = torch.autograd.grad(model(inputs).gather(1, targets[:, None]).sum(), inputs)
    return (grads * inputs.detach().abs() ** float(power[0])).detach()


def by_global(model, inputs, targets):
    return explained(model, inputs, targets, POWER)


class Method:
    """An explanation method as an object."""

    def __init__(self):
        self.power = np.zeros(1)

    def __call__(self, model, inputs, targets):
        return explained(model, inputs, targets, self.power)

    bound = __call__


class Scene:
    """A model, explanation methods of every kind, and callables of a metric."""

    def __init__(self, model):
        self.model, self.power, self.object = model, [0.0], Method()
        self.side, self.filling, self.layers = [4], np.zeros(1), ["conv"]
        self.methods = {
            "closure": lambda model, inputs, targets: explained(model, inputs, targets, self.power),
            "global": by_global,
            "partial": partial(explained, power=[0.0]),
            "object": self.object,
            "bound method": self.object.bound,
        }

    def data(self):
        def segment(image):
            side = self.side[0]
            return torch.arange(8)[:, None] // side * (8 // side) + torch.arange(8) // side

        def baseline(image):
            return torch.full((1, 1, 1), float(self.filling[0]))

        return DataSensitivityConsistency(40, 0.5, segment_func=segment, perturb_baseline=baseline, disable_warnings=True)

    def parameter(self):
        return ParameterSensitivityConsistency(40, 0.5, layers=lambda name, module: name in self.layers, disable_warnings=True)


CHANGES = {
    "closure": ("closure", lambda scene: scene.power.__setitem__(0, 1.0)),
    "global": ("global", lambda scene: POWER.__setitem__(0, 1.0)),
    "keywords of a partial": ("partial", lambda scene: scene.methods["partial"].keywords.__setitem__("power", [1.0])),
    "array of an object": ("object", lambda scene: scene.object.power.__setitem__(0, 1.0)),
    "attribute of an object": ("object", lambda scene: setattr(scene.object, "power", [1.0])),
    "array of a bound method": ("bound method", lambda scene: scene.object.power.__setitem__(0, 1.0)),
    "weight": ("global", lambda scene: scene.model.conv.weight.data.mul_(2)),
    "state dict": (
        "global",
        lambda scene: scene.model.load_state_dict({k: v + 1 for k, v in scene.model.state_dict().items()}),
    ),
    "buffer": ("global", lambda scene: scene.model.buffer.mul_(3)),
    "plain tensor": ("global", lambda scene: scene.model.tensor.mul_(3)),
    "array": ("global", lambda scene: scene.model.array.__imul__(3)),
    "nested list": ("global", lambda scene: scene.model.nested["list"].__setitem__(0, 3.0)),
    "nested tensor": ("global", lambda scene: scene.model.nested["list"][1].mul_(3)),
    "config": ("global", lambda scene: setattr(scene.model.config, "scale", 3.0)),
    "class attribute": ("global", lambda scene: setattr(type(scene.model), "shared", 3.0)),
    "global of a hook": ("global", lambda scene: SCALE.__setitem__(0, 3.0)),
    "segmentation": ("global", lambda scene: scene.side.__setitem__(0, 2)),
    "baseline": ("global", lambda scene: scene.filling.__setitem__(0, 2.0)),
    "layers": ("global", lambda scene: scene.layers.__setitem__(0, "fc")),
}
FEW_CHANGES = ("closure", "weight", "segmentation")  # of another reader that looks for them as top-k does
OF_DATA_ALONE, OF_PARAMETERS_ALONE = ("segmentation", "baseline"), ("layers",)
READERS = {
    "top-k": (Scene.data, lambda metric: metric.top_k(1)),
    "standard error": (Scene.data, lambda metric: metric.standard_error()),
    "other estimator": (Scene.data, lambda metric: metric.with_estimator("regression")),
    "top-k of layers": (Scene.parameter, lambda metric: metric.top_k(1)),
}
CASES = [
    (reader, change)
    for reader, (make, _) in READERS.items()
    for change in CHANGES
    if change not in (OF_PARAMETERS_ALONE if make is Scene.data else OF_DATA_ALONE)
    if change in FEW_CHANGES or reader != "standard error"
]


@pytest.fixture
def model():
    yield Model().eval()
    Model.shared, POWER[0], SCALE[0] = 1.0, 0.0, 1.0


@pytest.mark.parametrize(("reader", "change"), CASES)
def test_what_changes_out_of_sight_is_seen(model, reader, change):
    scene = Scene(model)
    make, read = READERS[reader]
    name, alter = CHANGES[change]
    metric = make(scene)
    call = {"model": model, "x_batch": X, "y_batch": Y, "explain_func": scene.methods[name]}
    metric(**call)
    before = metric.sensitivities
    alter(scene)
    np.testing.assert_equal(read(metric)(**call), read(make(scene))(**call))
    assert metric.sensitivities is not before or reader == "other estimator"


@pytest.mark.parametrize("reader", READERS)
def test_an_unchanged_run_is_read(model, reader):
    scene = Scene(model)
    make, read = READERS[reader]
    metric, n_samples = make(scene), []

    def explain(model, inputs, targets):
        n_samples.append(len(inputs))
        return explained(model, inputs, targets, scene.power)

    call = {"model": model, "x_batch": X, "y_batch": Y, "explain_func": explain}
    metric(**call)
    n_run = sum(n_samples)
    expected = read(make(scene))(**call)
    n_samples.clear()
    np.testing.assert_equal(read(metric)(**call), expected)
    assert sum(n_samples) < n_run / 2 + 60 * (reader == "other estimator")
