"""Workers of other hosts that have vanished from the broker: found dead before their lease ends.

The broker drops the queue of a worker within milliseconds of its death, and also when only the link between
the two breaks. So a queue that is gone is a hint. The proof is a heartbeat that does not come.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

from quince.messages import ARE_YOU_THERE
from quince.settings import HEARTBEAT_SECONDS
from quince_messaging.contract import AsyncCommunicator, LinkState
from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince.worker")

SILENCE_SECONDS = HEARTBEAT_SECONDS + 1.5
"""No heartbeat for so long, and no queue in the broker: dead."""

GAP_SECONDS = 2.0
"""Seconds without a read of the rows after which nothing is known of the heartbeats before."""

ASK_SECONDS = 2.0


class BrokerPresence:
    """What one worker sees of those on other hosts.

    Each host watches the next one, in the order of their names, and the worker with the lowest id does it for
    its host: so every worker is asked after by one other, however many there are.
    """

    def __init__(self, worker_id: str, communicator: AsyncCommunicator) -> None:
        self._id = worker_id
        self._communicator = communicator
        self._beats: dict[str, tuple[float, float]] = {}
        self._absent: set[str] = set()
        self._looked = 0.0

    def saw(self, workers: Sequence[WorkerRow], began: float) -> None:
        """The workers' rows have been read.

        Args:
            began: Monotonic time at which the reading began.
        """
        now = time.monotonic()
        known = self._beats if began - self._looked < GAP_SECONDS else {}
        self._beats = {
            worker.id: seen
            if (seen := known.get(worker.id)) is not None and seen[0] == worker.heartbeat
            else (worker.heartbeat, now)
            for worker in workers
        }
        self._looked = began

    async def vanished(self, workers: Sequence[WorkerRow]) -> list[WorkerRow]:
        """Those of the next host that have no queue in the broker and were silent for too long."""
        watched = _next_host(workers, self._id) if self._communicator.state is LinkState.CONNECTED else []
        gone = await asyncio.gather(*(self._is_gone(worker.id) for worker in watched))
        absent = [worker for worker, is_gone in zip(watched, gone, strict=True) if is_gone]
        for worker in absent:
            if worker.id not in self._absent:
                _log.info(
                    "%(worker)s has no queue in the broker; its heartbeat is watched",
                    worker=worker.id,
                    host=worker.host,
                )
        self._absent = {worker.id for worker in absent}
        return [one for one in absent if self._looked - self._beats[one.id][1] > SILENCE_SECONDS]

    async def _is_gone(self, worker_id: str) -> bool:
        try:
            await asyncio.wait_for(self._communicator.rpc_cast(worker_id, ARE_YOU_THERE), ASK_SECONDS)
        except UnroutableError:
            return True
        except (MessagingError, TimeoutError):
            return False
        return False


def _next_host(workers: Sequence[WorkerRow], own_id: str) -> list[WorkerRow]:
    """Whom this worker asks after."""
    here = next((worker.host for worker in workers if worker.id == own_id), None)
    hosts = sorted({worker.host for worker in workers})
    if here is None or len(hosts) == 1 or own_id != min(w.id for w in workers if w.host == here):
        return []
    following = hosts[(hosts.index(here) + 1) % len(hosts)]
    return [worker for worker in workers if worker.host == following]
