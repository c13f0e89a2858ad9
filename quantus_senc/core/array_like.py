"""The types of what users pass as numbers, under names that `help` prints as they are."""

from numpy.typing import ArrayLike as _ArrayLike
from typing_extensions import TypeAliasType

ArrayLike = TypeAliasType("ArrayLike", _ArrayLike)  # NumPy's is a union that takes five lines in `help`
