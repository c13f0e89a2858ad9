"""Warnings that users see at every call."""

import warnings


def warn(message: str) -> None:
    """Warn the user, also if the same line has given the same warning before."""
    warnings.warn_explicit(message, UserWarning, filename="quantus_senc", lineno=1, registry={})
