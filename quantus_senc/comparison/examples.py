"""One image of a comparison with its maps and sensitivities, for figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from torch import Tensor

from quantus_senc.core.record import Sensitivity


@dataclass(frozen=True, eq=False)
class Examples:
    """One image, its attribution maps and its sensitivities.

    Attributes
    ----------
    image
        (C, H, W), or a volume (C, D, H, W).
    target
        The class that is explained.
    maps
        By the name of the method: an attribution map (H, W) or (D, H, W).
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

    def middle_slice(self) -> "Examples":
        """The same of the middle slice of a volume; an image as it is."""
        if self.image.ndim == 3:
            return self
        middle = self.image.shape[1] // 2
        records = {name: replace(record, labels=_at(record.labels, middle)) for name, record in self.features.items()}
        maps = {name: attribution[middle] for name, attribution in self.maps.items()}
        return replace(self, image=self.image[:, middle], maps=maps, features=records)


def _at(labels: Tensor | None, place: int) -> Tensor | None:
    return None if labels is None else labels[place]
