"""Code that has changed since this program imported it."""

from __future__ import annotations

import sys
from pathlib import Path

from quince.troubles import STALE

RESTART = "`quince daemon restart` lets workers run it as it is now"
NAMED = 3


class StaleCode:
    """Watches the modules of a folder. Asked now and then, by one thread.

    Args:
        folder: Whose modules; what is in a virtual environment there is left alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = f"{folder}/"
        self._seen: dict[str, tuple[int, int]] = {}

    def changed(self) -> list[Path]:
        """The files of imported modules that are not as they were when they were first seen here."""
        files = {getattr(module, "__file__", None) for module in list(sys.modules.values())}
        return sorted(
            Path(file)
            for file in files
            if isinstance(file, str)
            and file.startswith(self._folder)
            and "/site-packages/" not in file
            and self._differs(file)
        )

    def sentences(self) -> list[str]:
        """That, for people: none, or one."""
        changed = self.changed()
        if not changed:
            return []
        names = ", ".join(file.name for file in changed[:NAMED]) + (", ..." if changed[NAMED:] else "")
        has, it = ("has", "it") if len(changed) == 1 else ("have", "them")
        return [f"{names} {has} {STALE} {it}: {RESTART}"]

    def _differs(self, file: str) -> bool:
        try:
            found = Path(file).stat()
        except OSError:  # it is gone; what was imported goes on
            return file in self._seen
        now = (found.st_mtime_ns, found.st_size)
        return self._seen.setdefault(file, now) != now
