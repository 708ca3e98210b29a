"""kiwiPy's `BroadcastFilter`, as far as possible in a form that brokers can route.

What comes out matches at least what the filter lets through; the filter itself still has the last
word, so nothing is lost or added if one cannot be understood.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import kiwipy

from quince_messaging.contract import EVERYTHING, SubjectFilter

_WORDS = re.compile(r"(?:[A-Za-z0-9_\-:/ ,=@%~<>&;'\"!]|\[\.\])*")


def routable(subscriber: Callable[..., Any]) -> SubjectFilter:
    """What a subscriber wants: its filter's subjects if it is a `BroadcastFilter`, else everything.

    kiwiPy lets broadcasts without a subject through every filter, so the empty subject is added. Its
    sender filters match by pattern or by value, which a broker cannot route, and are left to it.
    """
    if not isinstance(subscriber, kiwipy.BroadcastFilter):
        return EVERYTHING
    checks = subscriber._subject_filters
    subjects = [subject for check in checks if (subject := _as_prefix(check)) is not None]
    if not subjects or len(subjects) < len(checks):
        return EVERYTHING
    return SubjectFilter(subjects=(*subjects, ""))


def _as_prefix(check: Callable[[Any], Any]) -> str | None:
    """The fixed beginning of every subject that a check accepts; None if there is none to be seen.

    kiwiPy's checks are `match` of a compiled pattern, which is anchored at the beginning only.
    """
    pattern = getattr(check, "__self__", None)
    if not isinstance(pattern, re.Pattern) or not isinstance(pattern.pattern, str) or "|" in pattern.pattern:
        return None
    if pattern.flags & (re.IGNORECASE | re.VERBOSE):
        return None
    source = pattern.pattern.removeprefix("^")
    found = _WORDS.match(source)
    fixed = found.group() if found else ""
    if fixed != source and not source[len(fixed) :].startswith((".", "[", "(", "\\", "$")):
        fixed = _without_last(fixed)  # the next character repeats the last one: it may be absent
    fixed = fixed.replace("[.]", ".")
    return f"{fixed}*" if fixed else None


def _without_last(fixed: str) -> str:
    return fixed[:-3] if fixed.endswith("[.]") else fixed[:-1]
