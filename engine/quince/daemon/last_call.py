"""Telling people that no worker can be started, by a program of its own: nobody else is there to do it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from quince.interpreter import WORKER, command_line
from quince.settings import host_name

DOWN_SECONDS = 60.0
AGAIN_SECONDS = 3600.0


def _notify(folder: Path, text: str) -> list[str]:
    return command_line(WORKER, "-C", str(folder), "notify", "trouble", text)


class LastCall:
    """Watches whether any worker is at work.

    Args:
        command: The command line that tells it to who wants to know.
    """

    def __init__(
        self,
        folder: Path,
        command: Callable[[Path, str], Sequence[str]] = _notify,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._command, self._clock = folder, command, clock
        self._since: float | None = None
        self._told: float | None = None
        self._program: subprocess.Popen[bytes] | None = None

    @property
    def tells(self) -> bool:
        """It is just being told."""
        return self._program is not None

    def look(self, at_work: bool, trouble: str | None) -> None:
        """Tell it if none has been at work for a while, once an hour.

        Args:
            at_work: One is, or none is wanted.
            trouble: Why not, as far as that is known.

        Raises:
            OSError: that program cannot be started; it is tried again after an hour.
        """
        if self._program is not None and self._program.poll() is not None:
            self._program = None
        now = self._clock()
        if at_work:
            self._since = None
            return
        self._since = now if self._since is None else self._since
        lately = self._told is not None and now - self._told < AGAIN_SECONDS
        if lately or self._program is not None or now - self._since < DOWN_SECONDS:
            return
        self._told = now
        text = f"the daemon on {host_name()} has had no worker for {now - self._since:.0f} s"
        self._program = subprocess.Popen(
            self._command(self._folder, f"{text}: {trouble}" if trouble else text),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            start_new_session=True,
        )
