"""Wrong arguments raise at once, naming argument, value and remedy; nothing has run by then."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from tests.small_models import classes, gradient, image_model, inputs, table_model

PARAMETERS = [
    ({"n_masks": 1}, "n_masks=1 must be an integer from 2"),
    ({"n_masks": 2.5}, "n_masks=2.5 must be an integer"),
    ({"n_masks": True}, "n_masks=True must be an integer"),
    ({"n_masks": "many"}, "n_masks='many' must be an integer"),
    ({"mask_rate": 0}, "mask_rate=0 must be a probability between 0 and 1"),
    ({"mask_rate": 1.0}, "mask_rate=1.0 must be"),
    ({"mask_rate": float("nan")}, "mask_rate=nan must be"),
    ({"mask_rate": "0.8"}, "mask_rate='0.8' must be"),
    ({"seed": -1}, "seed=-1 must be an integer from 0"),
    ({"max_batch_size": 0}, "max_batch_size=0 must be an integer from 1"),
    ({"max_batch_size": "Auto"}, "max_batch_size='Auto' must be 'auto'"),
    ({"segment_func": "slick"}, "unknown segment_func 'slick'; did you mean 'slic'?"),
    ({"segment_func": 3}, "segment_func=3 must be None, a callable"),
    ({"segment_func_kwargs": 3}, "segment_func_kwargs=3 must be a dict"),
    ({"segment_func": "slic", "segment_func_kwargs": {"compactnes": 1}}, "did you mean 'compactness'?"),
    ({"segment_func": "grid", "segment_func_kwargs": {"patch": 1}}, "did you mean 'patch_size'?"),
    ({"segment_func": "grid", "segment_func_kwargs": {"patch_size": 0}}, "patch_size=0 must be an integer from 1"),
    ({"segment_func": "column", "segment_func_kwargs": {"width": 1}}, "unknown keyword of segment_func='column'"),
    ({"segment_func_kwargs": {"pixels_per_segment": -5}}, "pixels_per_segment=-5 must be"),
    ({"perturb_baseline": "blak"}, "unknown perturb_baseline 'blak'; did you mean 'black'?"),
    ({"perturb_baseline": float("inf")}, "perturb_baseline=inf must be a finite number"),
    ({"perturb_baseline": None}, "perturb_baseline=None must be"),
    ({"n_mask": 100}, "unknown keyword 'n_mask'; did you mean 'n_masks'?"),
]


@pytest.mark.parametrize(("parameters", "message"), PARAMETERS)
def test_parameters(parameters, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        DataSensitivityConsistency(**parameters)


@pytest.mark.parametrize("parameters", [{"n_masks": np.int64(5)}, {"mask_rate": np.float32(0.5)}, {"seed": np.uint64(2**63)}])
def test_numpy_scalars_are_numbers(parameters):
    DataSensitivityConsistency(**parameters)


class Loud(nn.Module):
    """A model that must not be run."""

    def forward(self, x):
        raise AssertionError("the model was run")


def silent(model, inputs, targets):
    raise AssertionError("explain_func was called")


CALLS = [
    ({"explain_func": None}, "explain_func=None must be a callable; pass quantus.explain"),
    ({"explain_func": "Saliency"}, "explain_func='Saliency' must be a callable"),
    ({"explain_func_kwargs": "Saliency"}, "explain_func_kwargs='Saliency' must be a dict"),
    ({"y_batch": classes(2)}, "x_batch holds 3 inputs and y_batch 2 classes"),
    ({"x_batch": inputs(0, 1, 8, 8), "y_batch": classes(0)}, "x_batch holds 0 inputs"),
    ({"y_batch": np.eye(3)}, "y_batch of shape (3, 3)"),
    ({"y_batch": np.array([0.0, 1.0, 2.0])}, "y_batch of shape (3,) and type float64 must be one class index"),
    ({"x_batch": np.array(["a", "b", "c"])}, "x_batch of shape (3,)"),
    ({"x_batch": inputs(3, 0)}, "x_batch of shape (3, 0) and type float32 must hold numbers"),
    ({"batch_size": 0}, "batch_size=0 must be an integer from 1"),
    ({"model": "resnet"}, "model=builtins.str must be a torch.nn.Module"),
    ({"softmaxx": True}, "unknown keyword 'softmaxx'; did you mean 'softmax'?"),
    ({"explain_func_kwargs": {"inputs": 3}}, "explain_func_kwargs holds 'inputs', which the metric passes itself"),
    ({"channel_first": "yes"}, "channel_first='yes' must be True, False, or None"),
    ({"x_batch": inputs(3, 1, 4, 4, 4)}, "too many axes to infer channel_first; pass True or False"),
    ({"device": "gpux"}, "device='gpux' is none"),
    ({"device": "gpu"}, "device='gpu', but the model is on cpu"),
]


@pytest.mark.parametrize(("arguments", "message"), CALLS)
def test_calls_that_run_nothing(arguments, message):
    call = {"model": Loud(), "x_batch": inputs(3, 1, 8, 8), "y_batch": classes(3), "explain_func": silent, **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        DataSensitivityConsistency()(**call)


MODELS = [
    ({"y_batch": np.array([0, 1, 3])}, "y_batch holds classes from 0 to 3, but the model has classes 0 … 2"),
    ({"y_batch": np.array([0, -1, 2])}, "y_batch holds classes from -1 to 2"),
    ({"model": nn.Flatten(0)}, "the model returned shape (64,) for 1 inputs, but must return (1, classes)"),
    ({"model": nn.Identity()}, "the model returned shape (1, 1, 8, 8)"),
    ({"custom_batch": np.zeros((3, 8, 7), int)}, "must be 3 of shape (8, 8)"),
    ({"custom_batch": np.zeros((2, 8, 8), int)}, "must be 3 of shape (8, 8)"),
    ({"custom_batch": np.zeros((3, 8, 8))}, "custom_batch of type float64 must hold labels"),
    ({"custom_batch": "labels"}, "custom_batch of type <U6 must hold labels"),
    ({"custom_batch": np.zeros((3, 8, 8), int)}, "every image has a single feature"),
]


@pytest.mark.parametrize(("arguments", "message"), MODELS)
def test_calls_that_explain_nothing(arguments, message):
    call = {"model": image_model(), "x_batch": inputs(3, 1, 8, 8), "y_batch": classes(3), "explain_func": silent, **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        DataSensitivityConsistency(segment_func="grid")(**call)


def test_a_single_feature_in_every_image():
    with pytest.raises(ValueError, match=r"a single feature.*pass segment_func_kwargs=\{'pixels_per_segment': 4\}"):
        DataSensitivityConsistency()(image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=silent)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"segment_func_kwargs": {"pixel_per_segment": 9}}, "did you mean 'pixels_per_segment'?"),
        (
            {"segment_func_kwargs": {"patch_size": 2}},
            "unknown keyword of segment_func='slic' in segment_func_kwargs 'patch_size'",
        ),
        ({"segment_func": lambda one: None}, "segment_func returned NoneType"),
        ({"perturb_baseline": lambda one: None, "segment_func": "grid"}, "perturb_baseline returned NoneType"),
        ({"perturb_baseline": lambda one: np.zeros(5), "segment_func": "grid"}, r"perturb_baseline returned shape \(5,\)"),
    ],
)
def test_what_only_the_inputs_show(parameters, message):
    with pytest.raises(ValueError, match=message):
        DataSensitivityConsistency(**parameters)(image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=silent)


def test_parameters_that_are_set_later():
    metric = DataSensitivityConsistency()
    metric.mask_rate = 1.0
    with pytest.raises(ValueError, match=r"mask_rate=1.0 must be"):
        metric(Loud(), inputs(2, 1, 8, 8), classes(2), explain_func=silent)


def test_keywords_of_a_subclass():
    class Short(DataSensitivityConsistency):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)

    with pytest.raises(ValueError, match="unknown keyword 'n_mask'; did you mean 'n_masks'"):
        Short(n_mask=3)


def test_a_segment_func_for_other_inputs():
    with pytest.raises(ValueError, match="segment_func='slic' does not fit inputs of shape"):
        DataSensitivityConsistency(segment_func="slic")(table_model(), inputs(2, 6), classes(2), explain_func=silent)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda x: torch.zeros(len(x), 1, 4, 4), r"attributions of shape \(1, 1, 4, 4\) for inputs of shape \(1, 1, 8, 8\)"),
        (lambda x: torch.zeros(len(x) + 1, 8, 8), r"attributions of shape \(2, 8, 8\)"),
        (lambda x: torch.zeros(()), r"attributions of shape \(\)"),
        (lambda x: torch.zeros(len(x)), r"attributions of shape \(1,\)"),
        (lambda x: torch.zeros(len(x), 8, 8, dtype=torch.complex64), r"attributions of shape \(1, 8, 8\)"),
        (lambda x: None, "explain_func returned NoneType"),
        (lambda x: "map", "explain_func returned str"),
    ],
)
def test_attributions_that_do_not_fit(returned, message):
    with pytest.raises(ValueError, match=message):
        DataSensitivityConsistency(segment_func="grid")(
            image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=lambda model, inputs, targets: returned(inputs)
        )


def test_good_calls_do_run():
    """The same call as above, with an explanation that fits."""
    scores = DataSensitivityConsistency(n_masks=4, segment_func="grid", disable_warnings=True)(
        image_model(), inputs(2, 1, 8, 8), classes(2), explain_func=gradient
    )
    assert len(scores) == 2


@pytest.mark.parametrize("metric", [DataSensitivityConsistency(n_masks=20), ParameterSensitivityConsistency(n_masks=20)])
def test_a_frame_has_the_scores_of_its_numbers(metric):
    frame = pd.DataFrame(inputs(3, 6), columns=list("abcdef")).assign(b=[True, False, True])
    expected = metric(table_model(), frame.to_numpy(np.float64), classes(3), explain_func=gradient)
    assert metric(table_model(), frame, pd.Series(classes(3), index=[2, 1, 0]), explain_func=gradient) == expected
    with pytest.raises(ValueError, match=r"x_batch is a DataFrame whose columns 'b' \(.*\) are not numeric; encode them"):
        metric(table_model(), frame.assign(b="x"), classes(3), explain_func=gradient)
