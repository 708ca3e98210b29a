"""Troubles of a worker that last: those who want to be told of them are, once an hour for each kind."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable
from pathlib import Path

from quince.concurrency import StepThreads, landed
from quince.notify.failures import NotSent
from quince.notify.messages import messages_of
from quince.notify.sending import send
from quince.settings import host_name
from quince.troubles import grave
from quince.worker.interfaces import Owner
from quince.workspace.receivers import Receiver
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records.notices import Happening, NoticeRow

_log = StructuredLogger("quince.worker")

LOOK_SECONDS = 5.0
LASTING_SECONDS = 60.0
"""What passes within that is nobody's concern."""
AGAIN_SECONDS = 3600.0
KINDS = 1000
"""Kinds of troubles that are told apart."""
ANSWER_SECONDS = 15.0
"""For which the store is waited for, before others are told without it."""
_NUMBERS = re.compile(r"\d+")


class TroubleWatch:
    """What one worker says of its troubles.

    Args:
        receivers: Those who want to be told.
        threads: Where they are told if the store does not answer.
    """

    def __init__(
        self,
        owner: Owner,
        receivers: list[Receiver],
        threads: StepThreads,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._owner, self._receivers, self._threads, self._clock = owner, receivers, threads, clock
        self._since: dict[str, float] = {}
        self._told: dict[str, float] = {}

    async def look(self) -> None:
        """Tell what has lasted for a while, if nobody has told it lately."""
        now = self._clock()
        kinds = {_NUMBERS.sub("#", sentence): sentence for sentence in grave(self._owner.side.sentences())}
        self._since = {kind: self._since.get(kind, now) for kind in kinds}
        self._told = {kind: at for kind, at in self._told.items() if now - at < AGAIN_SECONDS}
        for kind, sentence in kinds.items():
            if now - self._since[kind] >= LASTING_SECONDS and kind not in self._told:
                self._told[kind] = now
                await self._tell(kind, sentence, now - self._since[kind])

    async def _tell(self, kind: str, sentence: str, seconds: float) -> None:
        number = int(hashlib.sha256(kind.encode()).hexdigest(), 16) % KINDS
        who = f"worker {self._owner.name} on {host_name()}"
        body = {
            "text": f"{who} has been in trouble for {seconds:.0f} s: {sentence}",
            "worker": self._owner.id,
            "host": host_name(),
        }
        name = f"trouble-{number}-{time.time():.0f}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                if await landed(self._owner.store.take_turn(f"told:{number}", every=AGAIN_SECONDS)):
                    await landed(self._owner.store.add_notice(name, Happening.TROUBLE, body))
        except (StoreUnavailable, TimeoutError):
            notice = NoticeRow(name, "", Happening.TROUBLE, time.time(), body, 1, 0.0)
            await asyncio.wrap_future(self._threads.submit(self._send, notice, number))

    def _send(self, notice: NoticeRow, number: int) -> None:
        """The store is away: tell them from here, one worker of this host for all of them."""
        if not _first(self._owner.location.state / "notices" / str(number)):
            return
        for message, _ in messages_of([notice], self._owner.store.identity):
            for receiver in self._receivers:
                try:
                    send(receiver, message, self._owner.location.folder)
                except NotSent as error:
                    _log.warning(
                        "%(receiver)s could not be told (%(reason)s)",
                        receiver=receiver.name,
                        reason=str(error),
                        worker=self._owner.id,
                    )


def _first(mark: Path) -> bool:
    """Whether nobody of this host has put this mark in the last hour; it is put."""
    mark.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        if time.time() - mark.stat().st_mtime < AGAIN_SECONDS:
            return False
        mark.unlink()
    except FileNotFoundError:
        pass
    try:
        mark.touch(mode=0o600, exist_ok=False)
    except FileExistsError:
        return False
    return True
