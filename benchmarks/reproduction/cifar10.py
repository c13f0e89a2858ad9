"""Section 4.2.2 of the paper: ResNet18 on CIFAR-10, here a narrow one that two cores can train."""

from dataclasses import replace
from typing import Any

from benchmarks.reproduction.paper_tables import Study, paper_tables
from benchmarks.reproduction.paper_tables import figure as figure
from benchmarks.reproduction.setup import Setup

STUDY = Study(
    "cifar10",
    n_segments=20,
    compactness=10.0,
    layers=("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2", "fc"),
    data_images=(60, 1000, 2),
    data_masks=(300, 5000, 60),
    parameter_images=(16, 100, 2),
    parameter_masks=(260, 10_000, 260),
    steps=5,
    tried_again=("VB", "LRP", "Grad-CAM", "DeepLift"),
)
QUICK_LAYERS = ("conv1", "layer1.0.conv1", "fc")


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC, top-1 and top-3 agreement, and parameter SenC of the first, the last, and the layers of "layer1"."""
    study = STUDY if setup.scale == "full" else replace(STUDY, layers=QUICK_LAYERS)
    network = setup.network("cifar10")
    images = setup.test_images("cifar10", setup.size(*STUDY.data_images), network.model)
    return paper_tables(study, setup, network.model, *images, network.accuracy)
