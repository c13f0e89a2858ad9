"""Section 4.2.2 of the paper: ResNet18 on CIFAR-10, here a narrow one that two cores can train."""

from typing import Any

from benchmarks.reproduction.paper_scores import Retrial, Study, study_values
from benchmarks.reproduction.paper_scores import figure as figure
from benchmarks.reproduction.setup import Setup

CONVOLUTION = (600, 10_000, 260)  # masks at the scales quick, full and smoke
STUDY = Study(
    "cifar10",
    n_segments=20,
    compactness=10.0,
    data_images=(60, 1000, 2),
    data_masks=(450, 5000, 60),
    layers={
        "conv1": CONVOLUTION,
        "layer1.0.conv1": CONVOLUTION,
        **dict.fromkeys(("layer1.0.conv2", "layer1.1.conv1", "layer1.1.conv2"), (0, 10_000, 0)),
        "fc": (800, 10_000, 260),  # of 128 units
    },
    parameter_images=(16, 100, 2),
    steps=5,
    retrial=Retrial(
        data=("VB", "LRP", "Grad-CAM", "DeepLift"), parameter=("LRP",), grad_cam_layers=("layer2.1.conv2", "layer3.1.conv2")
    ),
)


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC, top-1 and top-3 agreement, and parameter SenC of the first, the last, and the layers of "layer1"."""
    network = setup.network("cifar10")
    images = setup.test_images("cifar10", setup.size(*STUDY.data_images), network.model)
    return study_values(STUDY, setup, network.model, *images, network.accuracy)
