"""Sensitivity Consistency (Tan, WACV 2025): metrics of explanations for Quantus.

`DataSensitivityConsistency` and `ParameterSensitivityConsistency` are the metrics, for `quantus.evaluate` or by themselves;
`compare` puts them beside other metrics, and returns a `Comparison`; `explain` explains, and the methods of `CONTROLS` explain
nothing; `adapt` makes a model that returns scores of classes from one that returns something else.

References
----------
Hanxiao Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025.
"""

from quantus_senc import plot as plot
from quantus_senc.comparison.compare import compare as compare
from quantus_senc.comparison.expected_time import expected_time as expected_time
from quantus_senc.comparison.named_methods import available_methods as available_methods
from quantus_senc.comparison.named_metrics import available_metrics as available_metrics
from quantus_senc.comparison.named_metrics import default_metrics as default_metrics
from quantus_senc.comparison.result import Comparison as Comparison
from quantus_senc.controls import CONTROLS as CONTROLS
from quantus_senc.controls import explain_blob as explain_blob
from quantus_senc.controls import explain_blurred_noise as explain_blurred_noise
from quantus_senc.controls import explain_fixed_random as explain_fixed_random
from quantus_senc.controls import explain_input as explain_input
from quantus_senc.controls import explain_random as explain_random
from quantus_senc.controls import explain_sobel as explain_sobel
from quantus_senc.core.record import Sensitivity as Sensitivity
from quantus_senc.explainers.explain import explain as explain
from quantus_senc.metrics.data_senc import DataSensitivityConsistency as DataSensitivityConsistency
from quantus_senc.metrics.derived import StandardError as StandardError
from quantus_senc.metrics.derived import TopKAgreement as TopKAgreement
from quantus_senc.metrics.parameter_senc import ParameterSensitivityConsistency as ParameterSensitivityConsistency
from quantus_senc.metrics.register import register as register
from quantus_senc.model.adapted import adapt as adapt

__version__ = "0.1.0"
