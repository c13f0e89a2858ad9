"""Model, inputs and keywords are as before, whatever the explanation method did to them and however the call ended."""

from collections import OrderedDict
from contextlib import suppress

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from quantus_senc.model.state import preserving
from tests.small_models import classes, gradient, image_model, inputs

X, Y = inputs(3, 1, 8, 8), classes(3)
GRID = {"n_masks": 20, "segment_func": "grid", "segment_func_kwargs": {"patch_size": 3}, "max_batch_size": 16}


def model_with_everything():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3))
    model.train()
    model[1].eval()
    model[0].weight.requires_grad_(False)
    model[5].weight.grad = torch.randn_like(model[5].weight)
    with torch.no_grad():
        model[5].bias[0] = -0.0
        model[5].bias[1] = torch.nan
    model[2].register_forward_hook(lambda *args: None)
    model[2].register_full_backward_hook(lambda *args: None)
    return model


def state(model):
    return [
        (
            name,
            module.training,
            sorted(vars(module)),
            {key: list(hooks.items()) for key, hooks in vars(module).items() if key.endswith("_hooks")},
            [
                (n, t.detach().numpy().tobytes(), t.requires_grad, id(t.grad), None if t.grad is None else t.grad.tolist())
                for n, t in (*module.named_parameters(recurse=False), *module.named_buffers(recurse=False))
            ],
        )
        for name, module in model.named_modules()
    ]


def vandalise(model):
    """Everything that attribution methods were seen to do to a model, and more."""
    model.train()
    model[1].momentum_left_behind = 3
    model[0].weight.requires_grad_(True)
    model[5].weight.grad.zero_()
    model[2].register_forward_hook(lambda *args: None)
    model[2]._backward_hooks.clear()
    model.register_forward_pre_hook(lambda *args: None)
    with torch.no_grad():
        model[5].bias[0] = 0.0
        model[0].weight.zero_()
        model[1].running_mean += 1


@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_preserved_undoes_everything(error):
    model = model_with_everything()
    before = state(model)

    def run(restore):
        assert not any(module.training for module in model.modules())
        vandalise(model)
        assert state(model) != before
        if error:
            raise error

    with suppress(RuntimeError, KeyboardInterrupt):
        preserving(model, run)
    assert state(model) == before


def test_untouched_tensors_are_not_written():
    """A graph that the caller still wants to go through backward stays valid."""
    model = image_model()
    loss = model(torch.tensor(X)).square().sum()
    preserving(model, lambda restore: None)
    loss.backward()


@pytest.mark.unwatched("generators")
@pytest.mark.parametrize("fails_at", [1, 2, 4])
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_call_that_raises_in_the_middle(fails_at, error):
    model, calls = model_with_everything(), []
    x, kwargs = X.copy(), {"nested": {"layer": "name"}, "list": [1]}
    before = state(model)

    def explain(model, inputs, targets, nested, list):
        calls.append(len(inputs))
        assert nested == {"layer": "name"}
        assert list == [1]
        nested["layer"] = "changed"
        list.append(2)
        inputs.zero_()
        if len(calls) == fails_at:
            vandalise(model)
            raise error("in the middle")
        return torch.rand_like(inputs)

    metric = DataSensitivityConsistency(**GRID)
    with pytest.raises(error, match="in the middle"):
        metric(model, x, Y, explain_func=explain, explain_func_kwargs=kwargs)
    assert len(calls) == fails_at
    assert state(model) == before
    np.testing.assert_array_equal(x, X)
    assert kwargs == {"nested": {"layer": "name"}, "list": [1]}
    assert metric.sensitivities == []


def test_a_model_in_training_mode_is_scored_in_evaluation_mode():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 3))
    scores = DataSensitivityConsistency(**GRID)(model.eval(), X, Y, explain_func=gradient)
    assert DataSensitivityConsistency(**GRID)(model.train(), X, Y, explain_func=gradient) == scores
    assert all(module.training for module in model.modules())


class CachesAtFirstUse(nn.Module):
    """The idiom of rotary embeddings: a flag and a buffer that the first pass sets."""

    def __init__(self):
        super().__init__()
        self.inner, self.cached = image_model(), 0

    def forward(self, x):
        if x.shape[-1] > self.cached:
            self.cached = x.shape[-1]
            self.register_buffer("scale", torch.ones(1), persistent=False)
        return self.inner(x) * self.scale


def test_modules_that_cache_something_stay_whole():
    model = CachesAtFirstUse().eval()
    first = DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=gradient)
    model(torch.tensor(X))
    assert DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=gradient) == first


def test_hooks_keep_their_kind_when_they_are_removed_or_cleared():
    model, calls = image_model(), []
    handle = model[0].register_forward_hook(lambda module, args, kwargs, output: calls.append(1), with_kwargs=True)
    model[1].register_forward_hook(lambda *args: calls.append(2))

    def run(restore):
        handle.remove()
        model[1]._forward_hooks = OrderedDict()
        model[1].inplace = True

    preserving(model, run)
    model(torch.tensor(X))
    assert calls == [1, 2]
    assert model[1].inplace is False


def test_precision_is_put_back():
    model = image_model()
    before = state(model)
    preserving(model, lambda restore: model.double())
    assert state(model) == before
    assert model(torch.tensor(X)).dtype == torch.float32


@pytest.mark.parametrize("buffer", [torch.tensor(0.5).expand(3), torch.eye(3).to_sparse(), torch.arange(3), torch.tensor(True)])
def test_buffers_of_every_kind(buffer):
    model = image_model()
    model.register_buffer("extra", buffer)
    expected = DataSensitivityConsistency(**GRID)(image_model(), X, Y, explain_func=gradient)
    assert DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=gradient) == expected

    def explain(model, inputs, targets):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=explain)


def test_a_model_made_in_inference_mode():
    with torch.inference_mode():
        model = image_model()
    scores = DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=lambda model, inputs, targets: inputs)
    assert len(scores) == 3


def test_a_pass_that_runs_out_of_memory_leaves_nothing_behind():
    def explain(model, inputs, targets, limit):
        handle = model[0].register_forward_hook(lambda module, args, output: output * 0.3)
        if len(inputs) > limit:
            raise torch.OutOfMemoryError("no memory")
        maps = gradient(model, inputs, targets)
        handle.remove()
        return maps

    metric = DataSensitivityConsistency(**{**GRID, "max_batch_size": "auto"})
    few, many = (metric(image_model(), X, Y, explain_func=explain, explain_func_kwargs={"limit": limit}) for limit in (7, 999))
    np.testing.assert_allclose(few, many, atol=1e-12)


def test_an_explanation_method_that_switches_to_training_mode():
    model = nn.Sequential(nn.Dropout(0.5), *image_model()).eval()

    def explain(model, inputs, targets):
        maps = gradient(model, inputs, targets)
        model.train()
        return maps

    expected = DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=gradient)
    assert DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=explain) == expected


def test_a_model_that_normalises_its_input_in_place():
    class InPlace(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = image_model()

        def forward(self, x):
            return self.inner(x.sub_(0.5).div_(0.3))

    def explain(model, inputs, targets):
        return gradient(image_model(), (inputs - 0.5) / 0.3, targets)

    normalising = nn.Sequential(nn.BatchNorm2d(1, eps=0.0, affine=False), *image_model()).eval()
    normalising[0].running_mean.fill_(0.5)
    normalising[0].running_var.fill_(0.3**2)
    expected = DataSensitivityConsistency(**GRID)(normalising, X, Y, explain_func=explain)
    np.testing.assert_allclose(DataSensitivityConsistency(**GRID)(InPlace(), X, Y, explain_func=explain), expected, atol=1e-6)


def test_arrays_in_keywords_and_what_the_method_returned_are_not_altered():
    kwargs = {"nested": {"array": np.zeros(2)}, "pair": ([1], torch.zeros(2))}
    kept = []

    def explain(model, inputs, targets, nested, pair):
        assert nested["array"].sum() == pair[1].sum() == 0
        nested["array"] += 1
        pair[1].add_(1)
        pair[0].append(2)
        kept.append(gradient(model, inputs, targets).numpy())
        return kept[-1]

    def in_place(maps):
        maps /= 2
        return maps

    metric = DataSensitivityConsistency(**GRID, normalise=True, normalise_func=in_place)
    metric(image_model(), X, Y, explain_func=explain, explain_func_kwargs=kwargs)
    assert kwargs["nested"]["array"].sum() == kwargs["pair"][1].sum() == 0
    assert kwargs["pair"][0] == [1]
    np.testing.assert_array_equal(kept[1], gradient(image_model(), X, Y))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_captum_lrp_that_raises_does_not_break_the_model():
    model = nn.Sequential(nn.Identity(), *image_model()).eval()
    before = state(model)
    with pytest.raises(TypeError, match="no rule"):
        DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=quantus.explain, explain_func_kwargs={"method": "LRP"})
    assert state(model) == before


def test_inputs_and_keywords_are_not_altered():
    x, y, kwargs = X.copy(), Y.copy(), {"xai_lib_kwargs": {}, "gc_layer": "model[0]", "interpolate": (8, 8)}

    def grad_cam(**call):
        return quantus.explain(**call, method="LayerGradCam")

    DataSensitivityConsistency(**GRID)(image_model(), x, y, explain_func=grad_cam, explain_func_kwargs=kwargs, device="cpu")
    np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(y, Y)
    assert kwargs == {"xai_lib_kwargs": {}, "gc_layer": "model[0]", "interpolate": (8, 8)}


class Caches(nn.Module):
    """Attributes of every kind, and a method that fills them."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc = nn.Linear(6, 3)
        self.list, self.nested, self.tuple = [1], {"deep": [{"deeper": torch.zeros(2)}]}, ([1],)
        self.tensor, self.array, self.set = torch.zeros(2), np.zeros(2), {1}

    def forward(self, x):
        return self.fc(x)

    def contents(self):
        return repr((self.list, self.nested, self.tuple, self.tensor, self.array, self.set))


def fills_caches(model, inputs, targets):
    for values in (model.list, model.nested["deep"], model.tuple[0]):
        values.append(len(inputs))
    model.nested["deep"][0]["deeper"] += 1
    model.tensor += 1
    model.array += 1
    model.set.add(len(inputs))
    return gradient(model, inputs, targets)


def test_containers_tensors_and_arrays_are_put_back():
    model = Caches().eval()
    before = model.contents()
    DataSensitivityConsistency(20)(model, inputs(3, 6), Y, explain_func=fills_caches)
    assert model.contents() == before


class ReturnsItsBuffer:
    """Gives views of one piece of memory, which each call fills anew."""

    def __init__(self, as_array):
        self.memory, self.as_array = torch.empty(4096), as_array

    def __call__(self, model, inputs, targets):
        maps = gradient(model, inputs, targets)
        view = self.memory[: maps.numel()].view(maps.shape)
        view.copy_(maps)
        return view.numpy() if self.as_array else view


@pytest.mark.parametrize("as_array", [True, False])
@pytest.mark.parametrize("max_batch_size", [1, 2, 16])
def test_methods_may_fill_the_same_memory_at_each_call(as_array, max_batch_size):
    parameters = {**GRID, "max_batch_size": max_batch_size}
    expected = DataSensitivityConsistency(**parameters)(image_model(), X, Y, explain_func=gradient)
    method = ReturnsItsBuffer(as_array)
    assert DataSensitivityConsistency(**parameters)(image_model(), X, Y, explain_func=method) == expected


def edits_targets(model, inputs, targets):
    maps = gradient(model, inputs, targets)
    targets.zero_()
    return maps


def edits_inputs(model, inputs, targets):
    """In a way that torch does not count."""
    maps = gradient(model, inputs, targets)
    inputs.numpy()[:] = 0
    targets.data.fill_(1)
    return maps


def edits_before(model, inputs, targets):
    """The model is then given the edited inputs, at the same place in memory."""
    inputs.data.mul_(0.5)
    leaf = inputs.requires_grad_()
    (grads,) = torch.autograd.grad(model(leaf).gather(1, targets[:, None]).sum(), leaf)
    return grads


def halves(model, inputs, targets):
    return edits_before(model, inputs.clone(), targets)


@pytest.mark.parametrize("kind", [DataSensitivityConsistency, ParameterSensitivityConsistency])
@pytest.mark.parametrize(("method", "same"), [(edits_targets, gradient), (edits_inputs, gradient), (edits_before, halves)])
def test_methods_may_edit_what_they_are_given(kind, method, same):
    parameters = GRID if kind is DataSensitivityConsistency else {"n_masks": 20, "layers": "first_conv", "mask_rate": 0.5}
    scores, expected = ([*kind(**parameters)(image_model(), X, Y, explain_func=one)] for one in (method, same))
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_hooks_that_a_method_forgets_do_not_pile_up():
    model, seen = image_model(), []

    def forgets(model, inputs, targets):
        seen.append(len(model[0]._forward_hooks))
        model[0].register_forward_hook(lambda *args: None)
        return gradient(model, inputs, targets)

    with pytest.warns(UserWarning, match="explain_func has left hooks in the model at its first call"):
        DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=forgets)
    assert max(seen) == 1  # of the first call: a method may need it later
    assert not model[0]._forward_hooks


def test_modules_keep_their_class():
    model = image_model()

    def swaps(model, inputs, targets):
        model[1].__class__ = nn.Tanh
        return gradient(model, inputs, targets)

    DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=swaps)
    assert type(model[1]) is nn.ReLU


def test_scripted_models_are_put_back():
    model = torch.jit.script(image_model())
    before = [weight.clone() for weight in model.parameters()]

    def spoils(model, inputs, targets):
        maps = gradient(model, inputs, targets)
        for weight in model.parameters():
            weight.data.mul_(0.5)
        return maps

    DataSensitivityConsistency(**GRID)(model, X, Y, explain_func=spoils)
    assert all(map(torch.equal, before, model.parameters()))
