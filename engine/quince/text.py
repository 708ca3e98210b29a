"""Text that every store can keep, names that people can write, and text that every terminal can show.

Whatever a process, a message, a host or a database says passes `visible` or `in_line` before anybody looks
at it: it moves nobody's cursor, changes no colours, makes no links, turns no line round and begins none.
"""

from __future__ import annotations

import difflib
import re
import reprlib
from collections.abc import Iterable

from quince_messaging.passwords import without_password

LONGEST = 100_000
"""Characters of a report, a reason or an error: they are for people, who read no more."""


def storable(text: str) -> str:
    """The text with what a database refuses written out: lone surrogates and NUL characters. One that nobody
    will read to its end is cut off, and says so."""
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... (cut off; it had {len(text)} characters)"
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")


# C0 and C1 controls; soft hyphen; what joins, fills, has no width or turns the direction of writing; ends of
# lines and paragraphs; halves of surrogate pairs; tags.
UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e"
    "\u2060-\u206f\u3164\ud800-\udfff\ufeff\uffa0\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)
_URL = re.compile(r"[A-Za-z][\w+.-]*://[^\s\"'<>`|]+")


def visible(text: str) -> str:
    """The text with every character that acts, or is not seen, written out; only its lines are kept."""
    return text if text.isprintable() else UNSEEN.sub(_escape, text)


def in_line(text: str) -> str:
    """The same on one line."""
    return text if text.isprintable() else visible(text).replace("\n", "\\n").replace("\t", "\\t")


def ends_of(text: str, most: int) -> str:
    """A text that is not too long: its beginning and its end."""
    if len(text) <= most:
        return text
    half = most // 2
    return f"{text[:half]}\n... {len(text) - most:,} characters are left out ...\n{text[-half:]}"


def without_passwords(text: str) -> str:
    """A text with the password of every URL in it hidden."""
    return _URL.sub(lambda found: without_password(found[0]), text) if "://" in text else text


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


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
