"""Methods by the names that Quantus has for them."""

import pytest
import quantus
import torch
from quantus.helpers.constants import AVAILABLE_XAI_METHODS_CAPTUM
from torch import nn

from quantus_senc import compare, explain, explain_random, explain_sobel
from quantus_senc.comparison.named_methods import named_methods

OURS = {
    **{name: name for name in ("IntegratedGradients", "DeepLift", "InputXGradient", "Saliency", "Gradient", "LRP")},
    **{name: name for name in ("Occlusion", "FeatureAblation", "KernelShap", "Lime")},
    "LayerGradCam": "GradCAM",
    "GuidedBackprop": "GuidedBackprop",
    "guided backprop": "GuidedBackprop",
}


@pytest.mark.parametrize("name", OURS)
def test_methods_that_both_have_are_ours(name):
    (method,) = named_methods(name).values()
    assert method.explain_func is explain
    assert method.explain_func_kwargs == {"method": OURS[name]}


def test_every_other_name_of_quantus_is_taken():
    methods = named_methods([name for name in AVAILABLE_XAI_METHODS_CAPTUM if name not in OURS])
    assert methods.pop("Control Var. Sobel Filter").explain_func is explain_sobel
    assert methods.pop("Control Var. Random Uniform").explain_func is explain_random
    assert "GradientShap" in methods
    for name, method in methods.items():
        assert method.explain_func is quantus.explain
        assert method.explain_func_kwargs == {"method": name}


def test_methods_of_quantus_take_keywords_and_have_scores():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
    methods = {"Deconvolution": "Deconvolution", "whole": {"method": "Deconvolution", "reduce_axes": ()}}
    x, grid = torch.rand(2, 1, 8, 8), {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}}
    result = compare(model, x, [0, 1], methods=methods, metrics="SenC", n_masks=20, **grid)
    assert result.scores["failure"].unique().tolist() == [""]
    assert result.scores["score"].notna().all()


def test_a_name_that_is_nearly_right_is_answered_by_the_right_one():
    with pytest.raises(ValueError, match="unknown method 'KernelShop'; did you mean 'KernelShap'"):
        named_methods("KernelShop")
