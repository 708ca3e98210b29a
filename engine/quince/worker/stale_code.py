"""Quince's own code that has changed since this worker imported it (it was upgraded).

Code of users is none of a worker's: step hosts import it, and see by themselves when it changes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from quince.troubles import STALE
from quince.workspace.sources import OURS

RESTART = "`quince daemon restart` lets workers run it as it is now"
NAMED = 3


class StaleCode:
    """Watches the modules in some folders. Asked now and then, by one thread.

    Args:
        folders: Each with a slash at its end; of Quince if not given.
    """

    def __init__(self, folders: Sequence[str] = OURS) -> None:
        self._folders = tuple(folders)
        self._seen: dict[str, tuple[int, int]] = {}

    def sentences(self) -> list[str]:
        """That files of imported modules are not as they were when they were first seen here, for people:
        none, or one."""
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        ours = [file for file in files if isinstance(file, str) and file.startswith(self._folders)]
        changed = sorted(Path(file).name for file in ours if self._differs(file))
        if not changed:
            return []
        names = ", ".join(changed[:NAMED]) + (", ..." if changed[NAMED:] else "")
        return [f"Quince itself has {STALE} it ({names}): {RESTART}"]

    def _differs(self, file: str) -> bool:
        try:
            found = os.stat(file)  # noqa: PTH116 - some hundred at every heartbeat: a `Path` takes four times as long
        except OSError:  # it is gone; what was imported goes on
            return file in self._seen
        now = (found.st_mtime_ns, found.st_size)
        return self._seen.setdefault(file, now) != now
