"""Giving a process that cannot be loaded here to a worker with other code: another checkout, another host.

Who declined it is in its history, by place (the host and the folder of a worker's workspace): it is put on
hold only when every place that works for its queue has.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath

from quince.settings import EXPIRY_SECONDS
from quince.worker.claimed_process import ClaimedProcess
from quince.worker.interfaces import Owner
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import EventRow, NewEvent
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince.worker")

DECLINED = "declined"
"""Kind of the event."""


async def given_to_another(owner: Owner, claimed: ClaimedProcess, reason: str) -> bool:
    """Release the process, if a worker with other code may be able to go on with it.

    Args:
        reason: Why it cannot be loaded here.
    """
    store, queue = owner.store, claimed.facts["queue"]
    workers, now = await claimed.read(store.workers), await claimed.read(store.clock)
    own = next((worker for worker in workers if worker.id == owner.id), None)
    living = [one for one in workers if queue in one.queues and now - one.heartbeat <= EXPIRY_SECONDS]
    if own is None or not (others := {_place(one) for one in living} - {_place(own)}):
        return False
    declined = places_that_declined(await claimed.read(lambda: store.events(claimed.pid)))
    if not others - declined:
        return False
    if _place(own) not in declined:
        event = NewEvent(DECLINED, {"place": _place(own), "reason": reason}, own.name)
        await claimed.write(lambda: store.report(claimed.pid, [event]))
    _log.warning(
        "process %(pid)s cannot be loaded here, and is left to workers with other code: %(reason)s",
        **claimed.facts,
        reason=reason,
    )
    owner.decline(claimed.pid)
    await claimed.release(always=True)
    return True


def places_that_declined(events: Iterable[EventRow]) -> set[str]:
    """Where it could not be loaded since it was played last."""
    places: set[str] = set()
    for event in events:
        if event.kind == DECLINED:
            places.add(str(event.body.get("place")))
        elif event.kind == "control" and event.body.get("verb") == "play":
            places.clear()
    return places


def _place(worker: WorkerRow) -> str:
    folder = "" if worker.lock is None else PurePosixPath(worker.lock).parents[2]
    return f"{worker.host}:{folder}"
