"""The results of the last runs, found again by what went into them."""

from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

from quantus_senc._fingerprint import fingerprint

T = TypeVar("T")

_METHOD = ("model", "x_batch", "y_batch", "explain_func", "explain_func_kwargs")
_HOW = ("channel_first", "model_predict_kwargs", "softmax", "device", "custom_batch")


class Runs:
    """Results of a metric for one model, set of images and explanation method; another takes their place.

    Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self.method: Hashable = None
        self.results: dict[Hashable, Any] = {}

    def key(self, call: Mapping[str, Any], parameters: Mapping[str, Any]) -> tuple[Hashable, Hashable]:
        """What a run with these arguments and parameters is found by."""
        method, how = ([call.get(name) for name in names] for names in (_METHOD, _HOW))
        return fingerprint(method), fingerprint([how, dict(parameters)])

    def find(self, key: tuple[Hashable, Hashable]) -> Any:
        """The result of a run, or None."""
        return self.results.get(key[1]) if key[0] == self.method else None

    def keep(self, key: tuple[Hashable, Hashable], result: Any) -> None:
        """Remember a result, and forget those of other methods, images and models."""
        if key[0] != self.method:
            self.method, self.results = key[0], {}
        self.results[key[1]] = result

    def __reduce__(self) -> tuple[type["Runs"], tuple[()]]:
        return Runs, ()


class Latest(Generic[T]):
    """What was made last, and for which key.

    Copies and pickles are empty.
    """

    def __init__(self) -> None:
        self.made: list[tuple[Hashable, T]] = []

    def of(self, key: Hashable, make: Callable[[], T]) -> T:
        """What was made for this key, or what `make` returns now."""
        if not self.made or self.made[0][0] != key:
            self.made = [(key, make())]
        return self.made[0][1]

    def __reduce__(self) -> tuple[type["Latest"], tuple[()]]:
        return Latest, ()
