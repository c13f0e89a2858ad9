"""What one image of a comparison looks like to each explanation method."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from quantus_senc._consistency import Sensitivity


@dataclass(frozen=True, eq=False)
class Examples:
    """One image, its attribution maps and its sensitivities, for pictures.

    Attributes
    ----------
    image
        (C, H, W).
    target
        The class that is explained.
    maps
        Attribution map (H, W) for each method.
    features
        Data SenC's record of the image for each method.
    units
        Parameter SenC's record of the image and one layer, the first convolution as a rule, for each method.
    """

    image: np.ndarray
    target: int
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, Sensitivity] = field(default_factory=dict)
    units: Mapping[str, Sensitivity] = field(default_factory=dict)
