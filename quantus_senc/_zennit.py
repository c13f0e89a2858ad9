"""LRP by zennit's composites of rules; needs the optional `quantus-senc[zennit]`."""

from typing import Any

import torch
from torch import Tensor, nn

from quantus_senc._arguments import check_known
from quantus_senc._twin import Twin


def relevance(model: nn.Module, inputs: Tensor, targets: Tensor, composite: Any) -> Tensor:
    """Relevance by a composite, or by one of zennit's by its name; of the model's twin, in which nothing works in place.

    Raises
    ------
    ValueError
        If zennit is not installed, or knows no such composite.
    """
    try:
        from zennit.attribution import Gradient
        from zennit.composites import COMPOSITES
    except ImportError as error:
        raise ValueError(
            f"composite={composite!r} needs zennit, which cannot be imported ({error}); install quantus-senc[zennit]"
        ) from error
    if isinstance(composite, str):
        plain = composite.lower().replace("_", "")
        known = {name.replace("_", ""): kind for name, kind in COMPOSITES.items()}
        check_known("composite", plain, known)
        composite = known[plain]()
    with Twin.of(model, "DeepLift", inputs).ready(model) as whole, Gradient(whole, composite) as attributor:
        n_classes = whole(inputs.detach()[:1]).shape[1]
        _, found = attributor(inputs, torch.eye(n_classes, device=inputs.device, dtype=inputs.dtype)[targets])
    return found
