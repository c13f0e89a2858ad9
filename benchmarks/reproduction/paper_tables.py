"""Data and parameter SenC of the paper's methods on one image set: sections 4.2.1 to 4.3 of the paper."""

from dataclasses import dataclass
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
Sizes = tuple[int, int, int]  # at the scales quick, full and smoke


@dataclass(frozen=True)
class Study:
    """What is compared.

    Attributes
    ----------
    name
        Of the experiment.
    n_segments, compactness
        Of the superpixels (SLIC).
    layers
        Of parameter SenC; none for data SenC alone.
    data_images, data_masks, parameter_images, parameter_masks
        Numbers at each scale; masks are for an image, or for an image and a layer.
    leave_out
        Methods of the paper that do not apply to the network.
    steps
        Of Integrated Gradients; Captum's default of 50 takes many times as long.
    tried_again
        Methods that are run in the other settings, too, for claims that do not hold.
    """

    name: str
    n_segments: int
    compactness: float
    layers: tuple[str, ...]
    data_images: Sizes
    data_masks: Sizes
    parameter_images: Sizes = (0, 0, 0)
    parameter_masks: Sizes = (0, 0, 0)
    leave_out: tuple[str, ...] = ()
    steps: int = 10
    tried_again: tuple[str, ...] = ()

    def methods(self) -> dict[str, Any]:
        """The paper's methods that apply, and random maps."""
        methods = PAPER_METHODS | {"IG": {"method": "IntegratedGradients", "n_steps": self.steps}} | BASELINE
        return {name: value for name, value in methods.items() if name not in self.leave_out}


def paper_tables(study: Study, setup: Setup, model: nn.Module, x: Tensor, y: Tensor, accuracy: float) -> dict[str, Any]:
    """Scores of data SenC with both estimators, top-k agreement, and parameter SenC by layer.

    Parameters
    ----------
    x, y
        At least as many images (N, C, H, W) and classes (N,) as the study asks for.
    accuracy
        Of the model on the test images.
    """
    n_data, n_parameter = setup.size(*study.data_images), setup.size(*study.parameter_images)
    of_data, of_parameters = (model, x[:n_data], y[:n_data]), (model, x[:n_parameter], y[:n_parameter])
    values: dict[str, Any] = {"settings": _settings(study, setup, accuracy)}
    values["data"] = _data(study, setup, *of_data, study.methods(), "data")
    if study.layers:
        values["parameter"] = _parameter(study, setup, *of_parameters, study.methods(), "parameter")
    if again := {name: method for name, method in study.methods().items() if name in study.tried_again}:
        values["other settings"] = {"data": {}, "parameter": {}}
        for setting, keywords in OTHER_SETTINGS.items():
            rows = {
                "data": _data(study, setup, *of_data, again, f"data, {setting}", **keywords),
                "parameter": _parameter(study, setup, *of_parameters, again, f"parameter, {setting}", **keywords),
            }
            for part, scores in rows.items():
                named = {f"{metric}, {setting}": row for metric, row in scores.items() if FEWER not in metric}
                values["other settings"][part] |= named
        few = _data(study, setup, *of_data, again, f"data, {FEWER}", n_masks=setup.size(*study.data_masks) // 5)
        values["other settings"]["data"] |= {f"{metric}, {FEWER}": row for metric, row in few.items()}
    return values


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
    if study.layers:
        settings["images, parameter SenC"] = setup.size(*study.parameter_images)
        settings["masks of a layer, parameter SenC"] = setup.size(*study.parameter_masks)
        settings["layers"] = list(study.layers)
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
        block_size=8,
        folder=setup.folder(study.name, part),
        display_progressbar=True,
    )
    return comparison_values(comparison)


def _parameter(
    study: Study, setup: Setup, model: nn.Module, x: Tensor, y: Tensor, methods: dict[str, Any], part: str, **keywords: Any
) -> dict[str, Any]:
    """Scores by layer and estimator, and then by method. Each method has a file."""
    sizes = {"n_masks": setup.size(*study.parameter_masks), "mask_rate": RATE, "seed": setup.seed} | keywords
    values: dict[str, Any] = {}
    for name, method in methods.items():
        compute = partial(parameter_scores, model, x, y, method, list(study.layers), **sizes)
        for metric, cell in setup.part(study.name, f"{part}, {name}", compute).items():
            values.setdefault(metric, {})[name] = cell
    return values


def figure(values: dict[str, Any]) -> Figure:
    """Means and their errors: data SenC on the left, parameter SenC of each layer (regression) on the right."""
    panels = ["data", *(["parameter"] if "parameter" in values else [])]
    drawing, axes = plt.subplots(1, len(panels), figsize=(4.5 * len(panels), 3.2), squeeze=False, layout="constrained")
    for axis, panel in zip(axes[0], panels, strict=True):
        metrics = {name: row for name, row in values[panel].items() if panel == "data" or name.endswith("regression")}
        for index, (name, row) in enumerate(metrics.items()):
            points(axis, row, name, shift=0.64 * (index / max(len(metrics) - 1, 1) - 0.5))
        axis.set_title(f"{panel} SenC", fontsize=10)
        axis.legend(fontsize=6)
    return drawing


def points(axis: Axes, row: dict[str, Any], label: str, shift: float = 0.0) -> None:
    """A point and its error for each method; none where there is no mean."""
    means = [float("nan") if cell["mean"] is None else cell["mean"] for cell in row.values()]
    errors = [cell["error"] or 0.0 for cell in row.values()]
    axis.errorbar([place + shift for place in range(len(row))], means, errors, fmt="o", markersize=3, label=label)
    axis.set_xticks(range(len(row)), list(row), rotation=30)
    axis.axhline(0, color="0.7", linewidth=0.8)
