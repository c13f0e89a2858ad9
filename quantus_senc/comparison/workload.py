"""What a comparison has to do: methods by metrics, on images in blocks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Int64
from torch import Tensor, nn

from quantus_senc.comparison.blocks import Block, blocks_of
from quantus_senc.comparison.cells import Evaluation
from quantus_senc.comparison.dataset_images import images_and_classes
from quantus_senc.comparison.describe import described
from quantus_senc.comparison.description import Description
from quantus_senc.comparison.examples import Examples
from quantus_senc.comparison.fingerprints import of_arrays
from quantus_senc.comparison.named_methods import Method, default_methods, named_methods
from quantus_senc.comparison.named_metrics import named_metrics
from quantus_senc.comparison.probe import Probe, probed
from quantus_senc.core.checks import check_inputs, check_integer
from quantus_senc.metrics.data_senc import DataSensitivityConsistency
from quantus_senc.metrics.image_batch import numbered
from quantus_senc.model.adapted import adapter_of
from quantus_senc.model.adapter import AS_IT_IS
from quantus_senc.model.arrays import host_array
from quantus_senc.model.first_look import fitted_model
from quantus_senc.model.frames import column_names
from quantus_senc.model.warn import warn


@dataclass(frozen=True, eq=False)
class Workload:
    """All methods and metrics, and all images.

    Attributes
    ----------
    model
        Returns (B, classes).
    images, targets, numbers
        (B, ...), the classes to explain, and the numbers of the images in the whole data set. Images are an array, or are read
        from a file or a dataset when they are asked for.
    methods, metrics
        By name.
    blocks
        The images that are evaluated together.
    parameters
        Of the metrics, `block_size` and `softmax`, for the settings of the result.
    s_batch, custom_batch
        As for `compare`, as arrays or None.
    columns
        The names of the columns of a table; None if it has no names, or the inputs are no table.
    """

    model: nn.Module
    images: Any
    targets: np.ndarray
    numbers: Int64[Tensor, " B"]
    methods: dict[str, Method]
    metrics: dict[str, Any]
    blocks: list[Block]
    parameters: dict[str, Any]
    s_batch: np.ndarray | None
    custom_batch: np.ndarray | None
    columns: list[str] | None

    @classmethod
    def from_arguments(
        cls,
        model: nn.Module,
        x_batch: Any,
        y_batch: Any,
        *,
        methods: Any = None,
        metrics: Any = None,
        block_size: int = 64,
        image_ids: Any = None,
        n_masks: int | str = 500,
        mask_rate: float = 0.8,
        tolerance: float | None = None,
        seed: int = 42,
        softmax: bool | None = None,
        channel_first: bool = True,
        s_batch: Any = None,
        custom_batch: Any = None,
        **kwargs: Any,
    ) -> "Workload":
        """The workload of a call of `compare` with these arguments.

        Raises
        ------
        ValueError
            If an argument is wrong.
        """
        parameters = {"n_masks": n_masks, "mask_rate": mask_rate, "tolerance": tolerance, "seed": seed, **kwargs}
        if softmax not in (None, True, False):
            raise ValueError(f"softmax={softmax!r} must be True, False, or None for what each metric does by itself")
        if "estimator" in kwargs:
            raise ValueError("estimator is no argument of a comparison; take metrics=['SenC'] (paper) or ['SenC (regression)']")
        images, targets = images_and_classes(x_batch, y_batch, channel_first=channel_first)
        check_inputs(model, images, targets, True)
        check_integer("block_size", block_size, 1, 2**63 - 1)
        numbers = numbered(image_ids, len(images))
        method_by_name = named_methods(default_methods(images.shape) if methods is None else methods)
        model, n_classes = fitted_model(model, images, targets)
        metric_by_name = named_metrics(metrics, images, model, n_classes=n_classes, **parameters)
        data_metrics = [metric for metric in metric_by_name.values() if isinstance(metric, DataSensitivityConsistency)]
        for message in {message for metric in data_metrics for message in metric.fewer_features(images.shape)}:
            warn(message)
        blocks = blocks_of(numbers.tolist(), int(block_size))
        settings = {**parameters, "block_size": int(block_size)} | ({} if softmax is None else {"softmax": softmax})
        settings |= {} if adapter_of(model) is AS_IT_IS else {"adapt": adapter_of(model)}
        regions = _objects(s_batch, images, channel_first=channel_first), _labels(custom_batch, images)
        return cls(
            model, images, targets, numbers, method_by_name, metric_by_name, blocks, settings, *regions, column_names(x_batch)
        )

    @property
    def n_cells(self) -> int:
        """Of each block."""
        return len(self.methods) * len(self.metrics)

    def evaluation(self, block: Block) -> Callable[[nn.Module], Evaluation]:
        """Make the evaluation of a block on a model, which may be a copy in another process."""
        places, seed = block.places, block.seed(self.parameters["seed"])
        return partial(
            Evaluation,
            x_batch=self._images(places),
            y_batch=self.targets[places],
            image_ids=self.numbers[places],
            seed=seed,
            softmax=self.parameters.get("softmax"),
            s_batch=None if self.s_batch is None else self.s_batch[places],
            custom_batch=None if self.custom_batch is None else self.custom_batch[places],
        )

    def example(self) -> Examples | None:
        """The image, or the row of a table, with the lowest number; None for series."""
        if self.images.ndim == 3:
            return None
        first = self.blocks[0].places[0]
        return Examples(self._images([first])[0], int(self.targets[first]), columns=self.columns)

    def probe(self, before: Probe | None, *, tries_methods: bool) -> Probe:
        """What the model and the methods make of the image of an earlier probe, or of the first image if there is none.

        Parameters
        ----------
        before
            The earlier probe, or None.
        tries_methods
            Whether methods run here; if not, they are not compared.
        """
        first = self.blocks[0].places[0]
        image = self._images([first])[0] if before is None else before.image
        target = int(self.targets[first]) if before is None else before.target
        methods = self.methods if tries_methods else {}
        return probed(self.model, methods, image, target, int(self.parameters["seed"]))

    def description(self, notes: Mapping[str, str], *, with_images: bool) -> Description:
        """What the comparison is of.

        Parameters
        ----------
        notes
            Further settings.
        with_images
            Whether blocks have fingerprints, for which all images are read once. Nobody compares them but in a folder.
        """
        description = described(self.model, self.images, self.methods, self.metrics, self.parameters, self.numbers.tolist())
        _check_notes(notes, description.settings)
        description.settings.update(notes)
        description.blocks.update({block.number: self._fingerprint(block) if with_images else "" for block in self.blocks})
        return description

    def _fingerprint(self, block: Block) -> str:
        places = block.places
        arrays = [self._images(places), self.targets[places], self.numbers[places].numpy()]
        for name, values in (("s_batch", self.s_batch), ("custom_batch", self.custom_batch)):
            arrays += [] if values is None else [np.array(name), values[places]]
        return of_arrays(*arrays)

    def _images(self, places: list[int]) -> np.ndarray:
        return host_array(self.images[places])


def _objects(s_batch: Any, images: Any, *, channel_first: bool) -> np.ndarray | None:
    """Masks of objects, with their channels first if they have as many axes as the images."""
    masks = _for_each_image("s_batch", s_batch, len(images))
    has_channels_last = masks is not None and masks.ndim == images.ndim and not channel_first
    return np.moveaxis(masks, -1, 1) if masks is not None and has_channels_last else masks


def _labels(custom_batch: Any, images: Any) -> np.ndarray | None:
    """Labels of features, one for each position of the images."""
    labels, positions = _for_each_image("custom_batch", custom_batch, len(images)), tuple(images.shape[2:])
    if labels is not None and images.ndim > 2 and labels.shape[1:] != positions:
        raise ValueError(f"custom_batch of shape {labels.shape} must have a label for each position, {positions}")
    return labels


def _for_each_image(name: str, values: Any, n_images: int) -> np.ndarray | None:
    if values is None:
        return None
    array = host_array(values)
    if array.ndim == 0 or len(array) != n_images:
        raise ValueError(f"{name} of shape {array.shape} must have one entry for each of {n_images} images")
    return array


def _check_notes(notes: Mapping[str, str], settings: Mapping[str, Any]) -> None:
    """Raise ValueError for notes that are no texts, or have names of settings."""
    for name, text in notes.items():
        if not isinstance(text, str) or not isinstance(name, str):
            raise ValueError(f"notes hold {name!r}: {text!r}; names and notes must be strings")
        if name in settings or name in ("methods", "controls", "seconds"):
            raise ValueError(f"notes hold {name!r}, which is the name of a setting; take another name")
