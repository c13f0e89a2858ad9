"""The expression that makes a metric, which is its `repr`."""

import inspect
from typing import Any

import numpy as np
from quantus.functions.normalise_func import normalise_by_max

from quantus_senc.core.checks import parameter_names
from quantus_senc.core.wording import in_words

_QUANTUS_TAKES: dict[str, Any] = {  # in place of None
    "aggregate_func": np.mean,
    "normalise_func": normalise_by_max,
    "normalise_func_kwargs": {},
}


def constructor_call(metric: Any) -> str:
    """The class of a metric with the parameters that are not the default ones. Functions stand there by their names.

    Examples
    --------
    >>> from quantus_senc import DataSensitivityConsistency
    >>> constructor_call(DataSensitivityConsistency(500, estimator="regression", perturb_baseline="blur"))
    "DataSensitivityConsistency(n_masks=500, estimator='regression', perturb_baseline='blur')"
    """
    defaults, kept = _defaults(type(metric)), vars(metric)
    given = {name: kept.get(f"_{name}", kept.get(name)) for name in defaults if kept.keys() & {name, f"_{name}"}}
    if given.get("normalise_func_kwargs"):  # Quantus puts them into the function, too
        given["normalise_func"] = given["normalise_func"].func
    written = {name: in_words(value) for name, value in given.items()}
    changed = [f"{name}={text}" for name, text in written.items() if text != in_words(defaults[name])]
    return f"{type(metric).__name__}({', '.join(changed)})"


def _defaults(cls: type) -> dict[str, Any]:
    """The parameters that a metric has if nothing is passed; of those without a default an empty one."""
    makers = [vars(base)["__init__"] for base in reversed(cls.__mro__[:-1]) if "__init__" in vars(base)]
    defaults = {name: p.default for maker in makers for name, p in inspect.signature(maker).parameters.items()}
    defaults = {name: defaults[name] for name in parameter_names(cls, "__init__")}
    return {name: _QUANTUS_TAKES.get(name) if value is None else value for name, value in defaults.items()}
