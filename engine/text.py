"""Text that every store can keep, and names that people can write."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable


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


def close_to(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` if one of those that are known is nearly this name, else nothing."""
    found = difflib.get_close_matches(str(name)[:LONGEST_NAME], list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


LONGEST_NAME = 200


def name_problem(name: object, longest: int = LONGEST_NAME) -> str | None:
    """What is wrong with the name of an input, an output or a value of a context; None if nothing is."""
    if type(name) is not str:
        return f"is {reprlib.repr(name)} ({type(name).__name__}), and must be a text"
    if not name:
        return "is empty"
    if len(name) > longest:
        return f"has {len(name):,} characters, and may have {longest} ({name[:20]!r}...)"
    if storable(name) != name or not name.isprintable():
        return f"has characters that nobody can see or write: {storable(repr(name))}"
    return None
