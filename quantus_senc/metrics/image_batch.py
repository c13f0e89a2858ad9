"""The images of a call, and a batch of them with what its evaluation needs."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm.auto import tqdm

from quantus_senc.core.checks import check_image_ids
from quantus_senc.core.mask_loop import Unperturbed
from quantus_senc.core.similarity import Differences, Originals
from quantus_senc.model.arrays import agrees, host_array
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.pass_size import BatchLimit
from quantus_senc.model.shared_pass import SharedPass


def numbered(image_ids: object, n_images: int) -> Int64[Tensor, " B"]:
    """Return the numbers of images in the whole data set, on the host: as given, or by default 0 ... B - 1.

    Raises
    ------
    ValueError
        Unless every image has a number of its own, in [0, 2^63).
    """
    if image_ids is None:
        return torch.arange(n_images)
    values = host_array(image_ids) if isinstance(image_ids, Tensor) else image_ids
    given = np.asarray(values, dtype=object)  # integers of several types would become floats
    check_image_ids(given, n_images)
    return torch.from_numpy(given.astype(np.int64))


@dataclass(frozen=True, eq=False)
class Images:
    """All images of a call.

    Attributes
    ----------
    x, y
        Arrays (B, \\*shape), channels first, and (B,).
    image_ids
        The image's number in the whole data set, on the host. Whatever is drawn for an image is a function of it, and never
        of the image's place in the call.
    labels
        The caller's labels of features, or None.
    supplied
        The caller's attributions, or None.
    batch_size
        How many images are evaluated at a time.
    """

    x: np.ndarray
    y: np.ndarray
    image_ids: Int64[Tensor, " B"]
    labels: np.ndarray | None
    supplied: np.ndarray | None
    batch_size: int

    def batch(self, start: int) -> tuple[np.ndarray, np.ndarray]:
        """The images that are evaluated together, from the one at the place `start`, and their classes."""
        return self.x[start : start + self.batch_size], self.y[start : start + self.batch_size]

    def ids(self, start: int, device: torch.device) -> Int64[Tensor, " n"]:
        """Their numbers in the whole data set, on a device."""
        return self.image_ids[start : start + self.batch_size].to(device)

    def agree(self, start: int, maps: Float[Tensor, "n *_"]) -> bool:
        """Whether these maps of a batch are the caller's, or the caller has given none."""
        return self.supplied is None or agrees(self.supplied[start : start + self.batch_size], host_array(maps))


@dataclass(frozen=True, eq=False)
class Batch:
    """Some images of a call, and what their evaluation needs.

    Attributes
    ----------
    inputs, targets
        The images, channels first, and the classes to explain, on the model's device.
    start
        The place of the first image in the call.
    image_ids
        The numbers of the images in the whole data set, on the model's device.
    originals
        The unperturbed predictions and explanations.
    explained, shared_pass, limit
        The model and the explanation method, how both are run in one pass, and how many samples a pass may have.
    progress
        Is told of every pair of an image and a mask.
    flaw
        What keeps the method from being a function of the input alone (see `method_flaw`), or an empty string.
    """

    inputs: Float[Tensor, "B *shape"]
    targets: Int64[Tensor, " B"]
    start: int
    image_ids: Int64[Tensor, " B"]
    originals: Originals
    explained: ExplainedModel
    shared_pass: SharedPass
    limit: BatchLimit
    progress: "tqdm[Any]"
    flaw: str = ""

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def images(self) -> slice:
        """The places of these images in the call."""
        return slice(self.start, self.start + len(self))

    def various(self, n: int) -> Int64[Tensor, " n"]:
        """The places in this batch of at most n images: the first of each class, then others."""
        first = (self.targets[:, None] == self.targets).int().argmax(1)
        is_other = first != torch.arange(len(self), device=first.device)
        return is_other.int().argsort(stable=True)[:n]

    def unperturbed(self, labels: Int64[Tensor, "B *spatial"] | None = None) -> Unperturbed:
        """What the records need to know of the images."""
        predictions, unranked = self.originals.predictions.cpu().double(), self.originals.unranked.cpu()
        return Unperturbed(predictions, unranked, self.explained.rounding, labels)

    def one_by_one(self) -> "Batch":
        """The same images, each of which, like each perturbed sample, is predicted and explained in a pass of its own."""
        limit = self.limit.one_by_one()
        originals = self.explained.originals(*self.explained.run(self.inputs, self.targets, limit))
        return replace(self, originals=originals, limit=limit)


def join_weights(passes: list[Differences]) -> tuple[Float64[Tensor, "p 2"], Bool[Tensor, " p"]]:
    """The weights of the samples of several passes, and whether their attributions are constant; on the host."""
    changes, similarity, constant = (torch.cat(each) for each in zip(*passes, strict=True))
    return torch.stack([1 - changes.to(similarity), similarity], -1).cpu().double(), constant.cpu()
