"""What stands on the screen of `quince top`, in a program and in a real terminal."""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from textual.pilot import Pilot

from quince import Workspace
from quince.monitor.monitor import Monitor
from quince.top.app import QuinceTop
from tests.crew import eventually


class Seen:
    """The program, without a terminal, and what stands on its screen."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self._pilot = pilot

    @property
    def lines(self) -> list[str]:
        """Every line, without blanks at its end."""
        strips = self._pilot.app.screen._compositor.render_strips()
        return ["".join(segment.text for segment in strip).rstrip() for strip in strips]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)

    async def press(self, *keys: str) -> None:
        """Press keys; what is longer than one letter and no key is typed."""
        await self._pilot.press(*keys)

    async def type(self, words: str) -> None:
        await self._pilot.press(*("space" if letter == " " else letter for letter in words))

    async def until(self, what: str | Callable[[], object], timeout: float = 30) -> None:
        """Wait until that stands on the screen, or holds."""
        deadline = time.monotonic() + timeout
        while not (what in self.text if isinstance(what, str) else what()):
            assert time.monotonic() < deadline, f"{what} is not there:\n{self.text}"
            await asyncio.sleep(0.05)

    async def gone(self, what: str) -> None:
        await self.until(lambda: what not in self.text)


@asynccontextmanager
async def seen(
    home: Workspace, words: str = "", size: tuple[int, int] = (80, 24), monitor: Any = None
) -> AsyncIterator[Seen]:
    """`quince top` on a workspace."""
    app = QuinceTop(monitor or Monitor(home), words)
    async with app.run_test(size=size) as pilot:
        screen = Seen(pilot)
        await screen.until("Pause")  # in the last line as soon as keys mean something
        yield screen


class Terminal:
    """A real terminal of 80 columns and 24 lines, in which a command runs."""

    def __init__(self, folder: Path, command: list[str], variables: Mapping[str, str]) -> None:
        self._socket = str(folder / "tmux")
        words = shlex.join(command)
        self._call("-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", "-c", str(folder),
                   f"{words}; echo ended with $?; read nothing", env=dict(variables))  # fmt: skip

    def _call(self, *words: str, env: Mapping[str, str] | None = None) -> str:
        done = subprocess.run(
            ["tmux", "-S", self._socket, *words], capture_output=True, text=True, timeout=30, env=env
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def look(self, *, styles: bool = False) -> str:
        """What stands there."""
        return self._call("capture-pane", "-p", *(["-e"] if styles else []))

    def keys(self, *keys: str) -> None:
        self._call("send-keys", *keys)

    def until(self, what: str) -> str:
        """What stands there as soon as that is among it."""
        return eventually(lambda: text if what in (text := self.look()) else "", what=what)

    def close(self) -> None:
        subprocess.run(["tmux", "-S", self._socket, "kill-server"], capture_output=True, timeout=30)


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "quince.cli.main", *words]


def bare(**more: str) -> dict[str, str]:
    """The environment of a terminal, without what the tests have in theirs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUINCE_")}
    kept.pop("NO_COLOR", None)
    return {**kept, "LANG": "C.UTF-8", **more}
