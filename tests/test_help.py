"""What `help` prints of the public functions is short."""

import inspect

import pytest

import quantus_senc
from quantus_senc import DataSensitivityConsistency, plot

FUNCTIONS = [
    *(DataSensitivityConsistency.__call__, quantus_senc.explain, quantus_senc.explain_random),
    *(quantus_senc.compare, quantus_senc.expected_time),
    *(plot.attributions, plot.data_sensitivity, plot.layer_scores),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_types_of_arrays_have_their_names(function):
    signature = str(inspect.signature(function))
    assert "numpy._typing" not in signature
    assert len(signature) < 1500
