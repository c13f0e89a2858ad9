"""Models as they are have the comparison of the same models wrapped by hand."""

import numpy as np
import pandas as pd
import pytest
import quantus
from torch import nn

from quantus_senc import adapt, compare
from quantus_senc.comparison.quantus_per_image import prediction_arguments
from tests import adapted_models as returned
from tests.adapted_models import Returns, scores_alone
from tests.comparison.test_workers import Engine
from tests.small_models import classes, image_model, inputs

X, Y = inputs(3, 1, 8, 8), classes(3)
ONLY = {"methods": ["Saliency"], "metrics": ["SenC", "Pixel Flipping", "MPRT", "Random Logit"]}
FEATURES = {"segment_func": "grid", "segment_func_kwargs": {"patch_size": 4}, "n_masks": 20}


def compared(model, **kwargs):
    return compare(model, X, Y, **ONLY | FEATURES | kwargs)


def test_what_is_recognised_has_the_scores_of_the_model_wrapped_by_hand():
    with pytest.warns(UserWarning, match="'scores' is taken for the scores of the classes") as warned:
        result = compared(Returns(image_model(), returned.as_dict))
    assert len([one for one in warned if "is taken for" in str(one.message)]) == 1
    pd.testing.assert_frame_equal(result.scores, compared(Returns(image_model(), scores_alone)).scores)
    assert result.scores["score"].notna().all()
    assert result.settings["model"]["class"] == "Returns(output='scores', activation='softmax')"


class Sigmoids(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = image_model()

    def forward(self, x):
        return self.network(x).sigmoid()


def test_metrics_of_quantus_take_the_predictions_that_a_model_is_adapted_to():
    """Pixel Flipping would take the softmax of the labels, and metrics of logits and maps none."""
    adapted = adapt(Returns(image_model(), scores_alone), activation="sigmoid")
    scores = compared(adapted, metrics=["Pixel Flipping"]).scores["score"]
    whole = compared(adapt(Sigmoids(), activation=None), metrics=["Pixel Flipping"]).scores["score"]
    np.testing.assert_allclose(scores, whole)
    softmaxed = compared(Returns(image_model(), scores_alone), metrics=["Pixel Flipping"]).scores["score"]
    assert (abs(scores - softmaxed) > 0.01).all()
    asked, raw = (compared(adapted, metrics=["Pixel Flipping"], softmax=softmax).scores["score"] for softmax in (True, False))
    np.testing.assert_array_equal(asked, scores)
    assert (abs(scores - raw) > 0.01).all()


def test_metrics_that_take_no_predictions_are_called_as_ever():
    adapted = adapt(nn.Flatten(), activation=None)
    others = [quantus.EfficientMPRT(), quantus.FaithfulnessCorrelation(), lambda model, **call: [0.0]]
    assert [prediction_arguments(adapted, metric) for metric in others] == [{}, {}, {}]
    assert prediction_arguments(adapted, quantus.PixelFlipping())
    assert prediction_arguments(nn.Flatten(), quantus.PixelFlipping()) == {}


OTHERS = [
    {"output": "scores"},
    {"output": "others", "activation": "sigmoid"},
    {"output": lambda given: given["scores"] * 1, "activation": "sigmoid"},
    {"output": "scores", "activation": None, "spread": 2},
]


def as_two(scores, x):
    return {"scores": scores, "others": scores}


@pytest.mark.parametrize("arguments", OTHERS)
def test_a_run_goes_on_with_the_same_adapted_model_alone(arguments, tmp_path):
    adapted = adapt(Returns(image_model(), as_two), output="scores", activation="sigmoid")
    result = compared(adapted, metrics="SenC", folder=tmp_path)
    again = adapt(Returns(image_model(), as_two), output="scores", activation="sigmoid")
    pd.testing.assert_frame_equal(compared(again, metrics="SenC", folder=tmp_path).scores, result.scores)
    with pytest.raises(ValueError, match="other than in the call that began it are the model"):
        compared(adapt(Returns(image_model(), as_two), **arguments), metrics="SenC", folder=tmp_path)


def test_functions_of_the_same_name_are_told_apart(tmp_path):
    first = adapt(Returns(image_model(), as_two), output=lambda given: given["scores"])
    second = adapt(Returns(image_model(), as_two), output=lambda given: given["others"])
    assert repr(first) == repr(second)
    compared(first, metrics="SenC", folder=tmp_path)
    with pytest.raises(ValueError, match="other than in the call that began it are parameter 'adapt'"):
        compared(second, metrics="SenC", folder=tmp_path)


def test_an_adapted_model_is_sent_to_workers():
    adapted = adapt(Returns(image_model(), returned.as_dict), output="scores")
    sent = compared(adapted, metrics=["SenC"], executor=Engine())
    pd.testing.assert_frame_equal(sent.scores, compared(adapted, metrics=["SenC"]).scores)


def test_the_softmax_of_one_value_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match=r"the softmax of one value is always 1, .*activation='binary'\)"):
        compared(image_model(classes=1))
