"""Images of a folder, each in a file, as the command line takes them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import Dataset

from quantus_senc.comparison.dataset_images import DatasetImages
from quantus_senc.comparison.failures import error_line
from quantus_senc.model.arrays import host_array
from quantus_senc.model.explained_model import ExplainedModel
from quantus_senc.model.first_look import fitted_model
from quantus_senc.model.state import preserving, seeded

_AT_A_TIME = 64  # images whose classes are predicted


class FolderImages(Dataset[tuple[np.ndarray, int]]):
    """The images below a folder in the order of their paths, read when they are asked for.

    Parameters
    ----------
    path
        The folder. If it has folders with images, these are the classes, numbered in the order of their names, as
        `torchvision.datasets.ImageFolder` has it. See `classes` for images without such folders.
    transform
        Makes of a PIL image in RGB what the model takes, (C, H, W).
    n_images
        How many of the images, from the first on; None for all.

    Raises
    ------
    ValueError
        If there are no images, images both in folders and beside them, or fewer than asked for.
    """

    def __init__(self, path: Path, transform: Callable[[Image.Image], Any], n_images: int | None) -> None:
        known = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
        files = sorted(file for file in path.glob("**/*") if file.suffix.lower() in known and file.is_file())
        files = [file for file in files if not any(name.startswith(".") for name in file.relative_to(path).parts)]
        if not files:
            raise ValueError(f"--data {str(path)!r} holds no images; names of their files end in .png, .jpg and the like")
        places = [file.relative_to(path).parts[:-1] for file in files]
        if len({bool(folders) for folders in places}) > 1:
            raise ValueError(
                f"--data {str(path)!r} holds images both in folders, one a class, and beside them; move one of them"
            )
        if n_images is not None and not 1 <= n_images <= len(files):
            raise ValueError(f"--images {n_images}: the folder has {len(files)}; pass 1 to {len(files)}")
        names = (
            sorted(folder.name for folder in path.iterdir() if folder.is_dir() and folder.name[0] != ".") if places[0] else []
        )
        self.transform = transform
        self.files = files[:n_images]
        self.labels = np.array([names.index(folders[0]) for folders in places[:n_images]]) if names else None
        self.n_folders = len(names)
        self.shape = tuple(self[0][0].shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[np.ndarray, int]:
        """An image (C, H, W) and its class; 0 if folders do not say it. A transform that draws at random draws the same again.

        Raises
        ------
        ValueError
            If the file is damaged, the transform fails, or its result has another shape than that of the first image.
        """
        file = self.files[place]
        try:
            with Image.open(file) as image:
                pixels = image.convert("RGB")
            values = seeded(0, lambda: self.transform(pixels))
        except Exception as error:  # damaged files and transforms raise anything
            raise ValueError(f"--data: {str(file)!r} cannot be read and transformed ({error_line(error)})") from error
        if not isinstance(values, Tensor | np.ndarray) or values.ndim != 3:
            what = f"{type(values).__name__} {tuple(values.shape) if isinstance(values, Tensor | np.ndarray) else ''}".strip()
            raise ValueError(f"--transform returned a {what} for {str(file)!r}; return a tensor or an array (C, H, W)")
        if place and tuple(values.shape) != self.shape:
            first = str(self.files[0])
            raise ValueError(
                f"--transform returned {tuple(values.shape)} for {str(file)!r}, and {self.shape} for {first!r}; resize"
            )
        return host_array(values), 0 if self.labels is None else int(self.labels[place])

    def classes(self, model: nn.Module, *, channel_first: bool) -> np.ndarray:
        """The class of each image, (N,), as folders say it; or else the class that the model predicts.

        Parameters
        ----------
        model
            As for `compare`. It is as before afterwards.
        channel_first
            Whether the transform has channels first, as the model takes them.

        Raises
        ------
        ValueError
            If the model does not take the images or returns no scores of classes, or there are more or fewer folders.
        """
        images = DatasetImages(self, channel_first=channel_first)
        fitted, n_classes = fitted_model(model, images[[0]], np.zeros(1, dtype=np.int64))
        if self.labels is None:
            return preserving(model, lambda restore: _predicted(fitted, images))
        if self.n_folders != n_classes:
            raise ValueError(
                f"--data has {self.n_folders} folders, but the model {n_classes} classes; add empty folders for the others, or "
                "move the images out of their folders to explain predicted classes"
            )
        return self.labels


def _predicted(model: nn.Module, images: DatasetImages) -> np.ndarray:
    explained = ExplainedModel(model, {}, True, lambda **kwargs: None, {}, None, False)
    passes = (explained.inputs(images[places.tolist()]) for places in torch.arange(len(images)).split(_AT_A_TIME))
    return torch.cat([explained.predict_classes(inputs).argmax(1).cpu() for inputs in passes]).numpy()
