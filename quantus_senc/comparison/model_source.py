"""Models that are named by a function: on the command line, and for workers to which they cannot be sent."""

import importlib
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from quantus_senc.comparison.failures import error_line
from quantus_senc.core.checks import check_known
from quantus_senc.model.state import seeded


def loaded(model: nn.Module | str | bytes) -> nn.Module:
    """A model as it is, from its pickle, or from the function that makes it, as for `model_from`."""
    if isinstance(model, bytes):
        unpickled: nn.Module = pickle.loads(model)
        return unpickled
    return model_from(model) if isinstance(model, str) else model


def model_from(specification: str, device: str | None = None) -> nn.Module:
    """The model that a function returns. Global generators are seeded for the call, so that it is the same in every process.

    Parameters
    ----------
    specification
        "package.module:function", importable from the working directory.
    device
        Where it is moved: a name of a device in torch, such as "cpu" or "cuda"; None for where it is.

    Raises
    ------
    ValueError
        If there is no such function or device, or the function raises or returns something else.
    """
    function = function_from("model", specification)
    try:
        model = seeded(0, function)
    except (Exception, SystemExit) as error:  # and so may the function
        raise ValueError(f"model {specification!r}: the function raised {error_line(error)}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"model {specification!r}: the function returned a {type(model).__name__}, not a torch.nn.Module")
    try:
        return model if device is None else model.to(torch.device(device))
    except Exception as error:  # torch raises many types of errors for a missing device
        raise ValueError(f"device {device!r}: {error_line(error)}") from error


def function_from(parameter: str, specification: str) -> Callable[..., Any]:
    """The function that "package.module:function" names, importable from the working directory.

    Parameters
    ----------
    parameter
        What error messages call it.
    specification
        The name.

    Raises
    ------
    ValueError
        If there is no such function.
    """
    module_name, colon, name = specification.partition(":")
    if not (module_name and colon and name):
        raise ValueError(f"{parameter} {specification!r} must be module:function, such as my_models:trained")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # an import may raise anything
        raise ValueError(f"{parameter} {specification!r}: {module_name!r} cannot be imported ({error_line(error)})") from error
    finally:
        sys.path.pop(0)
    check_known(f"function of {module_name!r}", name, [key for key, value in vars(module).items() if callable(value)])
    function: Callable[..., Any] = getattr(module, name)
    return function
