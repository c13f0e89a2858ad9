"""The cells of a comparison: one metric of one method, whatever the others do."""

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from torch import nn
from tqdm.auto import tqdm

from quantus_senc._consistency import Sensitivity
from quantus_senc._data import DataSensitivityConsistency
from quantus_senc._examples import Examples
from quantus_senc._host import copied, host_array, model_device
from quantus_senc._method_set import Method
from quantus_senc._metric import SensitivityConsistency
from quantus_senc._parameter import ParameterSensitivityConsistency
from quantus_senc._preserve import preserved
from quantus_senc._seeds import seeded
from quantus_senc._views import View


@dataclass
class Scoring:
    """What a comparison has found so far."""

    model: nn.Module
    x_batch: np.ndarray
    y_batch: np.ndarray
    batch_size: int
    seed: int
    found: dict[tuple[str, str], tuple[list[float], list[float], str]] = field(default_factory=dict)
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.examples = Examples(self.x_batch[0], int(self.y_batch[0]), {}, {}, {})

    def explain_and_score(self, name: str, method: Method, metrics: Mapping[str, Any], progress: "tqdm[Any]") -> None:
        """All metrics of one method."""
        took = self.seconds.setdefault(name, {})
        progress.set_description(name)
        start = time.perf_counter()
        try:
            maps = self._explained(method)
        except Exception as error:  # whatever a method does, the others go on
            for metric in metrics:
                self.found[metric, name] = self._nothing(f"the method failed: {_said(error)}")
            progress.update(len(metrics))
            return
        took["explanation"] = time.perf_counter() - start
        self.examples.maps[name] = maps[0].sum(0) if maps.ndim == 4 else maps[0]  # type: ignore[index]
        for metric_name, metric in metrics.items():
            progress.set_description(f"{name}: {metric_name}")
            start = time.perf_counter()
            self.found[metric_name, name] = self._scored(method, metric, maps)
            took[metric_name] = time.perf_counter() - start
            self._note_example(name, metric)
            progress.update()

    def _explained(self, method: Method) -> np.ndarray:
        with preserved(self.model), seeded(self.seed):
            parts = [
                host_array(
                    method.explain_func(
                        model=self.model,
                        inputs=self.x_batch[start : start + self.batch_size].copy(),  # a method may alter them
                        targets=self.y_batch[start : start + self.batch_size].copy(),
                        **copied(method.explain_func_kwargs),
                    )
                )
                for start in range(0, len(self.x_batch), self.batch_size)
            ]
        maps = np.concatenate(parts)
        if maps.ndim < 2 or len(maps) != len(self.x_batch) or maps.dtype.kind not in "fiu":
            raise ValueError(f"it returned maps of shape {maps.shape} and type {maps.dtype}; return a real map for each input")
        return maps

    def _scored(self, method: Method, metric: Any, maps: np.ndarray) -> tuple[list[float], list[float], str]:
        """Score and standard error of each image, and why there are none."""
        device = model_device(self.model)
        call: dict[str, Any] = {} if device.type == "cpu" else {"device": str(device)}
        try:
            with preserved(self.model), seeded(self.seed):
                returned = metric(
                    model=self.model,
                    x_batch=self.x_batch.copy(),
                    y_batch=self.y_batch.copy(),
                    a_batch=maps.copy(),
                    s_batch=None,
                    explain_func=method.explain_func,
                    explain_func_kwargs=copied(method.explain_func_kwargs),
                    batch_size=self.batch_size,
                    **call,
                )
            scores = self._one_an_image(returned)
        except Exception as error:  # whatever a metric does, the others go on
            return self._nothing(_said(error))
        own = isinstance(metric, SensitivityConsistency)
        errors = self._one_an_image(metric.standard_errors) if own else [np.nan] * len(scores)
        return scores, errors, _why_none(metric, scores, maps)

    def _one_an_image(self, returned: Any) -> list[float]:
        try:
            scores = np.asarray(returned, dtype=np.float64)
        except (TypeError, ValueError):
            scores = np.empty(0)
        if scores.shape != (len(self.x_batch),):
            raise ValueError(
                f"it returned a {type(returned).__name__}, not one number for each of {len(self.x_batch)} images; pass "
                "a metric that returns no aggregate, no curve and no dict"
            )
        return scores.tolist()

    def _nothing(self, failure: str) -> tuple[list[float], list[float], str]:
        nan = [np.nan] * len(self.x_batch)
        return nan, nan, failure

    def _note_example(self, name: str, metric: Any) -> None:
        """Keep what the first metric of each kind found for the first image."""
        kinds = {DataSensitivityConsistency: self.examples.features, ParameterSensitivityConsistency: self.examples.units}
        kept = kinds.get(type(metric))
        if kept is not None and name not in kept and metric.sensitivities:
            kept[name] = _records(metric)[0]  # type: ignore[index]

    def scores(self, metrics: Mapping[str, Any]) -> pd.DataFrame:
        """One row a metric, method and image."""
        rows = [
            {"metric": metric, "method": method, "image": image, "score": score, "standard_error": error, "failure": failure}
            for metric in metrics
            for method in self.seconds
            for scores, errors, failure in [self.found[metric, method]]
            for image, (score, error) in enumerate(zip(scores, errors, strict=True))
        ]
        return pd.DataFrame(rows)


def _records(metric: Any) -> list[Sensitivity]:
    """A record an image: of the first layer, where there are several."""
    found = metric.sensitivities
    return next(iter(found.values())) if isinstance(found, dict) else found


def _why_none(metric: Any, scores: list[float], maps: np.ndarray) -> str:
    """Why no image has a score: what the metric knows, or what is the matter with the maps."""
    if not np.isnan(scores).all():
        return ""
    source = metric.metric if isinstance(metric, View) else metric
    if isinstance(source, SensitivityConsistency):
        reasons = Counter(record.undefined for record in _records(source) if record.undefined)
    else:
        reasons = Counter(_flaw(one) for one in maps)
    return "; ".join(f"{count} of {len(scores)} images have {reason}" for reason, count in reasons.most_common())


def _flaw(values: np.ndarray) -> str:
    if not np.isfinite(values).all():
        return "an attribution that is not finite"
    return "a constant attribution" if values.max() == values.min() else "a score that is not finite"


def _said(error: Exception) -> str:
    """The first line of an error's message, and of which kind it is."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
