"""Text that every store can keep."""

from __future__ import annotations


def storable(text: str) -> str:
    """The text with what a database refuses written out: lone surrogates and NUL characters."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def visible(text: str) -> str:
    """The text with control characters written out: what a process says moves nobody's cursor."""
    return text.translate(_CONTROLS)


def words_of(error: BaseException) -> str:
    """What an exception says, even if its class cannot say it."""
    try:
        return storable(str(error))
    except Exception as worse:
        return f"({type(error).__name__}.__str__ failed with {type(worse).__name__})"
