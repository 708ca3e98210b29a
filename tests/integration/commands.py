"""The command line as people use it: a program of its own, in a workspace of its own.

Commands that are run to their end are forks of a program that has imported everything; those that are
started beside a test, as `start` does, are programs from their first instruction on.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.crew import eventually
from tests.forked import ForkServer

STEPS = Path(__file__).with_name("cli_steps.py")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    def complaint(self) -> str:
        """The one line on stderr."""
        (line,) = self.err.splitlines()
        assert line.startswith("error: "), line
        return line.removeprefix("error: ")


class Quince:
    """Runs `quince` in one folder, which has `steps.py`."""

    def __init__(self, folder: Path, forks: ForkServer) -> None:
        self.folder = folder
        self._forks = forks
        shutil.copy(STEPS, folder / "steps.py")

    def __call__(self, *words: str, **environment: str) -> Ended:
        """Run a command to its end, whatever that is; a traceback is never part of it."""
        ended = self.raw(*words, **environment)
        assert "Traceback" not in ended.err, ended.err
        return ended

    def raw(self, *words: str, **environment: str) -> Ended:
        """The same, whatever it prints."""
        variables = self.environment(**environment)
        if not self._forks.can_run(variables):
            return self.afresh(*words, **environment)
        done = self._forks.run(words, cwd=self.folder, env=variables, timeout=90)
        return Ended(done.returncode, done.stdout, done.stderr)

    def afresh(self, *words: str, **environment: str) -> Ended:
        """The same in a Python that is started for it."""
        done = subprocess.run(
            self.command(*words), cwd=self.folder, env=self.environment(**environment),
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90,
        )  # fmt: skip
        return Ended(done.returncode, done.stdout, done.stderr)

    def good(self, *words: str, **environment: str) -> Ended:
        """Run a command that must succeed."""
        ended = self(*words, **environment)
        assert ended.status == 0, f"{words}: {ended}"
        return ended

    def start(self, *words: str, **pipes: Any) -> subprocess.Popen[str]:
        """Start a command and go on."""
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment(), text=True,
            stdin=subprocess.DEVNULL, **pipes,
        )  # fmt: skip

    def submit(self, target: str, *words: str) -> int:
        """The pid of a process submitted just now."""
        return int(self.good("submit", target, *words).out)

    def row(self, pid: int) -> dict[str, Any]:
        """`show --json` of a process."""
        document: dict[str, Any] = self.good("show", str(pid), "--json").document
        return document

    def until(self, pid: int, state: str, *, paused: bool = False) -> dict[str, Any]:
        """Its row as soon as it is in that state."""

        def look() -> dict[str, Any]:
            row = self.row(pid)
            return row if (row["state"], row["paused"]) == (state, paused) else {}

        return eventually(look, what=f"process {pid} {state}")

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "quince.cli.main", *words]

    @staticmethod
    def environment(**changes: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUINCE_")}
        return kept | {"COLUMNS": "80"} | changes
