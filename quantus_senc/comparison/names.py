"""Checks of `methods` and `metrics` as names: a name, a list or a dict becomes a dict."""

from collections.abc import Mapping, Sequence
from typing import Any


def by_name(argument: str, given: Any, known: Sequence[str]) -> dict[str, Any]:
    """A name, a list of names, or a dict from names to anything, as a dict; a name without a value stands for itself.

    Parameters
    ----------
    argument
        The name that `given` has in error messages.
    given
        What a user has passed.
    known
        Names to choose from, for an error message.

    Raises
    ------
    ValueError
        If it is nothing of the kind, or empty; or if a name is no string, cannot be written in UTF-8, or stands there twice.

    Examples
    --------
    >>> by_name("methods", ["Saliency", "LRP"], ["Saliency"])
    {'Saliency': 'Saliency', 'LRP': 'LRP'}
    """
    given = [given] if isinstance(given, str) else given
    if not isinstance(given, Mapping | Sequence):
        raise ValueError(f"{argument}={given!r} must be names, or a dict from names to {argument}")
    if not given:
        raise ValueError(f"{argument}={given!r} must name at least one; known: {', '.join(known)}")
    names = [_checked(argument, name) for name in given]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{argument} hold the name {twice[0]!r} {len(twice)} times; leave it there once")
    return dict(zip(names, given.values() if isinstance(given, Mapping) else given, strict=True))


def check_text(holder: str, text: str) -> None:
    """Raise ValueError if a text cannot be written in UTF-8, because it has half of a character."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"{holder} hold {text!r}, which cannot be written in UTF-8 ({error.reason}); change it") from error


def _checked(argument: str, name: object) -> str:
    if not isinstance(name, str):
        raise ValueError(f"{argument} hold the name {name!r}, which is no string; pass a dict whose keys are strings")
    check_text(argument, name)
    return str(name)
