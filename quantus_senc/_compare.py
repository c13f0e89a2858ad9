"""`quantus_senc.compare`: explanation methods by metrics, every one on the same images."""

import platform
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from tqdm.auto import tqdm

from quantus_senc._arguments import check_inputs, parameter_names
from quantus_senc._comparison import Comparison
from quantus_senc._directions import category, direction
from quantus_senc._explain import Subject
from quantus_senc._host import host_array, model_device
from quantus_senc._method_set import DEFAULT_METHODS, Method, named_methods
from quantus_senc._metric_set import named_metrics
from quantus_senc._per_image import PerImage
from quantus_senc._preserve import preserved
from quantus_senc._scoring import Scoring
from quantus_senc._views import View

_PACKAGES = ("quantus", "captum", "torch", "numpy", "scipy", "scikit-image")


def compare(
    model: nn.Module,
    x_batch: ArrayLike | Tensor,
    y_batch: ArrayLike | Tensor,
    *,
    methods: str | Sequence[str] | Mapping[str, Any] = DEFAULT_METHODS,
    metrics: str | Sequence[str] | Mapping[str, Any] | None = None,
    n_masks: int | str = 500,
    mask_rate: float = 0.8,
    tolerance: float | None = None,
    seed: int = 42,
    batch_size: int = 64,
    display_progressbar: bool = False,
    **kwargs: Any,
) -> Comparison:
    """Scores of explanation methods by sensitivity consistency, faithfulness and randomisation metrics, side by side.

    A method or metric that fails costs its own scores, and the result says why; everything else goes on. Segmentation and the
    predictions of masked images are computed once for all methods. The model comes out as it went in.

    Parameters
    ----------
    model
        Returns (B, classes).
    x_batch
        Images (B, C, H, W), series (B, C, T) or tables (B, F); arrays or tensors.
    y_batch
        The classes to explain, (B,).
    methods
        Names of methods of `quantus_senc.explain` and of controls ("random", "fixed random", "blurred noise", "Sobel", "blob",
        "input"); or a dict from names to such names, to keywords of `explain`, to an `explain_func`, or to a pair of an
        `explain_func` and its keywords. By default the six methods of the paper, and random maps.
    metrics
        Names of metrics; or a dict from names to metrics, as for `quantus.evaluate` (each must return one number an image),
        or to the names of known ones. None takes all known ones that apply to the data and the model: see
        `quantus_senc.default_metrics`.
    n_masks, mask_rate, tolerance, seed
        Of the sensitivity consistency metrics; the seed is all metrics'.
    batch_size
        How many images metrics and methods are given at a time. Those of Quantus that draw random numbers draw them a batch
        at a time, so that their scores change with it.
    display_progressbar
        Whether progress is shown.
    kwargs
        More parameters of `DataSensitivityConsistency`: `segment_func`, `segment_func_kwargs`, `perturb_baseline`.

    Returns
    -------
    Comparison
        With `to_frame`, `summary`, `agreement`, `verdict`, `save` and `report`.

    Raises
    ------
    ValueError
        If an argument is wrong, before anything is run.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    >>> result = compare(model, torch.rand(5, 4), [0, 1, 2, 0, 1], methods=["Saliency", "random"], metrics=["SenC", "MPRT"])
    >>> result.summary()[["metric", "method"]].values.tolist()
    [['SenC', 'Saliency'], ['SenC', 'random'], ['MPRT', 'Saliency'], ['MPRT', 'random']]
    """
    x_batch, y_batch = host_array(x_batch), host_array(y_batch)
    check_inputs(model, x_batch, y_batch, None, batch_size)
    n_classes = _n_classes(model, x_batch, y_batch)
    chosen = named_methods(methods)
    masks = {"n_masks": n_masks, "mask_rate": mask_rate, "tolerance": tolerance, "seed": seed}
    measured = named_metrics(metrics, x_batch, model, n_classes=n_classes, **masks, **kwargs)
    described = pd.DataFrame([_described(name, metric) for name, metric in measured.items()])
    run = Scoring(model, x_batch, y_batch, batch_size, seed)
    with tqdm(total=len(chosen) * len(measured), unit="score", disable=not display_progressbar) as progress:
        for name, method in chosen.items():
            run.explain_and_score(name, method, measured, progress)
    return Comparison(
        run.scores(measured),
        described,
        _settings(run, chosen, masks | kwargs | {"batch_size": batch_size}),
        run.examples if x_batch.ndim == 4 else None,
    )


def _n_classes(model: nn.Module, x_batch: np.ndarray, y_batch: np.ndarray) -> int:
    subject = Subject(model, {}, True, lambda **kwargs: None, {}, None, False)
    with preserved(model):
        try:
            n_classes = subject.outputs(subject.inputs(x_batch[:1])).shape[1]
        except ValueError:
            raise
        except Exception as error:  # a model may raise anything for inputs that do not fit it
            raise ValueError(f"the model fails on x_batch of shape {x_batch.shape}: {error}") from error
        subject.check_targets(x_batch, y_batch)
    return n_classes


def _described(name: str, metric: Any) -> dict[str, str]:
    better, why = direction(metric)
    return {"metric": name, "category": category(metric), "direction": better, "why": why, "parameters": _parameters(metric)}


def _parameters(metric: Any) -> str:
    """How somebody would write the metric."""
    if isinstance(metric, View):
        return f"{metric.name} of {type(metric.metric).__name__}"
    inner = metric.metric if isinstance(metric, PerImage) else metric
    known = parameter_names(type(inner), "__init__") if "__init__" in vars(type(inner)) else []
    values = {name: getattr(inner, name) for name in known if isinstance(getattr(inner, name, None), bool | int | float | str)}
    return f"{type(inner).__name__}({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def _settings(run: Scoring, methods: Mapping[str, Method], parameters: Mapping[str, Any]) -> dict[str, Any]:
    from quantus_senc import __version__

    device = model_device(run.model)
    return {
        "versions": {"quantus_senc": __version__, "python": platform.python_version(), **{p: version(p) for p in _PACKAGES}},
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "model": {
            "class": type(run.model).__name__,
            "parameters": sum(parameter.numel() for parameter in run.model.parameters()),
        },
        "images": {"number": len(run.x_batch), "shape": list(run.x_batch.shape[1:])},
        "methods": {name: str(method) for name, method in methods.items()},
        "controls": [name for name, method in methods.items() if method.is_control],
        "parameters": {name: value if _is_plain(value) else repr(value) for name, value in parameters.items()},
        "seconds": {name: {part: round(t, 3) for part, t in took.items()} for name, took in run.seconds.items()},
    }


def _is_plain(value: Any) -> bool:
    return isinstance(value, bool | int | float | str | type(None))
