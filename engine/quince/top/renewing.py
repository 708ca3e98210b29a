"""What is read anew when something has changed, and what reads it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import ClassVar

from textual.message import Message
from textual.widget import Widget

from quince.errors import EngineError
from quince.monitor.monitor import Monitor
from quince_persistence.errors import PersistenceError

LEAST = 0.3
"""Seconds between two changes that are shown."""
SHARE = 9
"""After a reading that took a second, the next one is so many seconds later."""


class AskRenewal(Message):
    """Something else is to be shown."""

    bubble: ClassVar[bool] = True


class Renewed(Widget):
    """A part of the screen that is read anew."""

    @property
    def title(self) -> str:
        """What is said of it beside the names of the parts."""
        return ""

    async def renew(self) -> None:
        """Read what is to be shown, and show it."""
        raise NotImplementedError

    def ask_renewal(self) -> None:
        """Have it read as soon as can be."""
        self.post_message(AskRenewal())


class Renewal:
    """Reads at every change, and when it is asked; never more than a tenth of the time.

    Args:
        read: Reads what is shown now.
        trouble: Is told why that cannot be read; None: it can again.
    """

    def __init__(
        self, monitor: Monitor, read: Callable[[], Awaitable[None]], trouble: Callable[[str | None], None]
    ) -> None:
        self._monitor, self._read, self._trouble = monitor, read, trouble
        self._wanted = asyncio.Event()
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read soon, whatever the last reading took."""
        self._asked.set()
        self._wanted.set()

    async def listen(self) -> None:
        """Hear of changes, for ever."""
        with self._monitor.changes(least=LEAST) as changes:
            async for _ in changes:
                self._wanted.set()

    async def run(self) -> None:
        """Read, for ever."""
        while True:
            self._wanted.clear()
            self._asked.clear()
            began = time.monotonic()
            try:
                await self._read()
            except (EngineError, PersistenceError) as error:
                self._trouble(f"{error}")
                rest = 1.0
            else:
                self._trouble(None)
                rest = SHARE * (time.monotonic() - began)
            if rest > LEAST:
                await self._pause(rest)
            await self._wanted.wait()

    async def _pause(self, seconds: float) -> None:
        """Wait so long, unless one asks."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._asked.wait(), seconds)
