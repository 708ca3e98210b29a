"""Putting something in the place of what the engine uses, in a program that lives for one test."""

from __future__ import annotations

from typing import Any


def stand_in(owner: Any, name: str, other: Any) -> None:
    """From now on, `owner` has `other` under this name.

    Raises:
        AttributeError: It has nothing of that name: what was to be replaced is elsewhere by now.
    """
    getattr(owner, name)
    setattr(owner, name, other)
