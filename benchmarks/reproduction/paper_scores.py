"""Data and parameter SenC of the paper's methods on one image set: sections 4.2.1 to 4.3 of the paper."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from benchmarks.reproduction.methods import BASELINE, PAPER_METHODS
from benchmarks.reproduction.parameter_scores import FEWER, parameter_scores
from benchmarks.reproduction.setup import Setup
from benchmarks.reproduction.values import comparison_values
from quantus_senc import DataSensitivityConsistency, compare

RATE = 0.8  # the probability that a mask eliminates a feature or unit
OTHER_SETTINGS: dict[str, dict[str, Any]] = {  # what the paper may have meant, and does not say
    "0.8 kept": {"mask_rate": 1 - RATE},
    "magnitudes of maps": {"abs": True},
}
GRAD_CAM_OF = "Grad-CAM of"  # starts the name of a setting in which Grad-CAM is of another layer
Parts = dict[str, Callable[[], Any]]  # what computes each part, by the name of its file
Sizes = tuple[int, int, int]  # at the scales quick, full and smoke


@dataclass(frozen=True)
class Retrial:
    """What is run again in other settings, for claims that do not hold.

    Attributes
    ----------
    data, parameter
        Methods, for data SenC and for parameter SenC.
    layers
        Of parameter SenC; by default those of the study.
    grad_cam_layers
        Layers of which Grad-CAM is taken, for data SenC.
    """

    data: tuple[str, ...] = ()
    parameter: tuple[str, ...] = ()
    layers: tuple[str, ...] | None = None
    grad_cam_layers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes
    ----------
    name
        Of the experiment.
    n_segments, compactness
        Of the superpixels (SLIC).
    data_images, data_masks
        Numbers of images, and of masks for an image, at each scale.
    layers
        Of parameter SenC, with the numbers of masks for an image at each scale. With 0 masks a layer is left out. Without
        layers there is data SenC alone.
    parameter_images
        Number of images at each scale.
    leave_out
        Methods of the paper that do not apply to the network.
    steps
        Of Integrated Gradients; Captum's default of 50 takes many times as long.
    retrial
        What is run in other settings, too.
    """

    name: str
    n_segments: int
    compactness: float
    data_images: Sizes
    data_masks: Sizes
    layers: dict[str, Sizes] = field(default_factory=dict)
    parameter_images: Sizes = (0, 0, 0)
    leave_out: tuple[str, ...] = ()
    steps: int = 10
    retrial: Retrial = Retrial()

    def methods(self, *names: str) -> dict[str, Any]:
        """The paper's methods that apply, and random maps; or those of these names."""
        methods = PAPER_METHODS | {"IG": {"method": "IntegratedGradients", "n_steps": self.steps}} | BASELINE
        return {name: value for name, value in methods.items() if (name in names if names else name not in self.leave_out)}

    def masks(self, setup: Setup) -> dict[str, int]:
        """The number of masks of each layer that this scale has."""
        return {layer: n_masks for layer, sizes in self.layers.items() if (n_masks := setup.size(*sizes))}


def study_values(study: Study, setup: Setup, model: nn.Module, x: Tensor, y: Tensor, accuracy: float) -> dict[str, Any]:
    """Scores of data SenC with both estimators, top-k agreement, and parameter SenC by layer.

    Parameters
    ----------
    x, y
        At least as many images (N, C, H, W) and classes (N,) as the study asks for.
    accuracy
        Of the model on the test images.
    """
    n_data, n_parameter = setup.size(*study.data_images), setup.size(*study.parameter_images)
    data = partial(_data, study, setup, model, x[:n_data], y[:n_data])
    parameter = partial(_parameter, study.masks(setup), setup.seed, model, x[:n_parameter], y[:n_parameter])
    computed = setup.parts(study.name, _parts(study, setup, data, parameter) | _retrial_parts(study, setup, data, parameter))
    by_method = partial(_by_method, computed, list(study.methods()))
    values: dict[str, Any] = {"data": computed["data"]}
    if study.masks(setup):
        values["parameter"] = by_method("parameter")
    settings = (*OTHER_SETTINGS, FEWER, *map(_grad_cam_of, study.retrial.grad_cam_layers))
    others: dict[str, dict[str, Any]] = {"data": {}, "parameter": {}}
    for setting in settings:
        others["data"] |= _named(computed.get(f"data, {setting}", {}), setting)
        others["parameter"] |= _named(by_method(f"parameter, {setting}"), setting)
    return (
        {"settings": _settings(study, setup, accuracy) | _mask_errors(values)}
        | values
        | ({"other settings": others} if any(others.values()) else {})
    )


def _parts(study: Study, setup: Setup, data: Callable[..., Any], parameter: Callable[..., Parts]) -> Parts:
    """What is computed with the settings of the study, by the name of its file."""
    parts = {"data": partial(data, study.methods(), "data")}
    return parts | (parameter(study.methods(), "parameter") if study.masks(setup) else {})


def _retrial_parts(study: Study, setup: Setup, data: Callable[..., Any], parameter: Callable[..., Parts]) -> Parts:
    """What is computed in other settings, likewise."""
    retrial, parts = study.retrial, {}
    for setting, keywords in OTHER_SETTINGS.items():
        if retrial.data:
            parts[f"data, {setting}"] = partial(data, study.methods(*retrial.data), f"data, {setting}", **keywords)
        if retrial.parameter:
            again = study.methods(*retrial.parameter)
            parts |= parameter(again, f"parameter, {setting}", only=retrial.layers, **keywords)
    if retrial.data:
        n_masks = setup.size(*study.data_masks) // 5
        parts[f"data, {FEWER}"] = partial(data, study.methods(*retrial.data), f"data, {FEWER}", n_masks=n_masks)
    for layer in retrial.grad_cam_layers:
        name, method = f"data, {_grad_cam_of(layer)}", {"Grad-CAM": {"method": "GradCAM", "layer": layer}}
        parts[name] = partial(data, method, name)
    return parts


def _grad_cam_of(layer: str) -> str:
    """The name of the setting in which Grad-CAM is of this layer."""
    return f"{GRAD_CAM_OF} {layer}"


def _by_method(computed: dict[str, Any], methods: list[str], part: str) -> dict[str, Any]:
    """Scores by layer and estimator, and then by method."""
    values: dict[str, Any] = {}
    for method in methods:
        for metric, cell in computed.get(f"{part}, {method}", {}).items():
            values.setdefault(metric, {})[method] = cell
    return values


def _named(rows: dict[str, Any], setting: str) -> dict[str, Any]:
    """Rows of a setting, named by it."""
    return {f"{metric}, {setting}": row for metric, row in rows.items() if FEWER not in metric}


def _mask_errors(values: dict[str, Any]) -> dict[str, float]:
    """The largest error of a mean that the masks contribute, by the regression; random maps do not count, which are noise."""
    largest = {}
    for part in ("data", "parameter"):
        rows = [row for metric, row in values.get(part, {}).items() if metric.endswith(", regression")]
        errors = [row[method].get("mask_error") or math.nan for row in rows for method in row if method != "random"]
        if known := [error for error in errors if not math.isnan(error)]:
            largest[f"masks' error of a mean, {part} SenC, regression, at most"] = max(known)
    return largest


def _settings(study: Study, setup: Setup, accuracy: float) -> dict[str, Any]:
    settings = {
        "test accuracy": round(accuracy, 4),
        "superpixels": study.n_segments,
        "compactness": study.compactness,
        "mask rate": RATE,
        "images, data SenC": setup.size(*study.data_images),
        "masks, data SenC": setup.size(*study.data_masks),
        "steps of IG": study.steps,
    }
    if layers := study.masks(setup):
        settings["images, parameter SenC"] = setup.size(*study.parameter_images)
        settings["masks of each layer, parameter SenC"] = [f"{layer} {n_masks}" for layer, n_masks in layers.items()]
    return settings


def _data(
    study: Study, setup: Setup, model: nn.Module, x: Tensor, y: Tensor, methods: dict[str, Any], part: str, **keywords: Any
) -> dict[str, Any]:
    """Data SenC and top-k agreement. The regression is left out of few masks, which may not suffice for it."""
    senc = DataSensitivityConsistency(
        **{"n_masks": setup.size(*study.data_masks), "mask_rate": RATE, "seed": setup.seed} | keywords,
        segment_func_kwargs={"n_segments": study.n_segments, "compactness": study.compactness},
    )
    regression = {} if "n_masks" in keywords else {"SenC, regression": senc.with_estimator("regression")}
    metrics = {"SenC, paper": senc, **regression, "Top-1": senc.top_k(1), "Top-3": senc.top_k(3)}
    comparison = compare(
        *(model, x, y),
        methods=methods,
        metrics=metrics,
        seed=setup.seed,
        block_size=32,
        folder=setup.folder(study.name, part),
        display_progressbar=True,
    )
    return comparison_values(comparison)


def _parameter(
    masks: dict[str, int],
    seed: int,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    methods: dict[str, Any],
    part: str,
    *,
    only: tuple[str, ...] | None = None,
    **keywords: Any,
) -> Parts:
    """Parameter SenC, a part for each method; of all layers, or of some only."""
    layers = {layer: n_masks for layer, n_masks in masks.items() if only is None or layer in only}
    keywords = {"mask_rate": RATE, "seed": seed} | keywords
    return {
        f"{part}, {name}": partial(parameter_scores, model, x, y, method, layers, **keywords)
        for name, method in methods.items()
    }


def figure(values: dict[str, Any]) -> Figure:
    """Means and their errors: data SenC on the left, parameter SenC of each layer (regression) on the right."""
    panels = ["data", *(["parameter"] if "parameter" in values else [])]
    drawing, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.6), squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], panels, strict=True):
        metrics = {name: row for name, row in values[panel].items() if panel == "data" or name.endswith("regression")}
        for index, (name, row) in enumerate(metrics.items()):
            label = name if panel == "data" else name.removesuffix(", regression")
            points(axis, row, label, shift=0.64 * (index / max(len(metrics) - 1, 1) - 0.5))
        axis.set_title("data SenC" if panel == "data" else "parameter SenC by layer, regression", fontsize=10)
        axis.legend(fontsize=8, frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.22))
    return drawing


def points(axis: Axes, row: dict[str, Any], label: str, shift: float = 0.0) -> None:
    """A point and its error for each method; none where there is no mean."""
    means = [float("nan") if cell["mean"] is None else cell["mean"] for cell in row.values()]
    errors = [cell["error"] or 0.0 for cell in row.values()]
    axis.errorbar([place + shift for place in range(len(row))], means, errors, fmt="o", markersize=3, label=label)
    axis.set_xticks(range(len(row)), list(row), rotation=30)
    axis.axhline(0, color="0.7", linewidth=0.8)
