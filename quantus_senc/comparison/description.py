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
    "parameters": "the parameters",
}


@dataclass(frozen=True)
class Description:
    """What a comparison is of, in values that JSON can hold.

    Attributes
    ----------
    run
        The identifier of the run, which tells its cells from those of others.
    settings
        `Comparison.settings`, without what follows from methods, images and cells.
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
        values["blocks"] = {int(number): print_ for number, print_ in values["blocks"].items()}
        return cls(**values)

    def with_more(self, other: "Description") -> "Description":
        """The same with the methods, metrics and images of another call.

        Raises
        ------
        ValueError
            If anything that both have is not the same in both. The message names it.
        """
        differences = [
            f"{called} ({_first_difference(self.settings[key], other.settings[key])})"
            for key, called in _CALLED.items()
            if self.settings[key] != other.settings[key]
        ]
        for kind, mine, theirs in (("method", self.methods, other.methods), ("metric", self.metrics, other.metrics)):
            changed = [name for name in mine if name in theirs and mine[name]["fingerprint"] != theirs[name]["fingerprint"]]
            differences += [f"{kind} {name!r} ({_change(mine[name], theirs[name])})" for name in changed]
        changed_blocks = [number for number, print_ in self.blocks.items() if other.blocks.get(number, print_) != print_]
        if changed_blocks:
            size = self.settings["parameters"]["block_size"]
            first, last = changed_blocks[0] * size, (changed_blocks[0] + 1) * size - 1
            differences.append(f"the images with numbers {first} to {last}, of which every call must have the same")
        if differences:
            raise ValueError(f"other than in the call that began it are {'; '.join(differences)}")
        known = set(self.images)
        return Description(
            self.run,
            self.settings,
            self.methods | other.methods,
            self.metrics | other.metrics,
            self.images + [image for image in other.images if image not in known],
            self.blocks | other.blocks,
        )

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


def _change(mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> str:
    """How a method or a metric has changed, in words if these differ."""
    named = [key for key in ("call", "parameters") if mine.get(key) != theirs.get(key)]
    return f"{mine[named[0]]}, now {theirs[named[0]]}" if named else "its code, or what it holds"
