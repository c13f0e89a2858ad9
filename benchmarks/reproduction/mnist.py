"""Section 4.2.1 of the paper: ModelCNN on MNIST."""

from typing import Any

from benchmarks.reproduction.methods import PAPER_METHODS
from benchmarks.reproduction.paper_scores import Retrial, Study, study_values
from benchmarks.reproduction.paper_scores import figure as figure
from benchmarks.reproduction.setup import Setup

METHODS = tuple(PAPER_METHODS)
STUDY = Study(
    "mnist",
    n_segments=15,
    compactness=0.1,
    data_images=(64, 1000, 2),
    data_masks=(5000, 5000, 60),  # of which few differ: most superpixels are black, and a mask of these changes nothing
    layers=dict.fromkeys(("conv1", "conv2", "fc1", "fc2"), (1000, 10_000, 520)),
    parameter_images=(16, 100, 2),
    retrial=Retrial(data=METHODS, parameter=METHODS),
)


def run(setup: Setup) -> dict[str, Any]:
    """Data SenC, top-1 and top-3 agreement, and parameter SenC of every layer."""
    network = setup.network("mnist")
    images = setup.test_images("mnist", setup.size(*STUDY.data_images), network.model)
    return study_values(STUDY, setup, network.model, *images, network.accuracy)
