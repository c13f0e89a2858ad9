"""Model, inputs and keywords are as before, whatever the explanation method did to them and however the call ended."""

import numpy as np
import pytest
import quantus
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency
from quantus_senc._preserve import preserved
from tests.conftest import classes, gradient, image_model, inputs

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
    try:
        with preserved(model):
            assert not any(module.training for module in model.modules())
            vandalise(model)
            assert state(model) != before
            if error:
                raise error
    except (RuntimeError, KeyboardInterrupt):
        pass
    assert state(model) == before


def test_untouched_tensors_are_not_written():
    """A graph that the caller still wants to go through backward stays valid."""
    model = image_model()
    loss = model(torch.tensor(X)).square().sum()
    with preserved(model):
        pass
    loss.backward()


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
