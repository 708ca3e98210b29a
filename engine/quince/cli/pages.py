"""The chapters of the documentation, as they are installed: plain Markdown, shown in a terminal."""

from __future__ import annotations

import re
from pathlib import Path

import quince

INDEX = "index"
_INSTALLED = Path(quince.__file__).parent / "pages"
_OF_CHECKOUT = Path(quince.__file__).parents[2] / "docs"
_LINK = re.compile(r"\]\((?:([\w-]+)\.md)?(#[\w-]*)?\)")
_FENCE_WORDS = re.compile(r"^( *```\w+) [^\n`]+$", flags=re.MULTILINE)


def folder() -> Path:
    """Where they are: in the package, or beside it in a checkout."""
    return _INSTALLED if _INSTALLED.is_dir() else _OF_CHECKOUT


def topics() -> dict[str, str]:
    """The chapters, with what each is about, in the order of the first page."""
    found = re.findall(r"^- \[([\w-]+)\]\([\w-]+\.md\): (.*)$", _read(INDEX) or "", flags=re.MULTILINE)
    return dict(found)


def chapter(topic: str) -> str | None:
    """A chapter, or the first page (`index`), or None if there is none of that name."""
    return _read(topic) if re.fullmatch(r"[\w-]+", topic) else None


def for_terminals(text: str) -> str:
    """Markdown whose links say which chapter to ask for, without the words that only tests read."""
    return _FENCE_WORDS.sub(r"\1", _LINK.sub(_said, text))


def _said(found: re.Match[str]) -> str:
    page = found[1]
    return (
        f"](<quince help {page}>)" if page and page != INDEX else "](<above or below>)" if found[2] else "]()"
    )


def _read(topic: str) -> str | None:
    file = folder() / f"{topic}.md"
    return file.read_text(encoding="utf-8") if file.is_file() else None
