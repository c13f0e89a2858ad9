"""One image, or one row of a table, of a comparison with its maps and sensitivities, for figures."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from torch import Tensor

from quantus_senc.core.array_like import ArrayLike
from quantus_senc.core.record import Sensitivity


@dataclass(frozen=True, eq=False)
class Examples:
    """One image, or one row of a table, its attribution maps and its sensitivities.

    Attributes
    ----------
    image
        (C, H, W), or a volume (C, D, H, W), or a row of a table (F,).
    target
        The class that is explained.
    maps
        By the name of the method: an attribution map (H, W), (D, H, W) or (F,).
    features
        By the name of the method: the record of the image by the first data SenC metric.
    units
        By the name of the method: the record of the image and one layer by the first parameter SenC metric.
    columns
        The names of the columns of a table; None if it has no names, or the inputs are images.
    """

    image: np.ndarray
    target: int
    maps: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, Sensitivity] = field(default_factory=dict)
    units: Mapping[str, Sensitivity] = field(default_factory=dict)
    columns: list[str] | None = None

    def drawn(self) -> ArrayLike:
        """The image as `quantus_senc.plot` takes it: a row with names is a series of pandas."""
        return self.image if self.columns is None else pd.Series(self.image, index=self.columns)

    def middle_slice(self) -> "Examples":
        """The same of the middle slice of a volume; an image or a row as it is."""
        if self.image.ndim != 4:
            return self
        middle = self.image.shape[1] // 2
        records = {name: replace(record, labels=_at(record.labels, middle)) for name, record in self.features.items()}
        maps = {name: attribution[middle] for name, attribution in self.maps.items()}
        return replace(self, image=self.image[:, middle], maps=maps, features=records)


def _at(labels: Tensor | None, place: int) -> Tensor | None:
    return None if labels is None else labels[place]
