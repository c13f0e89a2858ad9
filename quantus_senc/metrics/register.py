"""Make the metrics known to Quantus."""

from typing import Any, cast

from quantus.helpers.constants import AVAILABLE_METRICS

from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.parameter_senc import ParameterSensitivityConsistency

METRICS = (DataSensitivityConsistency, ParameterSensitivityConsistency)


def register() -> None:
    """List the metrics in `quantus.available_metrics()`; calling it again changes nothing.

    Examples
    --------
    >>> import quantus, quantus_senc
    >>> quantus_senc.register()
    >>> "Data Sensitivity Consistency" in quantus.available_metrics()["Faithfulness"]
    True
    """
    for metric in METRICS:
        category = cast(dict[str, Any], AVAILABLE_METRICS[metric.evaluation_category.value])
        category[metric.name] = metric
