"""Images of a torch dataset, read when they are asked for, so that those of one block are in memory at a time."""

import operator
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset, IterableDataset

from quantus_senc.model.arrays import host_array


class DatasetImages:
    """The images of a dataset, with as much of an array as a comparison needs.

    Parameters
    ----------
    dataset
        Of pairs of an image and its class, at numbers from 0 on; or a loader, whose order, batches and sampler are not used.
    channel_first
        Whether images have their channels first in the dataset, as they have here.

    Attributes
    ----------
    shape, dtype, ndim
        Of all images together, by the first of them.

    Raises
    ------
    ValueError
        If it has no length or no images, or its items are no pairs.
    """

    def __init__(self, dataset: Any, *, channel_first: bool) -> None:
        self.channel_first = channel_first
        self.dataset: Any = dataset.dataset if isinstance(dataset, DataLoader) else dataset
        kind, n = type(self.dataset).__name__, _length(self.dataset)
        if n is None:
            raise ValueError(
                f"x_batch is a {kind} without a length or an order; pass a dataset of items with numbers, or arrays"
            )
        if not n:
            raise ValueError(f"x_batch is a {kind} of no items; pass one that has some")
        first = self._image(0)
        self.shape, self.dtype, self.ndim = (n, *first.shape), first.dtype, 1 + first.ndim

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Any) -> np.ndarray:
        """The image at a place, or those at a list or a slice of places."""
        if isinstance(places, int):
            return self._image(places)
        chosen = range(len(self))[places] if isinstance(places, slice) else places
        return np.stack([self._image_like_first(int(place)) for place in chosen])

    def classes(self) -> np.ndarray:
        """The classes of all images, for which every item is read once."""
        return np.array([self._class(place) for place in range(len(self))])

    def _class(self, place: int) -> int:
        value = self._item(place)[1]
        try:
            return operator.index(value)
        except TypeError:
            raise ValueError(f"x_batch is a dataset whose item {place} has the class {value!r}; classes are integers") from None

    def _image_like_first(self, place: int) -> np.ndarray:
        image = self._image(place)
        if image.shape != self.shape[1:]:
            raise ValueError(
                f"x_batch is a dataset whose item {place} has the shape {image.shape}, and item 0 {self.shape[1:]}; all images "
                "must have one shape"
            )
        return image

    def _image(self, place: int) -> np.ndarray:
        image = host_array(self._item(place)[0])
        return image if self.channel_first else np.moveaxis(image, -1, 0)

    def _item(self, place: int) -> Any:
        item = self.dataset[place]
        if not isinstance(item, tuple | list) or len(item) < 2:
            raise ValueError(
                f"x_batch is a dataset whose item {place} is a {type(item).__name__}, not a pair of image and class"
            )
        return item


def _length(dataset: Any) -> int | None:
    """How many items a dataset has; None if it does not say, or they have no numbers."""
    return None if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__") else len(dataset)


def images_and_classes(x_batch: Any, y_batch: Any, *, channel_first: bool) -> tuple[Any, np.ndarray]:
    """Images, with their channels first, and classes of arrays or tensors as arrays, and of datasets as `DatasetImages`.

    Raises
    ------
    ValueError
        If a dataset is none of those, or there are no classes.
    """
    if isinstance(x_batch, Dataset | DataLoader):
        dataset = DatasetImages(x_batch, channel_first=channel_first)
        return dataset, dataset.classes() if y_batch is None else host_array(y_batch)
    if y_batch is None:
        raise ValueError("y_batch=None needs a dataset of pairs as x_batch; pass the classes to explain")
    images = x_batch if isinstance(x_batch, np.memmap) else host_array(x_batch, "x_batch")
    return images if channel_first else np.moveaxis(images, -1, 1), host_array(y_batch)
