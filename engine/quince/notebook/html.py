"""HTML for notebooks: every text escaped, no style sheet, readable on light and on dark ground.

Colours of text and ground are the notebook's. Those of states stand out from white and from black alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Any

from quince.text import ends_of, visible, without_passwords


class Html(str):
    """What is HTML already, and is not escaped once more."""

    __slots__ = ()


Content = str | Html
LINE = "1px solid rgba(128, 128, 128, .35)"
FAINT = "opacity: .7"
LONGEST = 40_000
"""Characters of a traceback: a notebook keeps what it has shown."""
MONO = "font-family: monospace; white-space: pre-wrap; overflow-wrap: anywhere"


def text(content: object) -> Html:
    """A text of whomever: nothing of it is HTML."""
    return content if isinstance(content, Html) else Html(escape(visible(without_passwords(str(content)))))


def element(name: str, *content: Content, style: str = "", **attributes: object) -> Html:
    """An element with its content; attributes that are True stand alone."""
    known = {**({"style": style} if style else {}), **attributes}
    said = "".join(
        f" {key}" if value is True else f' {key}="{escape(str(value))}"' for key, value in known.items()
    )
    return Html(f"<{name}{said}>{''.join(map(text, content))}</{name}>")


def joined(parts: Iterable[Content]) -> Html:
    """One after the other."""
    return Html("".join(map(text, parts)))


def table(rows: Iterable[Iterable[Content]], head: Iterable[str] = ()) -> Html:
    """Rows of cells, the text to the left."""
    cell = f"text-align: left; vertical-align: top; padding: 1px 12px 1px 0; border-bottom: {LINE}"
    lines = [[element("th", one, style=f"{cell}; {FAINT}") for one in head]] if (head := list(head)) else []
    lines += [[element("td", one, style=cell) for one in row] for row in rows]
    return element("table", *(element("tr", *line) for line in lines), style="border-collapse: collapse")


def folded(title: Content, content: Content, *, open: bool = False) -> Html:  # noqa: A002 - as HTML calls it
    """Content under a title, which is clicked to see it."""
    opened: dict[str, Any] = {"open": True} if open else {}
    return element("details", element("summary", title), content, **opened)


def code(words: str) -> Html:
    """Text with its lines and blanks, as a traceback."""
    return element("div", ends_of(words, LONGEST), style=f"{MONO}; max-height: 24em; overflow: auto")
