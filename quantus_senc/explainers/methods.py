"""The table of explanation methods."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from quantus_senc.core.checks import check_known
from quantus_senc.explainers.ablation import feature_ablation, occlusion
from quantus_senc.explainers.deep_lift import deep_lift, prepare_deep_lift
from quantus_senc.explainers.grad_cam import grad_cam, prepare_grad_cam
from quantus_senc.explainers.gradients import gradient, input_x_gradient, integrated_gradients, saliency, smooth_grad
from quantus_senc.explainers.guided_backprop import guided_backprop, prepare_guided_backprop
from quantus_senc.explainers.lrp import lrp, prepare_lrp
from quantus_senc.explainers.rise import rise
from quantus_senc.explainers.surrogates import kernel_shap, lime


def _model_itself(model: nn.Module, inputs: Tensor) -> tuple[nn.Module]:
    return (model,)


@dataclass(frozen=True)
class Method:
    """An explanation method in two steps: once for a model, and for each batch of inputs.

    Attributes
    ----------
    attribute
        Called as attribute(\\*prepared, inputs, targets, \\*\\*keywords) for each batch.
    prepare
        Called as prepare(model, inputs, \\*\\*keywords) once; returns `prepared`, a tuple. By default it holds the model.
    """

    attribute: Callable[..., Tensor]
    prepare: Callable[..., tuple[Any, ...]] = _model_itself

    def split_keywords(self, name: str, keywords: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The keywords of `prepare`, and those of `attribute`.

        Raises
        ------
        ValueError
            If neither takes a keyword. The message calls the method `name`.
        """
        prepares, attributes = _keyword_names(self.prepare), _keyword_names(self.attribute)
        for keyword in keywords:
            check_known(f"keyword of method={name!r}", keyword, prepares + attributes)
        return {k: v for k, v in keywords.items() if k in prepares}, {k: v for k, v in keywords.items() if k in attributes}


METHODS = {
    "Saliency": Method(saliency),
    "Gradient": Method(gradient),
    "InputXGradient": Method(input_x_gradient),
    "IntegratedGradients": Method(integrated_gradients),
    "SmoothGrad": Method(smooth_grad),
    "GuidedBackprop": Method(guided_backprop, prepare_guided_backprop),
    "DeepLift": Method(deep_lift, prepare_deep_lift),
    "LRP": Method(lrp, prepare_lrp),
    "GradCAM": Method(grad_cam, prepare_grad_cam),
    "Occlusion": Method(occlusion),
    "FeatureAblation": Method(feature_ablation),
    "KernelShap": Method(kernel_shap),
    "Lime": Method(lime),
    "RISE": Method(rise),
}
_OTHER_NAMES = {"layergradcam": "GradCAM", "ig": "IntegratedGradients", "vanillagradients": "Gradient"}


def method_named(name: str) -> str:
    """The name of a method as in METHODS. Case, blanks and hyphens are ignored.

    Raises
    ------
    ValueError
        If there is no such method. The message suggests the nearest name.

    Examples
    --------
    >>> method_named("Integrated Gradients"), method_named("LayerGradCam"), method_named("Grad-CAM")
    ('IntegratedGradients', 'GradCAM', 'GradCAM')
    """
    plain = re.sub(r"[\W_]", "", str(name)).lower()
    known = {one.lower(): one for one in METHODS} | _OTHER_NAMES
    if plain not in known:
        check_known("method", str(name), METHODS)
    return known[plain]


def _keyword_names(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]
