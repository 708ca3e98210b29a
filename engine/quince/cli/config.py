"""Writing `quince.toml`."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from quince.errors import WorkspaceError
from quince.private_files import write_private


def write_config(file: Path, *, store: str | None, broker: str | None) -> None:
    """Write the two URLs down; what else the file says is kept. Only its owner may read it.

    Raises:
        WorkspaceError: it cannot be written.
    """
    wanted = {name: url for name, url in (("store", store), ("broker", broker)) if url is not None}
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        for name, url in wanted.items():
            text = _set(text, name, url)
        write_private(file, text)  # a URL may hold a password
    except OSError as error:
        raise WorkspaceError(f"cannot write {file}: {error.strerror}") from error


def _set(text: str, name: str, url: str) -> str:
    """The text with `name = "url"` in it, in the place of the old line or at the beginning."""
    line = f"{name} = {msgspec.json.encode(url).decode()}"  # a JSON string is a TOML string
    replaced, count = re.subn(rf"^{name}\s*=.*$", lambda _: line, text, count=1, flags=re.MULTILINE)
    return replaced if count else f"{line}\n{text}"
