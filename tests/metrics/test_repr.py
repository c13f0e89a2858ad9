"""What Python prints of a metric makes it again."""

import numpy as np
import pytest
from quantus.functions.normalise_func import normalise_by_max, normalise_by_negative

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency


def halves(image):
    return np.arange(image.shape[-1]) // 2


NAMES = {
    "DataSensitivityConsistency": DataSensitivityConsistency,
    "ParameterSensitivityConsistency": ParameterSensitivityConsistency,
    "halves": halves,
    "normalise_by_negative": normalise_by_negative,
}
METRICS = [
    "DataSensitivityConsistency()",
    "DataSensitivityConsistency(n_masks=500, estimator='regression', seed=7)",
    "DataSensitivityConsistency(n_masks='all', segment_func=halves, perturb_baseline='blur', disable_warnings=True)",
    "DataSensitivityConsistency(segment_func_kwargs={'n_segments': 20}, abs=True, normalise=True, display_progressbar=True)",
    "DataSensitivityConsistency(normalise_func=normalise_by_negative, normalise_func_kwargs={'normalise_axes': (1,)})",
    "DataSensitivityConsistency(n_masks=500).top_k(3)",
    "ParameterSensitivityConsistency(layers=['0', '3'], return_layer_scores=True, strategy='hooks')",
    "ParameterSensitivityConsistency(tolerance=0.05).standard_error()",
]


@pytest.mark.parametrize("text", METRICS)
def test_it_can_be_typed_back(text):
    assert repr(eval(text, NAMES)) == text


def test_default_parameters_are_left_out_whether_they_are_passed_or_not():
    metric = DataSensitivityConsistency(5000, mask_rate=0.8, normalise_func=normalise_by_max, aggregate_func=np.mean)
    assert repr(metric) == "DataSensitivityConsistency()"


def test_parameters_are_those_of_now():
    metric = DataSensitivityConsistency(n_masks=500)
    metric.n_masks = 200
    assert repr(metric.with_estimator("regression")) == "DataSensitivityConsistency(n_masks=200, estimator='regression')"


def test_a_subclass_has_its_own_name_and_parameters():
    class Mine(DataSensitivityConsistency):
        def __init__(self, weight, **kwargs):
            super().__init__(**kwargs)
            self.weight = weight

    assert repr(Mine(3, n_masks=50)) == "Mine(weight=3, n_masks=50)"
