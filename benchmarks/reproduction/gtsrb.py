"""Section 4.2.3 of the paper: MobileNetV3-small on traffic signs."""

from dataclasses import replace
from typing import Any

from benchmarks.reproduction.paper_tables import Study, paper_tables
from benchmarks.reproduction.paper_tables import figure as figure
from benchmarks.reproduction.setup import Setup

FIRST, SECOND, HIDDEN, LAST = "0", "3.body.0", "19", "21"  # two convolutions, and the two fully connected layers
STUDY = Study(
    "gtsrb",
    n_segments=20,
    compactness=10.0,
    layers=(FIRST, SECOND, HIDDEN, LAST),
    data_images=(60, 1000, 2),
    data_masks=(300, 5000, 60),
    parameter_images=(16, 100, 1),
    parameter_masks=(400, 10_000, 100),
    tried_again=("VB", "GB", "LRP", "Grad-CAM"),
)


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC, top-1 and top-3 agreement, and parameter SenC of the first two and the last two layers.

    The last two have 576 and 1,024 units, for which two cores cannot run enough masks: they are left to the scale "full".
    """
    study = STUDY if setup.scale == "full" else replace(STUDY, layers=(FIRST, SECOND))
    network = setup.network("gtsrb")
    images = setup.test_images("gtsrb", setup.size(*STUDY.data_images), network.model)
    return paper_tables(study, setup, network.model, *images, network.accuracy)
