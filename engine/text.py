"""Text that every store can keep."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text with what a database refuses written out: lone surrogates and NUL characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


def words_of(error: BaseException) -> str:
    """What an exception says, even if its class cannot say it."""
    try:
        return storable(str(error))
    except Exception as worse:
        return f"({type(error).__name__}.__str__ failed with {type(worse).__name__})"
