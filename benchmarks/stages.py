"""A stopwatch for the stages of SenC, which wraps their functions as long as it runs."""

import time
from collections import Counter
from collections.abc import Iterable
from contextlib import ExitStack
from functools import wraps
from typing import Any
from unittest.mock import patch

import torch

from quantus_senc import (
    ParameterSensitivityConsistency,
    _data,
    _explain,
    _features,
    _findings,
    _masked_images,
    _masked_models,
    _metric,
    _preserve,
)
from quantus_senc._batch import Batch, Originals
from quantus_senc._distinct import Known
from quantus_senc._explain import Subject
from quantus_senc._hook_proof import HookProof
from quantus_senc._masked_images import Images
from quantus_senc._reuse import Reuse
from quantus_senc._runs import Runs
from quantus_senc._survey import Survey

# Where a stage's functions are looked up. Of those in _WHOLE all that they call is their own time.
_FUNCTIONS: dict[str, list[tuple[Any, str]]] = {
    "segment": [(_features, "segment")],
    "once": [
        (Subject, "check_targets"),
        (Subject, "tried"),
        (Subject, "originals"),
        (Originals, "of"),
        (_metric, "in_faster_layout"),
        (_metric.SensitivityConsistency, "general_preprocess"),
        (_data, "fingerprint"),
        (Runs, "key"),
        (ParameterSensitivityConsistency, "prepare"),
        (Reuse, "__init__"),
        (_preserve._ModuleState, "__init__"),
        (_preserve._ModuleState, "restore"),
        (_preserve._TensorState, "__init__"),
        (_preserve._TensorState, "restore"),
    ],
    "checks": [(Batch, "flaw"), (Images, "repeat"), (HookProof, "of"), (HookProof, "probe")],
    "masks": [(Survey, "masks")],
    "distinct": [
        (_data, "mask_keys"),
        (_masked_models, "mask_keys"),
        (_findings, "first_of_each"),
        (_masked_models, "first_of_each"),
        (Known, "has"),
        (Known, "get"),
        (Known, "put"),
    ],
    "perturb": [(_masked_images, "eliminate")],
    "predict": [(Subject, "outputs")],
    "explain": [(Subject, "explain")],
    "similarity": [(Originals, "similarity")],
    "sensitivity": [(Survey, "add")],
    "scores": [(Survey, "records")],
    "transfers": [(Subject, "inputs"), (Subject, "targets"), (_explain, "as_tensor"), (_metric, "host_array")],
}
_WHOLE = {"once", "checks", "explain"}
ONCE = ("segment", "once", "checks", "scores")
STAGES = (*_FUNCTIONS, "rest")


class Stopwatch:
    """Seconds of each stage, and how often it was called, while the context lasts.

    Parameters
    ----------
    device
        What to wait for at the begin and end of a stage.
    stages
        Which are told apart from the rest.

    Attributes
    ----------
    seconds
        Of each stage, without what it spends in others.
    calls
        Of its functions.
    """

    def __init__(self, device: torch.device, stages: Iterable[str] = tuple(_FUNCTIONS)) -> None:
        self.device = device
        self.stages = stages
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self.calls: Counter[str] = Counter()
        self._patches = ExitStack()
        self._running = ["rest"]
        self._since = 0.0

    @property
    def total(self) -> float:
        """Seconds of all stages."""
        return sum(self.seconds.values())

    @property
    def once(self) -> float:
        """Seconds of what is done once in a call or for an image, however many masks it gets."""
        return sum(self.seconds[stage] for stage in ONCE)

    def __enter__(self) -> "Stopwatch":
        for stage in self.stages:
            for owner, name in _FUNCTIONS[stage]:
                self._patches.enter_context(patch.object(owner, name, self._timed(stage, owner, name)))
        self._since = self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self._switch()
        self._patches.close()

    def _timed(self, stage: str, owner: Any, name: str) -> Any:
        original = getattr(owner, name)

        @wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            if self._running[-1] in _WHOLE:
                return original(*args, **kwargs)
            self.calls[stage] += 1
            self._switch(stage)
            try:
                return original(*args, **kwargs)
            finally:
                self._switch()

        bound = isinstance(vars(owner).get(name), classmethod) if isinstance(owner, type) else False
        return staticmethod(timed) if bound else timed

    def _switch(self, stage: str | None = None) -> None:
        """Give the time since the last switch to the stage that ran; then go on with another, or with its caller."""
        now = self._now()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now
        if stage is None:
            self._running.pop()
        else:
            self._running.append(stage)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
