"""Section 4.2.3 of the paper: MobileNetV3-small on traffic signs."""

from typing import Any

from benchmarks.reproduction.paper_scores import Retrial, Study, study_values
from benchmarks.reproduction.paper_scores import figure as figure
from benchmarks.reproduction.setup import Setup

FIRST, SECOND, HIDDEN, LAST = "0", "3.body.0", "19", "21"  # two convolutions, and the two fully connected layers
STUDY = Study(
    "gtsrb",
    n_segments=20,
    compactness=10.0,
    data_images=(60, 1000, 2),
    data_masks=(450, 5000, 60),
    layers={  # masks at the scales quick, full and smoke; the regression takes two for each unit at least
        FIRST: (1200, 10_000, 100),
        SECOND: (1200, 10_000, 100),
        HIDDEN: (1300, 10_000, 0),  # of 576 units
        LAST: (2200, 10_000, 0),  # of 1,024 units
    },
    parameter_images=(16, 100, 1),
    steps=5,
    retrial=Retrial(
        data=("VB", "GB", "LRP", "Grad-CAM"),
        parameter=("VB", "LRP", "Grad-CAM"),
        layers=(FIRST, SECOND),
        grad_cam_layers=("5", "10"),
    ),
)


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC, top-1 and top-3 agreement, and parameter SenC of the first two and the last two layers."""
    network = setup.network("gtsrb")
    images = setup.test_images("gtsrb", setup.size(*STUDY.data_images), network.model)
    return study_values(STUDY, setup, network.model, *images, network.accuracy)
