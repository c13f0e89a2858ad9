"""Image sets: from a folder of files, or by a library that downloads them."""

import io
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

DOWNLOADS = {  # names in the hub of Hugging Face, and the columns of images and of classes
    "mnist": ("ylecun/mnist", "image", "label"),
    "cifar10": ("uoft-cs/cifar10", "img", "label"),
    "gtsrb": ("tanganke/gtsrb", "image", "label"),
}


def load_images(folder: Path | None, name: str) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) in [0, 1], and their classes (N,).

    Parameters
    ----------
    folder:
        Holds `NAME.npz`, with classes `y` (N,) and either bytes `x` of shape (N, H, W) or (N, H, W, 3), or sheets: pictures
        in which `side` times `side` images stand row by row. None downloads the set with the package `datasets`.
    name:
        Such as "mnist_train" and "mnist_test".

    Raises
    ------
    FileNotFoundError
        If the folder has no such file.
    ModuleNotFoundError
        If there is neither a folder nor the package `datasets`.
    """
    x, y = _downloaded(name) if folder is None else _read(folder / f"{name}.npz")
    x = x[..., None] if x.ndim == 3 else x
    return torch.from_numpy(x).movedim(-1, 1).float().div(255).contiguous(), torch.from_numpy(y.astype(np.int64))


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    if not path.exists():
        raise FileNotFoundError(
            f"No images in {path}. Give the folder of the image sets by --data, or leave --data out to download."
        )
    with np.load(path, allow_pickle=False) as file:
        if "x" in file:
            return file["x"], file["y"]
        blob, starts = file["blob"].tobytes(), [0, *file["ends"][:-1]]
        mode, side, y = "L" if file["grey"] else "RGB", int(file["side"]), file["y"]
        sheets = [blob[start:end] for start, end in zip(starts, file["ends"], strict=True)]
    images = [_cut(np.asarray(Image.open(io.BytesIO(sheet)).convert(mode)), side) for sheet in sheets]
    return np.concatenate(images)[: len(y)], y


def _cut(sheet: np.ndarray, side: int) -> np.ndarray:
    """A sheet of side · side images as an array of images."""
    height, width = sheet.shape[0] // side, sheet.shape[1] // side
    grid = sheet.reshape(side, height, side, width, *sheet.shape[2:])
    return grid.swapaxes(1, 2).reshape(side * side, height, width, *sheet.shape[2:])


def _downloaded(name: str) -> tuple[np.ndarray, np.ndarray]:
    family, part = name.rsplit("_", 1)
    try:
        from datasets import load_dataset
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f'No folder of images is given, and the package that downloads "{family}" is missing. '
            "Give --data FOLDER, or `pip install datasets`."
        ) from error
    if family not in DOWNLOADS:
        raise FileNotFoundError(f'"{name}" cannot be downloaded. Give the folder that holds {name}.npz by --data.')
    source, images, classes = DOWNLOADS[family]
    rows = load_dataset(source, split=part)
    size = (28, 28) if family == "mnist" else (32, 32)
    return np.stack([np.asarray(image.resize(size)) for image in rows[images]]), np.asarray(rows[classes])
