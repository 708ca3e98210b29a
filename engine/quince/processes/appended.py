"""Which names of the context a class appends to, as its source says.

A loop that appends may run no time at all; what comes after it finds an empty list, and no name that is
missing. Where there is no source (a class typed into an interpreter), nothing is known.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable


def appended_names(cls: type, is_own: Callable[[type], bool]) -> frozenset[str]:
    """Every `name` of `name=append_(...)` in the methods of a class and its parents, but not in ours."""
    found: set[str] = set()
    for one in cls.__mro__:
        if one is not object and not is_own(one):
            found |= _names_in(one)
    return frozenset(found)


def _names_in(cls: type) -> set[str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    except (OSError, TypeError, SyntaxError, ValueError):
        return set()
    return {
        word.arg
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        for word in call.keywords
        if word.arg and _is_append(word.value)
    }


def _is_append(value: ast.expr) -> bool:
    if not isinstance(value, ast.Call):
        return False
    name = value.func
    return getattr(name, "id", getattr(name, "attr", None)) == "append_"
