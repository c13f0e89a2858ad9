from . import plot as plot
from .comparison.compare import compare as compare
from .comparison.expected_time import expected_time as expected_time
from .comparison.named_methods import available_methods as available_methods
from .comparison.named_metrics import available_metrics as available_metrics
from .comparison.named_metrics import default_metrics as default_metrics
from .comparison.result import Comparison as Comparison
from .controls import CONTROLS as CONTROLS
from .controls import explain_blob as explain_blob
from .controls import explain_blurred_noise as explain_blurred_noise
from .controls import explain_fixed_random as explain_fixed_random
from .controls import explain_input as explain_input
from .controls import explain_random as explain_random
from .controls import explain_sobel as explain_sobel
from .core.record import Sensitivity as Sensitivity
from .explainers.explain import explain as explain
from .metrics.data_senc import DataSensitivityConsistency as DataSensitivityConsistency
from .metrics.derived import StandardError as StandardError
from .metrics.derived import TopKAgreement as TopKAgreement
from .metrics.parameter_senc import ParameterSensitivityConsistency as ParameterSensitivityConsistency
from .metrics.register import register as register
from .model.adapted import adapt as adapt

__version__: str
