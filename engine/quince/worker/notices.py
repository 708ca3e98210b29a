"""Sending notices: any worker takes what is due for the receivers that it knows, beside all else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from quince.concurrency import StepThreads, aside, landed
from quince.notify.failures import NotSent
from quince.notify.messages import EACH, messages_of
from quince.notify.sending import send
from quince.worker.interfaces import Owner
from quince.worker.trouble_watch import LOOK_SECONDS as WATCH_SECONDS
from quince.worker.trouble_watch import TroubleWatch
from quince.workspace.receivers import Receiver
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records.notices import Happening, NoticeRow, Sent

_log = StructuredLogger("quince.worker")

LOOK_SECONDS = 1.0
SAY_SECONDS = 300.0
"""How often a worker says whom it knows."""
AT_ONCE = 100
SPARE_SECONDS = 20.0
"""For so long, and for as many tries as it may make one after the other, what a worker has taken is nobody
else's."""
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 1800.0
KEEP_SECONDS = 3 * 86_400.0
"""What could not be sent for so long is dropped."""
MOST = 1000
"""So many are kept for a receiver that takes none."""
SETTLE_SECONDS = 30.0
"""How long the store may take to hear of what was sent."""
LAST_SECONDS = 3.0
"""For which a worker that leaves waits for what it is just sending."""


class NoticeRounds:
    """Those of one worker. Receivers are served beside each other: none waits for another one."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._receivers = owner.location.receivers

    def start(self, side: SideTasks) -> None:
        """From now on."""
        side.keep("who is told of what", self.say, every=SAY_SECONDS)
        threads = StepThreads(max(1, len(self._receivers)), "quince-notify")
        for receiver in self._receivers:
            rounds = _Rounds(self._owner, receiver, threads)
            side.keep(f"notices for {receiver.name}", rounds.round, every=LOOK_SECONDS)
        if of_troubles := [one for one in self._receivers if Happening.TROUBLE in one.on]:
            watch = TroubleWatch(self._owner, of_troubles, StepThreads(1, "quince-notify"))
            side.keep("the watch on troubles", watch.look, every=WATCH_SECONDS)

    async def say(self) -> None:
        """Say whom this worker knows; what can never be sent goes."""
        wanted = {receiver.name: receiver.on for receiver in self._receivers}
        await landed(self._owner.store.want_notices(wanted, keep=KEEP_SECONDS, most=MOST))


class _Rounds:
    """Those for one receiver."""

    def __init__(self, owner: Owner, receiver: Receiver, threads: StepThreads) -> None:
        self._owner, self._receiver, self._threads = owner, receiver, threads
        self._leaving = False

    async def round(self) -> None:
        """Send what is due, if nobody else does."""
        store, names = self._owner.store, [self._receiver.name]
        if self._owner.draining or not await aside(store.notices_due, names):
            return
        taken = await landed(
            store.take_notices(
                names, self._owner.id, most=AT_ONCE, hold=EACH * self._receiver.timeout + SPARE_SECONDS
            )
        )
        sending = asyncio.wrap_future(self._threads.submit(self._send, taken))
        try:
            await asyncio.shield(sending)
        except asyncio.CancelledError:  # this worker leaves: what is sent meanwhile is known to be sent
            self._leaving = True
            await asyncio.wait([sending], timeout=LAST_SECONDS)
            raise

    def _send(self, taken: Sequence[NoticeRow]) -> None:
        """On a thread: send them, the oldest first, and write down what became of each before the next; after
        one that does not arrive, none."""
        wanted = [notice for notice in taken if self._receiver.wants(notice.event, notice.body)]
        self._settle([notice for notice in taken if notice not in wanted])
        failure: NotSent | None = None
        for message, notices in messages_of(wanted, self._owner.store.identity):
            if self._leaving:
                return  # what is left is another worker's, when it is not held any more
            if failure is None:
                try:
                    send(self._receiver, message, self._owner.location.folder)
                except NotSent as error:
                    failure = error
                    self._warn(notices[0], error)
            self._settle(notices, failure)

    def _settle(self, notices: Sequence[NoticeRow], failure: NotSent | None = None) -> None:
        if notices:
            sent = [self._settled(notice, failure) for notice in notices]
            self._owner.store.settle_notices(sent, self._owner.id).result(SETTLE_SECONDS)

    def _settled(self, notice: NoticeRow, failure: NotSent | None) -> Sent:
        if failure is None:
            return Sent(notice.id, notice.receiver)
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(notice.tries - 1, 20))
        return Sent(notice.id, notice.receiver, str(failure), max(pause, failure.after or 0.0))

    def _warn(self, notice: NoticeRow, error: NotSent) -> None:
        _log.warning(
            "%(receiver)s could not be told (%(reason)s); it is tried again",
            receiver=self._receiver.name,
            reason=str(error),
            attempt=notice.tries,
            worker=self._owner.id,
        )
