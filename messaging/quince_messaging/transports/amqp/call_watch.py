"""Calls whose answer is awaited, and whether somebody still works on them."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from quince_messaging.errors import DeliveryFailed, MessagingError, UnroutableError

LOOK_AGAIN = 3.0
"""Seconds between two looks at calls that have no answer yet."""


class CallWatch:
    """Asks now and then, for calls that take long, whether their server still works on them.

    A server that dies with a call takes it along, and the broker says nothing; without this the caller
    would wait for ever. One question covers all calls to an identifier, and none is asked while calls
    are answered promptly.

    Args:
        ask: Given an identifier and call numbers, returns those that are being worked on there.
        fail: Lets one call fail.
        spawn: Runs the watch.
    """

    def __init__(
        self,
        ask: Callable[[str, list[int]], Awaitable[list[int]]],
        fail: Callable[[int, BaseException], None],
        spawn: Callable[[Coroutine[Any, Any, None]], None],
    ) -> None:
        self._ask = ask
        self._fail = fail
        self._spawn = spawn
        self._asked: dict[int, tuple[str, float]] = {}
        """To whom, and when."""
        self._watching = False

    def add(self, number: int, identifier: str, loop: asyncio.AbstractEventLoop) -> None:
        """A call was made. From any thread."""
        self._asked[number] = identifier, loop.time()
        if not self._watching:
            self._watching = True
            loop.call_soon_threadsafe(self._look_later, loop)

    def discard(self, number: int) -> None:
        """It is answered, or nobody waits any more."""
        self._asked.pop(number, None)

    def fail_all(self, why: str) -> None:
        """Let all of them fail."""
        for number in list(self._asked):
            self._fail(number, DeliveryFailed(why))

    def _look_later(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.call_later(LOOK_AGAIN, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._watching = False  # before the last look: who adds a call now has us look again
        if not self._asked:
            return
        self._watching = True
        self._look_later(loop)
        long_ago = loop.time() - LOOK_AGAIN
        slow: defaultdict[str, list[int]] = defaultdict(list)
        for number, (identifier, at) in list(self._asked.items()):
            if at <= long_ago:
                slow[identifier].append(number)
        for identifier, numbers in slow.items():
            self._spawn(self._check(identifier, numbers))

    async def _check(self, identifier: str, numbers: list[int]) -> None:
        try:
            alive = set(await self._ask(identifier, numbers))
        except UnroutableError:
            alive = set()
        except (MessagingError, TimeoutError):
            return  # no answer is no proof; the broker will notice a dead server in time
        for number in numbers:
            if number not in alive and number in self._asked:
                self._fail(number, DeliveryFailed(f"{identifier!r} went away before it answered"))
