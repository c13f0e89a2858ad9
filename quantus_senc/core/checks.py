"""Checks of what a user passes, each with the argument, its value and the remedy."""

import inspect
import math
from collections.abc import Iterable
from difflib import get_close_matches
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantus_senc.core.estimators import ESTIMATORS
from quantus_senc.core.perturb import BASELINES
from quantus_senc.core.record import Sensitivity
from quantus_senc.core.segment import SEGMENT_FUNCS, keyword_names


def check_known(what: str, name: str, known: Iterable[str]) -> None:
    """Raise ValueError, naming the nearest known name, unless `name` is known."""
    known = list(known)
    if not known:
        raise ValueError(f"unknown {what} {name!r}; there is none")
    if name not in known:
        nearest = get_close_matches(name, known, n=1, cutoff=0)[0]
        raise ValueError(f"unknown {what} {name!r}; did you mean {nearest!r}? Known: {', '.join(known)}")


def parameter_names(cls: type, method: str) -> list[str]:
    """The keywords that a method takes, in a class or in those that it extends and passes keywords on to."""
    signatures = [inspect.signature(vars(base)[method]) for base in cls.__mro__ if base is not object and method in vars(base)]
    parameters = {name: p for signature in signatures for name, p in signature.parameters.items()}
    return [name for name, p in parameters.items() if name != "self" and p.kind is not p.VAR_KEYWORD]


def check_keywords(given: dict[str, Any], cls: type, method: str) -> None:
    """Raise ValueError for a keyword that a method does not take."""
    known = parameter_names(cls, method) if given else []
    for name in given:
        check_known("keyword", name, known)


def check_integer(name: str, value: object, least: int, most: int, otherwise: str = "") -> None:
    """Raise ValueError unless `value` is an integer from `least` to `most`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= int(value) <= most:
        raise ValueError(f"{name}={value!r} must be an integer from {least} to {most}{otherwise}")


def check_number(name: str, value: object) -> None:
    """Raise ValueError unless `value` is a finite number that is not negative."""
    if not _is_number(value) or float(value) < 0:  # type: ignore[arg-type]
        raise ValueError(f"{name}={value!r} must be a finite number, 0 or more")


def check_masks(n_masks: object, mask_rate: object, seed: object, max_batch_size: object) -> None:
    """Check what both metrics draw masks by."""
    if n_masks != "all":
        if isinstance(n_masks, str):
            raise ValueError(f"n_masks={n_masks!r} must be an integer, or 'all'")
        check_integer("n_masks", n_masks, 2, 2**32 - 2, " or 'all'")
    check_integer("seed", seed, 0, 2**64 - 1)
    if not _is_number(mask_rate) or not 2**-32 < float(mask_rate) < 1 - 2**-32:  # type: ignore[arg-type]
        raise ValueError(f"mask_rate={mask_rate!r} must be a probability between 0 and 1, both excluded; the paper's is 0.8")
    if max_batch_size != "auto":
        if isinstance(max_batch_size, str):
            raise ValueError(f"max_batch_size={max_batch_size!r} must be 'auto' or a positive integer")
        check_integer("max_batch_size", max_batch_size, 1, 2**63 - 1)


def check_estimator(estimator: object, tolerance: object) -> None:
    """Check the name of an estimator, and that a tolerance is a standard error."""
    check_known("estimator", str(estimator), ESTIMATORS)
    if tolerance is not None and not (_is_number(tolerance) and float(tolerance) > 0):  # type: ignore[arg-type]
        raise ValueError(f"tolerance={tolerance!r} must be None or a positive standard error, such as 0.05")


def check_segment_func(segment_func: object, segment_func_kwargs: object) -> None:
    """Check the name of a segmentation and its keywords, as far as that is possible without inputs."""
    if not isinstance(segment_func_kwargs, dict | None):
        raise ValueError(f"segment_func_kwargs={segment_func_kwargs!r} must be a dict")
    kwargs = segment_func_kwargs or {}
    if isinstance(segment_func, str):
        check_known("segment_func", segment_func, SEGMENT_FUNCS)
        for name in kwargs:
            check_known(f"keyword of segment_func={segment_func!r} in segment_func_kwargs", name, keyword_names(segment_func))
    elif segment_func is not None and not callable(segment_func):
        raise ValueError(f"segment_func={segment_func!r} must be None, a callable, or one of {', '.join(SEGMENT_FUNCS)}")
    for name in ("pixels_per_segment", "n_segments", "patch_size", "window_size"):
        if kwargs.get(name) is not None and not callable(segment_func):
            check_integer(name, kwargs[name], 1, 2**31)


def check_perturb_baseline(perturb_baseline: object) -> None:
    """Check that a baseline is a finite number, a known name or a callable."""
    if isinstance(perturb_baseline, str):
        check_known("perturb_baseline", perturb_baseline, BASELINES)
    elif not callable(perturb_baseline) and not _is_number(perturb_baseline):
        raise ValueError(
            f"perturb_baseline={perturb_baseline!r} must be a finite number, a callable, or one of {', '.join(BASELINES)}"
        )


def check_predictions(records: object, labels: Tensor) -> None:
    """Check that records, if there are any, are of images with these features, (B, \\*spatial)."""
    if records is None:
        return
    given = [one.labels for one in records if isinstance(one, Sensitivity)] if isinstance(records, list) else []
    fits = isinstance(records, list) and len(records) == len(given) == len(labels)
    if not fits or any(one is None or not torch.equal(one, own) for one, own in zip(given, labels, strict=True)):
        raise ValueError("predictions must be the records of the same images with the same labels of features; leave them out")


def check_noise(records: Iterable[Sensitivity], seed: int, image_ids: Tensor) -> None:
    """Check that records are of images in which masks show the noise of this seed and these image_ids, (B,)."""
    for record, image_id in zip(records, image_ids.tolist(), strict=True):
        design = record.design
        if (design.seed, design.streams.tolist()) != (seed, [image_id]):
            raise ValueError(
                f"predictions hold the record of image_ids={design.streams.tolist()} and seed={design.seed}, in which masked "
                f"features show other noise than those of image_ids={[image_id]} and seed={seed}; leave them out, or pass "
                "the same image_ids"
            )


def check_image_ids(image_ids: np.ndarray, n_images: int) -> None:
    """Check that every image has a number of its own."""
    if image_ids.shape != (n_images,):
        raise ValueError(f"image_ids of shape {image_ids.shape} must be ({n_images},): one number an image, or None")
    for place, image_id in enumerate(image_ids.tolist()):
        check_integer(f"image_ids[{place}]", image_id, 0, 2**63 - 1)
    repeated = np.setdiff1d(np.arange(n_images), np.unique(image_ids, return_index=True)[1])
    if len(repeated):
        raise ValueError(
            f"image_ids hold {image_ids[repeated[0]]} more than once, again at index {repeated[0]}; give every image a number "
            "of its own, since those of the same number get the same masks"
        )


def check_neighbours(name: str, shape: tuple[int, ...]) -> None:
    """Raise ValueError if inputs of this shape are a table, whose columns have no neighbours."""
    if len(shape) < 3:
        raise ValueError(
            f"{name} needs neighbours, but inputs of shape {tuple(shape)} are a table; use explain_random, for instance"
        )


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def check_explain_func(explain_func: object, explain_func_kwargs: object) -> None:
    """Check that an explanation method can be called with its keywords."""
    if not callable(explain_func):
        raise ValueError(f"explain_func={explain_func!r} must be a callable; pass quantus.explain, for instance")
    if not isinstance(explain_func_kwargs, dict | None):
        raise ValueError(f"explain_func_kwargs={explain_func_kwargs!r} must be a dict")
    for name in {"model", "inputs", "targets"} & set(explain_func_kwargs or {}):
        raise ValueError(f"explain_func_kwargs holds {name!r}, which the metric passes itself; leave it out")


def check_inputs(model: object, x_batch: np.ndarray, y_batch: np.ndarray, channel_first: object) -> None:
    """Check what can be said of a model and its inputs without running it."""
    if not isinstance(model, nn.Module):
        kind = type(model)
        raise ValueError(f"model={kind.__module__}.{kind.__qualname__} must be a torch.nn.Module")
    if x_batch.ndim < 2 or x_batch.dtype.kind not in "fiub" or 0 in x_batch.shape[1:]:
        raise ValueError(
            f"x_batch of shape {x_batch.shape} and type {x_batch.dtype} must hold numbers: images (B, C, H, W), series "
            "(B, C, T) or tables (B, F)"
        )
    if channel_first not in (None, True, False):
        raise ValueError(f"channel_first={channel_first!r} must be True, False, or None to infer it")
    if x_batch.ndim > 4 and channel_first is None:
        raise ValueError(
            f"x_batch of shape {x_batch.shape} has too many axes to infer channel_first; pass True or False where it is taken"
        )
    if y_batch.ndim != 1 or y_batch.dtype.kind not in "iu":
        raise ValueError(f"y_batch of shape {y_batch.shape} and type {y_batch.dtype} must be one class index an image")
    if len(x_batch) != len(y_batch) or len(x_batch) == 0:
        raise ValueError(f"x_batch holds {len(x_batch)} inputs and y_batch {len(y_batch)} classes; pass one class an input")
