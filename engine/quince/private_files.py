"""Files that are nobody else's: made for their owner alone whatever the umask, never through a link."""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path
from typing import IO, Any


def open_private(path: Path, mode: str) -> IO[Any]:
    """`open`, for a file that is private if it is made now.

    Raises:
        OSError: as `open`; also if the name is a link.
    """
    return open(path, mode, opener=_opener)


def write_private(path: Path, text: str) -> None:
    """Write a whole file: it has the old text or the new one, whenever it is cut off.

    One that was there keeps its mode where that is stricter. A link of one's own is followed.

    Raises:
        OSError: it cannot be written; also if the name is a link that somebody else has made.
    """
    if path.is_symlink():
        if path.lstat().st_uid not in (os.geteuid(), 0):
            raise PermissionError(0, "it is a link that another user has made", str(path))
        path = path.resolve()
    descriptor, fresh = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(descriptor, stat.S_IMODE(path.stat().st_mode) & 0o600)
            file.write(text)
            file.flush()
            os.fsync(descriptor)
        Path(fresh).replace(path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def _opener(name: str, flags: int) -> int:
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
