"""Workers that stand still with a step host: those of a `run()` in a step that is paused in its midst.

They live, and are not to be taken for dead, which would have others run what is paused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from quince.concurrency import aside
from quince.recovery.lease import process_of
from quince.settings import HEARTBEAT_SECONDS
from quince.worker.interfaces import Owner
from quince.worker.process_family import descendants
from quince.worker.step_host import StepHost

LOCKS = Path("/proc/locks")


class PausedWorkers:
    """Gives their heartbeats for them.

    Args:
        hosts: All hosts that there are now.
    """

    def __init__(self, owner: Owner, hosts: Callable[[], Iterable[StepHost]]) -> None:
        self._owner = owner
        self._hosts = hosts
        owner.side.keep("the heartbeats of paused steps", self._look, every=HEARTBEAT_SECONDS)

    async def _look(self) -> None:
        heads = [host.ospid for host in self._hosts() if host.frozen]
        if heads:
            await aside(self._beat, heads)

    def _beat(self, heads: Iterable[int]) -> None:
        family = {one for head in heads for one in (head, *descendants(head))}
        for worker in self._owner.store.workers():
            program = process_of(worker)
            if program is not None and program.ospid in family and program.runs():
                self._owner.store.heartbeat(worker.id)


def holds_lock(head: int) -> bool:
    """Whether a process or a descendant of it has locked a part of a file, as SQLite does for each commit:
    were it stopped just now, others would wait for that."""
    with suppress(OSError):
        family = {str(one) for one in (head, *descendants(head))}
        words = [line.split() for line in LOCKS.read_text().splitlines()]
        return any(one[1] == "POSIX" and one[3] == "WRITE" and one[4] in family for one in words)
    return False
