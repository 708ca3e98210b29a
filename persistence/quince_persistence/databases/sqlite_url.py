"""URLs of SQLite files: made from paths, and parsed.

In a URL `%` begins an escape, and `?` the options. So in the URL of a path these two, `#`, control characters
and bytes that are not UTF-8 are written as `%XX`; everything else stands for itself.
"""

from __future__ import annotations

import contextlib
import os
import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote_to_bytes

from quince_persistence.databases.passwords import without_password
from quince_persistence.errors import InvalidUrl

if TYPE_CHECKING:
    from sqlalchemy.engine import URL

_SCHEME = re.compile(r"sqlite(\+pysqlite)?://")
_OPTIONS = frozenset({"timeout", "detect_types", "isolation_level", "check_same_thread", "cached_statements"})
_URI_OPTIONS = frozenset({"uri", "mode", "cache", "vfs", "immutable", "nolock", "psow"})
_RESERVED = re.compile(r"[%?#\x00-\x1f\x7f\udc80-\udcff]")


def file_url(path: Path | str) -> str:
    """The URL of the store in a file."""
    return f"sqlite:///{quoted(path)}"


def file_of(url: str) -> Path | None:
    """The file of a URL; None if it names none (memory, SQLite's own `file:` notation, another database)."""
    try:
        parts = _parts(url)
    except InvalidUrl:
        return None
    name = "" if parts is None else parts[0]
    return None if name in {"", ":memory:"} or name.startswith("file:") else Path(name)


def parse_file_url(url: str) -> URL | None:
    """The parts of a URL of SQLite, its path unquoted; None if it is a URL of another database.

    Raises:
        InvalidUrl: it names no file, or has unknown options.
    """
    if (parts := _parts(url)) is None:
        return None
    name, options = parts
    made: URL = import_module("sqlalchemy.engine").URL.create("sqlite", database=name or None, query=options)
    return made


def _parts(url: str) -> tuple[str, dict[str, str]] | None:
    scheme = _SCHEME.match(url)
    if scheme is None:
        return None
    rest, mark, query = url[scheme.end() :].partition("?")
    if rest and not rest.startswith("/"):
        raise InvalidUrl(
            f"{without_password(url)!r} names no file: three slashes stand before it, as in sqlite:///quince.sqlite"
        )
    name = unquoted(rest[1:])
    options = dict(parse_qsl(query, keep_blank_values=True))
    known = _OPTIONS | _URI_OPTIONS if name.startswith("file:") else _OPTIONS
    if mark and (not options or set(options) - known):
        raise InvalidUrl(
            f"{without_password(url)!r}: what follows the ? is no option of SQLite; in the name of a file or "
            "folder ? is written %3F, and % %25"
        )
    return name, options


def make_private(path: Path) -> None:
    """Create the file of a database, if there is none, readable by its owner alone; SQLite gives the files
    beside it the same mode.

    Raises:
        InvalidUrl: the path is a link that another user has made.
    """
    if path.is_symlink() and path.lstat().st_uid not in (os.geteuid(), 0):
        raise InvalidUrl(f"{path} is a link that another user has made; name the file itself")
    with contextlib.suppress(OSError):  # it is there; or it cannot be made, and SQLite will say so
        os.close(os.open(path.resolve(), os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def quoted(path: Path | str) -> str:
    """A path as text: for a URL, or for wherever bytes that are not UTF-8 cannot stand."""
    return _RESERVED.sub(lambda found: "".join(f"%{byte:02X}" for byte in os.fsencode(found[0])), str(path))


def unquoted(text: str) -> str:
    """The path that `quoted` made this text from."""
    return os.fsdecode(unquote_to_bytes(os.fsencode(text)))
