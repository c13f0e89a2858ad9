"""What is measured: models with their images, and explanation methods as Captum, Quantus and quantus_senc run them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import quantus
import torch
from captum import attr
from torch import Tensor, nn

import quantus_senc
from benchmarks.models import model_and_inputs
from quantus_senc._chunks import BatchLimit
from quantus_senc._explain import Subject
from quantus_senc._segment import segment

N_STEPS = 16  # of Integrated Gradients
METHODS = ("Saliency", "IntegratedGradients", "DeepLift", "GradCAM")
Bare = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Row:
    """A model on its device, some images, their classes and superpixels (which are made once for an image)."""

    name: str
    model: nn.Module
    inputs: Tensor
    targets: Tensor
    labels: Tensor

    @classmethod
    def of(cls, name: str, device: torch.device) -> "Row":
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
        """Where the model is."""
        return self.inputs.device

    def first_conv(self) -> str:
        """The name of the first convolution."""
        return self._layers(nn.Conv2d)[0]

    def last_conv(self) -> str:
        """The name of the last convolution."""
        return self._layers(nn.Conv2d)[-1]

    def last_linear(self) -> str:
        """The name of the last fully connected layer."""
        return self._layers(nn.Linear)[-1]

    def pass_size(self, method: str) -> int:
        """How many perturbed samples go into one pass by default."""
        how = by_own(self, method)
        _, *load = Subject(self.model, {}, True, **how, normalise_func=None, absolute=False).tried(*self.arrays)
        return BatchLimit("auto", self.inputs[0].nbytes, self.device, lambda: None, *load).size

    def _layers(self, kind: type[nn.Module]) -> list[str]:
        return [name for name, module in self.model.named_modules() if isinstance(module, kind)]


def bare(row: Row, method: str) -> Bare:
    """Captum's method as it stands, on tensors."""
    model = row.model
    if method == "GradCAM":
        cam, size = attr.LayerGradCam(model, model.get_submodule(row.last_conv())), row.inputs.shape[2:]
        return lambda x, y: nn.functional.interpolate(cam.attribute(x, y), size, mode="bilinear").detach()
    if method == "IntegratedGradients":
        gradients = attr.IntegratedGradients(model)
        return lambda x, y: gradients.attribute(x, target=y, n_steps=N_STEPS, method="riemann_trapezoid").detach()
    explainer = getattr(attr, method)(model)
    return lambda x, y: explainer.attribute(x, target=y).detach()


def explain_16_steps(
    model: nn.Module, inputs: np.ndarray | Tensor, targets: np.ndarray | Tensor, device: Any = None, **kwargs: Any
) -> np.ndarray:
    """Integrated Gradients as `quantus.explain` does them, which ignores `n_steps` and always takes 10."""
    device = next(model.parameters()).device
    inputs = torch.as_tensor(inputs, dtype=torch.float32, device=device)
    targets = torch.as_tensor(targets, device=device)
    gradients = attr.IntegratedGradients(model.eval())
    maps = gradients.attribute(inputs, target=targets, n_steps=N_STEPS, method="riemann_trapezoid")
    return maps.sum(1, keepdim=True).detach().cpu().numpy()


def by_quantus(row: Row, method: str) -> dict[str, Any]:
    """`explain_func` and its keywords, with Quantus's own function."""
    if method == "IntegratedGradients":
        return {"explain_func": explain_16_steps, "explain_func_kwargs": {}}
    kwargs = {"method": method, "device": str(row.device)}
    if method == "GradCAM":
        size = tuple(row.inputs.shape[2:])
        layer = f"model.get_submodule({row.last_conv()!r})"  # Quantus evaluates this
        kwargs |= {"method": "LayerGradCam", "gc_layer": layer, "interpolate": size, "interpolate_mode": "bilinear"}
    return {"explain_func": quantus.explain, "explain_func_kwargs": kwargs}


def by_own(row: Row, method: str) -> dict[str, Any]:
    """`explain_func` and its keywords, with `quantus_senc.explain`."""
    more = {"GradCAM": {"layer": row.last_conv()}, "IntegratedGradients": {"n_steps": N_STEPS}}.get(method, {})
    return {"explain_func": quantus_senc.explain, "explain_func_kwargs": {"method": method} | more}
