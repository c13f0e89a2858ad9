"""What a comparison is of: enough to say whether cells that another call has made belong to it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import pandas as pd

FORMAT = 1  # of the folder of a run
_CALLED = {
    "versions": "the versions of packages",
    "model": "the model",
    "images": "the shape of the images",
}
UNKNOWN = "unknown:"  # is in a fingerprint of what cannot be compared, followed by the reason

_ABSENT = {"value": "not given", "fingerprint": ""}


class OtherComparisonError(ValueError):
    """A call is not of the same as the call that began a run.

    Parameters
    ----------
    differences
        What is not the same, in words.
    """

    def __init__(self, differences: list[str]) -> None:
        super().__init__(f"other than in the call that began it are {'; '.join(differences)}")


@dataclass(frozen=True)
class Description:
    """What a comparison is of, in values that JSON can hold.

    Attributes
    ----------
    run
        The identifier of the run, which tells its cells from those of others.
    settings
        `Comparison.settings`, without what follows from methods, images and cells.
    parameters
        The fingerprint of each parameter of `compare`, by name.
    methods
        By name: `call` (in words), `control` (whether it carries no information) and `fingerprint`.
    metrics
        By name: the columns of `Comparison.metrics`, and `fingerprint`.
    images
        The number of each image in the whole data set, in the order of the call.
    blocks
        The fingerprint of the images and classes of each block, by its number.
    """

    run: str
    settings: dict[str, Any]
    parameters: dict[str, str]
    methods: dict[str, dict[str, Any]]
    metrics: dict[str, dict[str, Any]]
    images: list[int]
    blocks: dict[int, str]

    def to_json(self) -> str:
        """The description as text."""
        return json.dumps({"format": FORMAT} | asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Description":
        """The description from which `to_json` has made a text.

        Raises
        ------
        ValueError
            If it is something else, or was written by a newer version of this package.
        """
        try:
            values = json.loads(text)
            version = values.pop("format")
        except (AttributeError, KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"it holds no description of a comparison ({error})") from error
        if version != FORMAT:
            raise ValueError(f"it was written in format {version!r}, but this version of quantus-senc reads format {FORMAT}")
        try:
            values["blocks"] = {int(number): print_ for number, print_ in values["blocks"].items()}
            return cls(**values)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"it holds no description of a comparison ({error})") from error

    def with_more(self, other: "Description") -> "Description":
        """The same with the methods, metrics and images of another call.

        Raises
        ------
        OtherComparisonError
            If anything that both have is not the same in both. The message names it.
        """
        differences = [
            f"{called} ({_first_difference(self.settings[key], other.settings[key])})"
            for key, called in _CALLED.items()
            if self.settings[key] != other.settings[key]
        ]
        differences += _changes("method", self.methods, other.methods)
        parameters = _changes("parameter", self._parameters(), other._parameters(), absent=_ABSENT)
        differences += parameters or _changes("metric", self.metrics, other.metrics)  # metrics are made from parameters
        changed_blocks = [number for number, print_ in self.blocks.items() if other.blocks.get(number, print_) != print_]
        if changed_blocks:
            size = self.settings["parameters"]["block_size"]
            first, last = changed_blocks[0] * size, (changed_blocks[0] + 1) * size - 1
            differences.append(f"the images with numbers {first} to {last}, of which every call must have the same")
        if differences:
            raise OtherComparisonError(differences)
        known = set(self.images)
        return Description(
            self.run,
            self.settings,
            self.parameters,
            self.methods | other.methods,
            self.metrics | other.metrics,
            self.images + [image for image in other.images if image not in known],
            self.blocks | other.blocks,
        )

    def incomparable(self) -> list[str]:
        """What cannot be compared with that of another call, with the reasons."""
        kinds = {"parameter": self._parameters(), "method": self.methods, "metric": self.metrics}
        named = [(f"{kind} {name!r}", entry) for kind, entries in kinds.items() for name, entry in entries.items()]
        return [f"{name} ({reason})" for name, entry in named if (reason := _reason(entry["fingerprint"]))]

    def _parameters(self) -> dict[str, dict[str, Any]]:
        words = self.settings["parameters"]
        return {name: {"value": words[name], "fingerprint": print_} for name, print_ in self.parameters.items()}

    def metric_table(self) -> pd.DataFrame:
        """The table `Comparison.metrics`."""
        columns = ["category", "direction", "why", "parameters"]
        rows = [(name, *(metric[column] for column in columns)) for name, metric in self.metrics.items()]
        return pd.DataFrame(rows, columns=["metric", *columns])

    def all_settings(self, seconds: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
        """The dict `Comparison.settings`.

        Parameters
        ----------
        seconds
            By the name of the method: the duration of the explanation and of each metric.
        """
        return self.settings | {
            "images": {"number": len(self.images)} | self.settings["images"],
            "methods": {name: method["call"] for name, method in self.methods.items()},
            "controls": [name for name, method in self.methods.items() if method["control"]],
            "seconds": {name: {step: round(time, 3) for step, time in steps.items()} for name, steps in seconds.items()},
        }


def _first_difference(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    name = next(name for name in {**mine, **theirs} if mine.get(name) != theirs.get(name))
    return f"{name}: {mine.get(name)!r}, now {theirs.get(name)!r}"


def _changes(
    kind: str, mine: Mapping[str, Any], theirs: Mapping[str, Any], absent: Mapping[str, Any] | None = None
) -> list[str]:
    """What has changed among parameters, methods or metrics, in words.

    Parameters
    ----------
    absent
        What stands for one that one call does not have; None if that is no change.
    """
    pairs = {name: (mine.get(name, absent), theirs.get(name, absent)) for name in {**mine, **theirs}}
    changes = {name: _change(one, other) for name, (one, other) in pairs.items() if one and other}
    return [f"{kind} {name!r} ({change})" for name, change in changes.items() if change]


def _change(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """How a parameter, a method or a metric has changed, in words if these differ; empty if it has not."""
    if reason := _reason(mine["fingerprint"]) or _reason(theirs["fingerprint"]):
        return reason
    if mine["fingerprint"] == theirs["fingerprint"]:
        return ""
    named = [key for key in ("value", "call", "parameters") if mine.get(key) != theirs.get(key)]
    return f"{mine[named[0]]}, now {theirs[named[0]]}" if named else "its code, or what it holds"


def _reason(fingerprint: str) -> str:
    """Why something cannot be compared, and the remedy; empty if it can."""
    _, unknown, reason = fingerprint.partition(UNKNOWN)
    return f"it cannot be compared:{reason}; pass plain values instead" if unknown else ""
