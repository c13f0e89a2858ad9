"""Explanation methods compared on handwritten digits: `quantus-senc demo`."""

import sys
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

from quantus_senc._compare import compare
from quantus_senc._method_set import DEFAULT_METHODS
from quantus_senc._text_table import text_table

SIZE = 32
FEWEST_MASKS = 100  # for up to 49 features
METHODS = (*DEFAULT_METHODS, "Sobel")


def digits(n_test: int = 297) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Train and test images (N, 1, 32, 32) in [0, 1] with their labels (N,): scikit-learn's 1,797 digits, enlarged."""
    data = load_digits()
    images = torch.tensor(data.images, dtype=torch.float32)[:, None] / 16
    images = nn.functional.interpolate(images, size=(SIZE, SIZE), mode="bilinear")
    labels = torch.tensor(data.target)
    return images[:-n_test], labels[:-n_test], images[-n_test:], labels[-n_test:]


def train(images: Tensor, labels: Tensor, n_epochs: int = 12) -> nn.Sequential:
    """A small convolutional network for the digits, in evaluation mode; the same every time."""
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
    """Train, compare, print the table and what follows from it, and write the page.

    Parameters
    ----------
    out
        Folder for `report.html` and the scores; made if there is none.
    n_images
        How many test images to compare on, at most 297.
    n_masks
        How many masks for each image, at the most; at least 100.

    Raises
    ------
    ValueError
        If there are too few masks or too many images.
    """
    if n_masks < FEWEST_MASKS:
        raise ValueError(f"n_masks={n_masks} is too few for the regression; pass at least {FEWEST_MASKS}")
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
        methods=METHODS,
        n_masks=n_masks,
        segment_func_kwargs={"compactness": 0.1},  # superpixels that follow the strokes of grey images
        display_progressbar=sys.stderr.isatty(),
    )
    sys.stdout.write(f"\nMean over {n_images} images ± its standard error; * is the best:\n\n{text_table(result)}\n\n")
    sys.stdout.writelines(f"- {sentence}\n" for sentence in result.verdict())
    result.save(out)
    sys.stdout.write(f"\nTables, pictures, settings: {result.report(out / 'report.html')}\n")
