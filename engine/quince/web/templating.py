"""Pages from templates: everything that goes in is escaped, and nothing of it acts."""

from __future__ import annotations

import functools
import hashlib
import re
import time
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from quince.moments import clock, span
from quince.text import visible

_STATIC = files("quince.web") / "static"
_ERROR_CLASS = re.compile(r"^(?:\w+\.)+(\w+)(?=:|$)")


def _finalized(value: Any) -> Any:
    """What a template is to show: a text without characters that act, or are not seen."""
    if value is None:
        return ""
    return visible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


@functools.cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("quince.web"),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(span=span, clock=clock, ago=_ago, count=_count, compact=_compact, plainly=_plainly)
    made.filters.update(commands=_commands)
    made.globals.update(stamp=stamp, now=time.time)
    return made


def render(template: str, /, **values: Any) -> str:
    """The page that a template makes of values."""
    return _environment().get_template(template).render(**values)


def call(template: str, macro: str, /, *arguments: Any) -> Markup:
    """What one macro of a template makes of values."""
    module = _environment().get_template(template).module
    made: Markup = getattr(module, macro)(*arguments)
    return made


@functools.cache
def stamp(name: str) -> str:
    """A few letters that change with the content of a file of ours, for its address."""
    return hashlib.sha256((_STATIC / name).read_bytes()).hexdigest()[:10]


def _ago(moment: float | None, now: float | None = None) -> str:
    return "" if moment is None else f"{span((time.time() if now is None else now) - moment)} ago"


def _count(number: float | None) -> str:
    """None: it is being counted."""
    return "…" if number is None else f"{number:,.0f}"


def _compact(number: float | None) -> str:
    """`950`, `12.3k`, `1.2M`: for small places. None: it is being counted."""
    if number is None:
        return "…"
    for size, unit in ((1e6, "M"), (1e4, "k")):
        if number >= size:
            return f"{number / (1e6 if unit == 'M' else 1e3):.1f}{unit}"
    return f"{number:,.0f}"


def _commands(text: str) -> Markup:
    """A sentence in which what stands between backticks is to be typed."""
    words = enumerate(visible(text).split("`"))
    return Markup().join(
        Markup("<code>{}</code>").format(word) if at % 2 else escape(word) for at, word in words
    )


def _plainly(text: str) -> str:
    """How a process ended, without the module of the exception."""
    return _ERROR_CLASS.sub(r"\1", text)
