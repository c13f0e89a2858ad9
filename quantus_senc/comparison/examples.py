"""One image of a comparison with its maps and sensitivities, for figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from quantus_senc.core.record import Sensitivity


@dataclass(frozen=True, eq=False)
class Examples:
    """One image, its attribution maps and its sensitivities.

    Attributes
    ----------
    image
        (C, H, W).
    target
        The class that is explained.
    maps
        By the name of the method: an attribution map (H, W).
    features
        By the name of the method: the record of the image by the first data SenC metric.
    units
        By the name of the method: the record of the image and one layer by the first parameter SenC metric.
    """

    image: np.ndarray
    target: int
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, Sensitivity] = field(default_factory=dict)
    units: Mapping[str, Sensitivity] = field(default_factory=dict)
