"""Backups of a store, made and restored with the tools of its database, also while workers use it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

from quince.workspace.location import Location
from tests.crew import eventually
from tests.services import postgres_binaries


class Backup:
    """The store as it is now.

    Args:
        folder: Where the backup is kept.
    """

    def __init__(self, location: Location, folder: Path) -> None:
        self._place = location
        self._file = folder / "backup"
        if location.embedded:
            _copy(self._database, self._file)
        else:
            done = _tool("pg_dump", "--format=custom", "--file", str(self._file), self._url)
            assert done.returncode == 0, done.stderr

    def restore(self) -> None:
        """Put it back, whoever is connected."""
        if self._place.embedded:
            _copy(self._file, self._database)
        else:
            eventually(self._pg_restore, what="the restoring")

    def copy_back(self) -> None:
        """Put the file itself back (embedded); nobody has it open."""
        for rest in self._database.parent.glob(f"{self._database.name}-*"):
            rest.unlink()
        shutil.copy(self._file, self._database)

    @property
    def _database(self) -> Path:
        return Path(self._place.store.removeprefix("sqlite:///"))

    @property
    def _url(self) -> str:
        return self._place.store.replace("+psycopg", "")

    def _pg_restore(self) -> bool:
        """In one transaction; False if workers were in its way, and it was the one to give way."""
        options = ("--clean", "--if-exists", "--single-transaction", "--exit-on-error")
        done = _tool("pg_restore", *options, "--dbname", self._url, str(self._file))
        assert done.returncode == 0 or "deadlock detected" in done.stderr, done.stderr
        return done.returncode == 0


def _tool(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([postgres_binaries() / name, *words], capture_output=True, text=True)


def _copy(source: Path, target: Path) -> None:
    """With SQLite's own backup, in one transaction of the target."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target, timeout=30)) as other:
        one.backup(other)
