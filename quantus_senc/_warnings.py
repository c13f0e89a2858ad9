"""What users are told: one warning for each kind of trouble in a call."""

import warnings
from collections import Counter

from quantus_senc._consistency import Sensitivity

DISAGREEMENT = (
    "a_batch is not what explain_func returns for these inputs; the scores are those of explain_func. (quantus.evaluate "
    "computes a_batch with the default method where xai_methods is a dict of dicts; a method that draws at random never "
    "agrees.)"
)


def complaints(name: str, sensitivities: list[Sensitivity] | dict[str, list[Sensitivity]]) -> list[str]:
    """Which of a metric's records have no score and why, and which attributions had no ranks too often."""
    if isinstance(sensitivities, dict):
        records, what = [record for layer in sensitivities.values() for record in layer], "pairs of layer and image"
    else:
        records, what = sensitivities, "images"
    found = []
    reasons = Counter(record.undefined for record in records if record.undefined)
    if reasons:
        counts = "; ".join(f"{count} with {reason}" for reason, count in reasons.most_common())
        found.append(f"{name} is NaN for {reasons.total()} of {len(records)} {what}: {counts}.")
    constant = sum(record.n_constant > record.n_masks / 2 and not record.undefined for record in records)
    if constant:
        found.append(
            f"For {constant} of {len(records)} {what}, more than half of the masks made the attribution constant; a "
            "constant attribution has no ranks, and its similarity counted as 0. A lower mask_rate may help."
        )
    return found


def warn(message: str) -> None:
    """A warning that is shown at every call, though it comes from the same line and may say the same."""
    warnings.warn_explicit(message, UserWarning, filename="quantus_senc", lineno=1, registry={})
