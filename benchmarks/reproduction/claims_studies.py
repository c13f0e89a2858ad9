"""Claims that experiments 5 to 8 try, and what follows for users."""

from collections.abc import Callable, Mapping
from typing import Any

from benchmarks.reproduction.claims import Claim

Results = Mapping[str, Mapping[str, Any]]
CLAIMS: list[Claim] = []
RECOMMENDATIONS: list[Callable[[Results], str]] = []
