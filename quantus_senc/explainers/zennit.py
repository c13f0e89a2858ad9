"""LRP by composites of rules from zennit, which is installed with `quantus-senc[zennit]`."""

from typing import Any

import torch
from torch import Tensor, nn

from quantus_senc.core.checks import check_known


def as_composite(composite: Any) -> Any:
    """A composite of zennit's, which may be given by its name.

    Raises
    ------
    ValueError
        If zennit is not installed, or has no composite of this name.
    """
    try:
        from zennit.composites import COMPOSITES
    except ImportError as error:
        raise ValueError(
            f"composite={composite!r} needs zennit, which cannot be imported ({error}); install quantus-senc[zennit]"
        ) from error
    if not isinstance(composite, str):
        return composite
    name = composite.lower().replace("_", "")
    composites = {known.replace("_", ""): kind for known, kind in COMPOSITES.items()}
    check_known("composite", name, composites)
    return composites[name]()


def relevance(network: nn.Module, composite: Any, inputs: Tensor, targets: Tensor) -> Tensor:
    """Relevance of the inputs by a composite. The relevance of the explained output is 1."""
    from zennit.attribution import Gradient

    def explained_output(outputs: Tensor) -> Tensor:
        return torch.zeros_like(outputs).scatter_(1, targets[:, None], 1)

    with Gradient(network, composite, explained_output) as attributor:
        return attributor(inputs)[1]
