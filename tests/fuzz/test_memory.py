"""Many calls take no more memory than few, and keep no model."""

import gc
import os
import sys
import weakref

import numpy as np
import pytest
import torch

from quantus_senc import DataSensitivityConsistency, ParameterSensitivityConsistency
from tests.fuzz import budget
from tests.small_models import gradient, inputs, table_model

X, Y = inputs(4, 6), np.array([0, 1, 2, 0])
METRICS = {
    "data": DataSensitivityConsistency(n_masks=5000),
    "parameters": ParameterSensitivityConsistency(n_masks=5000, layers=["0"]),
}
_N_CALLS, _N_FIRST = 500, 50
_MOST_KEPT = 50  # calls whose records may be in memory at the end, a tenth of all


def resident_bytes():
    """Memory of this process, without what the system has taken back."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def bytes_of(record):
    """Of the tensors of a record."""
    return sum(value.nbytes for value in vars(record).values() if isinstance(value, torch.Tensor))


@pytest.mark.skipif(not budget.MANY, reason="takes minutes; make fuzz runs it")
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("name", METRICS)
def test_many_calls_keep_nothing(name):
    metric, models, sizes = METRICS[name], [], []
    for call in range(_N_CALLS):
        model = table_model()
        models.append(weakref.ref(model))
        metric(model, X, Y, explain_func=gradient)
        if call == _N_FIRST:
            gc.collect()
            sizes.append(resident_bytes())
    del model
    gc.collect()
    records = metric.sensitivities if name == "data" else metric.sensitivities["0"]
    assert not any(model() is not None for model in models)
    assert resident_bytes() - sizes[0] < _MOST_KEPT * sum(map(bytes_of, records))
