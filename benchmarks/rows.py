"""What is measured: models with their images, and explanation methods as Captum and Quantus run them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import quantus
import torch
from captum import attr
from torch import Tensor, nn

from benchmarks.calls import N_STEPS, explain_by_senc, layer_names
from benchmarks.models import model_and_inputs
from quantus_senc.core.segment import segment
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.pass_size import BatchLimit, free_memory

Explain = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """A model on its device, images, their classes and superpixels.

    Attributes
    ----------
    labels
        The superpixels, which are the same for all masks of an image; on the host.
    """

    name: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    labels: Tensor

    @classmethod
    def from_name(cls, name: str, device: torch.device) -> "Row":
        """One of `benchmarks.models.MODELS`."""
        model, inputs, targets = model_and_inputs(name)
        labels = segment(inputs, "slic")
        return cls(name, model.to(device), inputs.to(device), targets.to(device), labels)

    @property
    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """Images and classes, as Quantus takes them."""
        return self.inputs.cpu().numpy(), self.targets.cpu().numpy()

    @property
    def device(self) -> torch.device:
        """The device of the model."""
        return self.inputs.device

    @property
    def last_conv(self) -> str:
        """The name of the last convolution."""
        return layer_names(self.model, nn.Conv2d)[-1]

    def pass_size(self, method: str, device: torch.device | None = None) -> int:
        """How many perturbed samples a pass has by default, here or on another device."""
        explaining = explain_by_senc(self.model, method)
        explained = ExplainedModel(self.model, {}, True, **explaining, normalise_func=None, absolute=False)
        _, load = explained.tried(*self.arrays)
        device = device or self.device
        return BatchLimit("auto", load, device, free_memory=free_memory(device)).size


def explain_by_captum(row: Row, method: str) -> Explain:
    """Captum's method as it is, on tensors."""
    model = row.model
    if method == "GradCAM":
        cam, size = attr.LayerGradCam(model, model.get_submodule(row.last_conv)), row.inputs.shape[2:]
        return lambda x, y: nn.functional.interpolate(cam.attribute(x, y), size, mode="bilinear").detach()
    if method == "IntegratedGradients":
        gradients = attr.IntegratedGradients(model)
        return lambda x, y: gradients.attribute(x, target=y, n_steps=N_STEPS, method="riemann_trapezoid").detach()
    explainer = getattr(attr, method)(model)
    return lambda x, y: explainer.attribute(x, target=y).detach()


def explain_16_steps(
    model: nn.Module, inputs: np.ndarray | Tensor, targets: np.ndarray | Tensor, device: Any = None, **kwargs: Any
) -> np.ndarray:
    """Integrated Gradients as in `quantus.explain`, which ignores `n_steps` and always takes 10."""
    device = next(model.parameters()).device
    inputs = torch.as_tensor(inputs, dtype=torch.float32, device=device)
    targets = torch.as_tensor(targets, device=device)
    gradients = attr.IntegratedGradients(model.eval())
    maps = gradients.attribute(inputs, target=targets, n_steps=N_STEPS, method="riemann_trapezoid")
    return maps.sum(1, keepdim=True).detach().cpu().numpy()


def explain_by_quantus(row: Row, method: str) -> dict[str, Any]:
    """`explain_func` and its keywords, with `quantus.explain`."""
    if method == "IntegratedGradients":
        return {"explain_func": explain_16_steps, "explain_func_kwargs": {}}
    kwargs = {"method": method, "device": str(row.device)}
    if method == "GradCAM":
        size = tuple(row.inputs.shape[2:])
        layer = f"model.get_submodule({row.last_conv!r})"  # Quantus evaluates this
        kwargs |= {"method": "LayerGradCam", "gc_layer": layer, "interpolate": size, "interpolate_mode": "bilinear"}
    return {"explain_func": quantus.explain, "explain_func_kwargs": kwargs}
