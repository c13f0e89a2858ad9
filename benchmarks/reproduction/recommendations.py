"""What follows for users from the results."""

from collections.abc import Callable, Mapping
from typing import Any

Results = Mapping[str, Mapping[str, Any]]
RECOMMENDATIONS: list[Callable[[Results], str]] = []
