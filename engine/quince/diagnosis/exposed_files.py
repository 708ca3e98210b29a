"""Files of a workspace that other users of the machine can read: made by an older version, or by hand."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from quince.settings import CONFIG
from quince.workspace.location import Location
from quince_messaging.passwords import without_password
from quince_persistence.databases.sqlite_url import file_of

_BESIDE = ("", "-wal", "-shm", "-journal")


def exposed(location: Location) -> Iterator[Path]:
    """The files and folders that every user can read; the configuration, if a password stands in it.

    What lies in a folder that others cannot enter is not theirs to read.
    """
    config = location.folder / CONFIG
    if config.is_file() and _is_readable(config) and _has_password(config):
        yield config
    if location.state.is_dir() and _is_readable(location.state):
        yield location.state
    database = file_of(location.store)
    for name in _BESIDE if database is not None else ():
        file = Path(f"{database}{name}")
        if file.is_file() and _is_readable(file) and not file.is_relative_to(location.state):
            yield file


def make_private(path: Path) -> None:
    """Take the rights of all others away. Raises OSError."""
    path.chmod(stat.S_IMODE(path.stat().st_mode) & 0o700)


def _is_readable(path: Path) -> bool:
    """Every user has that right, and may enter every folder above."""
    entered = all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)
    return bool(path.stat().st_mode & stat.S_IROTH) and entered


def _has_password(config: Path) -> bool:
    text = config.read_text(encoding="utf-8", errors="replace")
    urls = [word for word in text.replace("'", '"').split('"') if ":" in word]
    return any(without_password(url) != url for url in urls)
