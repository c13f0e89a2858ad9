"""A comparison of explanation methods on handwritten digits: `quantus-senc demo`."""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from quantus_senc.comparison.compare import compare
from quantus_senc.comparison.named_methods import DEFAULT_METHODS
from quantus_senc.comparison.text_table import text_report

_SIZE = 32  # pixels a side
_FEWEST_MASKS = 100  # enough for the regression with up to 49 features
_METHODS = (*DEFAULT_METHODS, "Sobel")


def digits(n_test: int = 297) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train images, train labels, test images and test labels: scikit-learn's 1,797 digits, enlarged.

    Images are of shape (N, 1, 32, 32) with values in [0, 1], labels of shape (N,).
    """
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    images = nn.functional.interpolate(images, size=(_SIZE, _SIZE), mode="bilinear")
    labels = torch.tensor(data.target)
    return images[:-n_test], labels[:-n_test], images[-n_test:], labels[-n_test:]


def train(images: Tensor, labels: Tensor, n_epochs: int = 12) -> nn.Sequential:
    """Train a small convolutional network on the digits, with a fixed seed; returns it in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(1, 8, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(4),
            nn.Flatten(),
            nn.Linear(256, 64),
            nn.ReLU(),
            nn.Linear(64, 10),
        )
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
        for _ in range(n_epochs):
            for batch in torch.randperm(len(images)).split(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
                optimizer.step()
    return model.eval()


def run(out: Path, n_images: int = 16, n_masks: int = 500) -> None:
    """Train a network, compare methods, write means and verdict to the terminal, and the report and scores to a folder.

    Parameters
    ----------
    out
        Folder for `report.html` and the scores. It is created if it does not exist.
    n_images
        Number of test images, at most 297.
    n_masks
        Largest number of masks per image, at least 100.

    Raises
    ------
    ValueError
        If there are too few masks or too many images.
    """
    if n_masks < _FEWEST_MASKS:
        raise ValueError(f"n_masks={n_masks} is too few for the regression; pass at least {_FEWEST_MASKS}")
    images, labels, test_images, test_labels = digits()
    if not 1 <= n_images <= len(test_images):
        raise ValueError(f"n_images={n_images}, but there are {len(test_images)} test images; pass 1 to {len(test_images)}")
    model = train(images, labels)
    accuracy = (model(test_images).argmax(1) == test_labels).float().mean().item()
    sys.stdout.write(f"A small CNN names {accuracy:.1%} of {len(test_labels)} held-out digits.\n")
    result = compare(
        model,
        test_images[:n_images],
        test_labels[:n_images],
        methods=_METHODS,
        n_masks=n_masks,
        segment_func_kwargs={"compactness": 0.1},  # superpixels that follow the strokes of grey images
        display_progressbar=sys.stderr.isatty(),
    )
    sys.stdout.write(f"\n{text_report(result)}")
    result.save(out)
    sys.stdout.write(f"\nTables, pictures, settings: {result.report(out / 'report.html')}\n")
