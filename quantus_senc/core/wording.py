"""Numbers and lists in words, as reports write them."""

import math
import re
from collections.abc import Sequence
from typing import Any

_ROUNDING = 1e-12  # what is smaller is left of a sum of scores that is 0


def number(value: float, decimals: int = 2, error: float = 0.0) -> str:
    """A number with a true minus sign; very large and very small ones in powers of ten.

    It is 0 if it is smaller than rounding errors, or if it rounds to 0 beside an error that does not.

    Examples
    --------
    >>> number(-0.256), number(1.5e-7), number(-6.9e-18), number(float("nan"))
    ('−0.26', '1.5e−07', '0.00', '–')
    >>> number(-0.0004, error=0.03), number(-0.0004, error=0.0001)
    ('0.00', '−0.0004')
    """
    if math.isnan(value):
        return "–"
    plain = abs(value) < _ROUNDING or 10**-decimals / 2 <= max(abs(value), error)
    return (f"{value:z.{decimals}f}" if plain and abs(value) < 1e5 else f"{value:.2g}").replace("-", "−")


def decimals_for(error: float) -> int:
    """How many decimals show two digits of an error, at least 2 and at most 6.

    Examples
    --------
    >>> decimals_for(0.034), decimals_for(0.0034), decimals_for(12.0), decimals_for(float("nan"))
    (3, 4, 2, 2)
    """
    return 2 if not error > 0 or math.isinf(error) else min(max(1 - math.floor(math.log10(error)), 2), 6)


def with_error(value: float, error: float) -> str:
    """A value ± its error, as many digits as the error warrants.

    Examples
    --------
    >>> with_error(0.51234, 0.0321), with_error(0.51234, float("nan"))
    ('0.512 ± 0.032', '0.51')
    """
    if math.isnan(error):
        return number(value)
    decimals = decimals_for(error)
    return f"{number(value, decimals, error)} ± {number(error, decimals)}"


def ordinal(position: int) -> str:
    """1st, 2nd, 3rd, 4th …

    Examples
    --------
    >>> [ordinal(position) for position in (1, 2, 3, 4, 11, 12, 13, 21)]
    ['1st', '2nd', '3rd', '4th', '11th', '12th', '13th', '21st']
    """
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(position % 10, "th")
    return f"{position}{'th' if position % 100 in (11, 12, 13) else suffix}"


def listed(parts: Sequence[str]) -> str:
    """Parts in a row, with "and" before the last.

    Examples
    --------
    >>> listed(["a"]), listed(["a", "b"]), listed(["a", "b", "c"])
    ('a', 'a and b', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def in_words(value: Any) -> str:
    """A value as Python writes it, functions and classes by their names, and without the addresses of objects.

    Examples
    --------
    >>> in_words(0.5), in_words(math.sqrt), in_words([object()])
    ('0.5', 'sqrt', '[<object object>]')
    """
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return name
    try:
        text = repr(value)
    except Exception as error:  # objects may raise anything here, and deep ones a RecursionError
        return f"<{type(value).__name__} ({type(error).__name__})>"
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text)
