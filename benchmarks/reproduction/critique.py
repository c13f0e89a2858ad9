"""Binder et al. 2023: do metrics tell explanations from maps that know nothing, and why does MPRT not?

References
----------
Binder et al., "Shortcomings of top-down randomization-based sanity checks for evaluations of deep neural network explanations",
CVPR 2023.
"""

from functools import partial
from typing import Any

from benchmarks.reproduction.critique_figure import figure as figure
from benchmarks.reproduction.critique_ink import ink_values
from benchmarks.reproduction.critique_noise import noise_curve
from benchmarks.reproduction.critique_ranks import TOLERANCE, agreement_values, rank_values, scored_maps
from benchmarks.reproduction.critique_scales import scale_values
from benchmarks.reproduction.setup import SEGMENTS, Setup
from benchmarks.reproduction.values import rounded

BLOCKS = ("relu", *(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)))
DEPTHS = {"mnist": ("relu1", "relu2", "relu3"), "gtsrb_shortcuts": BLOCKS, "gtsrb_no_shortcuts": BLOCKS}


def run(setup: Setup) -> dict[str, Any]:
    """The four questions: "maps", "blurred noise", "activation scales", "agreement" of the metrics; and why edges do well.

    CIFAR-10 takes too long for two cores.
    """
    n_images, n_masks, n_layer_masks = setup.size(64, 512, 2), setup.size(450, 2000, 100), setup.size(2250, 10_000, 100)
    n_channel_images, n_draws = setup.size(8, 64, 2), setup.size(8, 30, 1)
    sizes = {"n_images": n_images, "n_masks": n_masks}
    names = ("mnist", "cifar10") if setup.scale == "full" else ("mnist",)
    maps = {name: scored_maps(setup, name, n_layer_masks=n_layer_masks, **sizes, **SEGMENTS[name]) for name in names}
    return {
        "settings": {
            "images": n_images,
            "masks": n_masks,
            "mask rate": 0.8,
            "superpixels": {name: SEGMENTS[name] for name in names},
            "Parameter SenC": {"layer": "conv1", "masks at most": n_layer_masks, "error of an image": TOLERANCE},
            "activation scales": {"images": n_channel_images, "draws of the weights": n_draws},
        },
        "maps": {name: rank_values(comparison) for name, comparison in maps.items()},
        "why edges do well": setup.part("critique", "ink", partial(ink_values, setup, "mnist", **sizes, **SEGMENTS["mnist"])),
        "blurred noise": noise_curve(setup, "mnist", **sizes, **SEGMENTS["mnist"]),
        "activation scales": {
            name: setup.part("critique", f"scales-{name}", partial(_scales, setup, name, n_channel_images, n_draws))
            for name in DEPTHS
        },
        "agreement": {name: agreement_values(comparison) for name, comparison in maps.items()},
    }


def _scales(setup: Setup, name: str, n_images: int, n_draws: int) -> dict[str, Any]:
    network = setup.network(name)
    x, y = setup.test_images(network.recipe.data, n_images, network.model)
    values = scale_values(network.model.cpu(), DEPTHS[name], x, y, n_draws, setup.seed)
    return {"accuracy": rounded(network.accuracy), **values}
