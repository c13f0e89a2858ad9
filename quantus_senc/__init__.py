"""Sensitivity Consistency (Tan, WACV 2025): metrics of explanations for Quantus.

`DataSensitivityConsistency` and `ParameterSensitivityConsistency` are the metrics, for `quantus.evaluate` or by themselves;
`compare` puts them beside other metrics, and returns a `Comparison`; `explain` explains, and the methods of `CONTROLS` explain
nothing; `adapt` makes a model that returns scores of classes from one that returns something else.

References
----------
Hanxiao Tan, "Evaluating Sensitivity Consistency of Explanations", WACV 2025.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)  # names are imported when they are used

__version__ = "0.1.0"
