"""Versions of process classes, as far as they can be compared."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"\d+(\.\d+)*")


def is_older(version: str, other: str) -> bool:
    """Whether a version comes before another one; False if they are no numbers with dots."""
    if not (_NUMBERS.fullmatch(version) and _NUMBERS.fullmatch(other)):
        return False
    return [int(part) for part in version.split(".")] < [int(part) for part in other.split(".")]
