"""What MetaQuantus perturbs: the images or the weights, a little or so much that predictions change."""

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Perturbation:
    """Attributes
    ----------
    of
        "input": uniform noise in [-size, size] is added to the images, and values below the darkest one become that.
        "model": each weight and bias is multiplied by a normal number of mean 1 and standard deviation `size`.
    is_minor
        Whether predictions, and so scores, should stay.
    size
        See `of`.
    """

    of: str
    is_minor: bool
    size: float

    @property
    def name(self) -> str:
        """Such as "minor, input"."""
        return f"{'minor' if self.is_minor else 'disruptive'}, {self.of}"

    def apply(self, model: nn.Module, x: Tensor, seed: int) -> tuple[nn.Module, Tensor]:
        """A model and images, of which one is a perturbed copy."""
        generator = torch.Generator().manual_seed(seed)
        if self.of == "input":
            noise = torch.rand(x.shape, generator=generator) * 2 - 1
            return model, (x + self.size * noise).clamp(min=x.min().item())
        noisy = copy.deepcopy(model)
        with torch.no_grad():
            for values in noisy.parameters():
                values *= 1 + self.size * torch.randn(values.shape, generator=generator).to(values.device)
        return noisy, x


def perturbations(size: float, size_of_model: float) -> tuple[Perturbation, ...]:
    """Minor and disruptive noise in the images and in the model, minor noise in MetaQuantus's size.

    Parameters
    ----------
    size, size_of_model
        Of disruptive noise in the images, and in the model.
    """
    return (
        Perturbation("input", True, 0.001),
        Perturbation("input", False, size),
        Perturbation("model", True, 0.001),
        Perturbation("model", False, size_of_model),
    )


# For MNIST (Hedström et al., TMLR 2023; experiments/run_benchmarking.py of the package).
PUBLISHED = perturbations(5.0, 2.0)
