"""The explanation methods that a comparison runs, by name."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import quantus
from captum.attr import Attribution
from quantus.helpers.constants import AVAILABLE_XAI_METHODS_CAPTUM

from quantus_senc.comparison.names import by_name
from quantus_senc.controls import CONTROLS
from quantus_senc.core.checks import check_explain_func, check_known
from quantus_senc.core.wording import in_words
from quantus_senc.explainers.captum_method import CaptumMethod
from quantus_senc.explainers.explain import explain
from quantus_senc.explainers.methods import METHODS, method_named

DEFAULT_METHODS = ("Saliency", "GuidedBackprop", "IntegratedGradients", "LRP", "GradCAM", "DeepLift", "random")
_CONTROLS_OF_QUANTUS = {"Control Var. Sobel Filter": "Sobel", "Control Var. Random Uniform": "random"}


@dataclass(frozen=True)
class Method:
    """An explanation method in the form in which metrics of Quantus take it."""

    explain_func: Callable[..., Any]
    explain_func_kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def function_name(self) -> str:
        """The name of the function, or of the class of another callable."""
        return getattr(self.explain_func, "__name__", type(self.explain_func).__name__)

    @property
    def is_control(self) -> bool:
        """Whether it is one of `CONTROLS`, which carry no information about the model."""
        function = self.explain_func
        while isinstance(function, functools.partial):
            function = function.func
        return function in CONTROLS.values()

    def __str__(self) -> str:
        arguments = ", ".join(f"{name}={in_words(value)}" for name, value in self.explain_func_kwargs.items())
        return f"{self.function_name}({arguments})"


def available_methods() -> list[str]:
    """Names of explanation methods and controls.

    Examples
    --------
    >>> available_methods()[:2], available_methods()[-2:]
    (['Saliency', 'Gradient'], ['blob', 'input'])
    """
    return [*METHODS, *CONTROLS]


def default_methods(shape: tuple[int, ...]) -> tuple[str, ...]:
    """The six methods of the paper, and random maps; no Grad-CAM for tables (B, F).

    Examples
    --------
    >>> [name for name in DEFAULT_METHODS if name not in default_methods((8, 6))]
    ['GradCAM']
    """
    return tuple(name for name in DEFAULT_METHODS if len(shape) > 2 or name != "GradCAM")


def named_methods(methods: str | Sequence[str] | Mapping[str, Any]) -> dict[str, Method]:
    """The methods of a comparison, by the names that they have in it.

    Parameters
    ----------
    methods
        Names of methods of `quantus_senc.explain`, of controls, or of other methods of `quantus.explain`, as it writes them; or
        a dict from any name to one of these names, to keywords of `explain` (whose `method` is the name of the entry, unless
        it is among them), to an `explain_func`, or to a pair of an `explain_func` and its keywords.

    Raises
    ------
    ValueError
        If a method is unknown, with the nearest known name; or if a name cannot be used, as `by_name` says.
    """
    return {name: _method(name, value) for name, value in by_name("methods", methods, available_methods()).items()}


def _method(name: str, value: Any) -> Method:
    if isinstance(value, str):
        return _available_method(value)
    if isinstance(value, Mapping):
        method = _available_method(str(value.get("method", name)))
        kwargs = {key: item for key, item in value.items() if key != "method"}
        return Method(method.explain_func, method.explain_func_kwargs | kwargs)
    explain_func, kwargs = value if isinstance(value, tuple) and len(value) == 2 else (value, {})
    explain_func = CaptumMethod(explain_func) if isinstance(explain_func, Attribution) else explain_func
    check_explain_func(explain_func, kwargs)
    return Method(explain_func, dict(kwargs))


def _available_method(name: str) -> Method:
    """A method of ours, or else one of Quantus's, by the name that it has there."""
    name = _CONTROLS_OF_QUANTUS.get(name, name)
    if name in CONTROLS:
        return Method(CONTROLS[name])
    try:
        return Method(explain, {"method": method_named(name)})
    except ValueError:
        if name in AVAILABLE_XAI_METHODS_CAPTUM:
            return Method(quantus.explain, {"method": name})
        check_known("method", name, available_methods())
        raise
