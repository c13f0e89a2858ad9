"""Sensitivity Consistency (Tan, WACV 2025): metrics of explanations for Quantus.

References
----------
Hanxiao Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025.
"""

from quantus_senc import plot as plot
from quantus_senc._compare import compare as compare
from quantus_senc._comparison import Comparison as Comparison
from quantus_senc._consistency import Sensitivity as Sensitivity
from quantus_senc._controls import CONTROLS as CONTROLS
from quantus_senc._controls import explain_blob as explain_blob
from quantus_senc._controls import explain_blurred_noise as explain_blurred_noise
from quantus_senc._controls import explain_fixed_random as explain_fixed_random
from quantus_senc._controls import explain_input as explain_input
from quantus_senc._controls import explain_random as explain_random
from quantus_senc._controls import explain_sobel as explain_sobel
from quantus_senc._data import DataSensitivityConsistency as DataSensitivityConsistency
from quantus_senc._explainer import explain as explain
from quantus_senc._method_set import available_methods as available_methods
from quantus_senc._metric_set import available_metrics as available_metrics
from quantus_senc._metric_set import default_metrics as default_metrics
from quantus_senc._parameter import ParameterSensitivityConsistency as ParameterSensitivityConsistency
from quantus_senc._register import register as register
from quantus_senc._views import StandardError as StandardError
from quantus_senc._views import TopKAgreement as TopKAgreement

__version__ = "0.1.0"
