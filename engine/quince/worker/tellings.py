"""What steps say while they run, on its way to the store: of all processes together, once a second."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

from msgspec.structs import replace

from quince.concurrency import landed
from quince.messages import change_of
from quince.worker.interfaces import Owner
from quince_persistence.errors import PersistenceError
from quince_persistence.records import State
from quince_persistence.records.steps import Step, Telling

WRITE_SECONDS = 1.0
MOST_KEPT = 1000
"""Of so many processes is known which run of a step has committed."""


class Tellings:
    """Gathers them. What is not written when its step commits is left out: the step has it.

    All is done on the loop of the worker.
    """

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[tuple[int, int], Telling] = {}
        self._over: dict[int, int] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._last = float("-inf")

    def put(self, telling: Telling) -> None:
        """A step has said something."""
        if self._over.get(telling.pid) == telling.run:
            return
        key = (telling.pid, telling.run)
        before = self._waiting.get(key)
        if before is not None:
            telling = replace(telling, first=before.first, events=[*before.events, *telling.events])
        self._waiting[key] = telling
        if self._timer is None:
            pause = self._last + WRITE_SECONDS - self._loop.time()
            self._timer = self._loop.call_later(max(0.0, pause), self.flush)

    def commits(self, step: Step) -> None:
        """A step is about to be committed, with all that it has said."""
        if step.run:
            self._waiting.pop((step.pid, step.run), None)
            self._over.pop(step.pid, None)
            self._over[step.pid] = step.run
            if len(self._over) > MOST_KEPT:
                del self._over[next(iter(self._over))]

    def flush(self) -> None:
        """Write what there is: before whatever is written from now on."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        tellings, self._waiting = list(self._waiting.values()), {}
        if tellings:
            self._last = self._loop.time()
            with contextlib.suppress(PersistenceError):
                written = landed(self._owner.store.tell(tellings))
                self._owner.side.spawn("what steps say", self._announce(written, tellings))

    async def _announce(self, written: asyncio.Future[None], tellings: Sequence[Telling]) -> None:
        """Once it is written, let those know who watch."""
        with contextlib.suppress(PersistenceError):  # the steps say it again
            await written
            for telling in tellings:
                self._owner.outbox.announce(change_of(telling.pid, State.RUNNING, State.RUNNING))
