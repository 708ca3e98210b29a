"""A check-up of a workspace: what is broken, what would break, and, if asked, mending it.

What the workers' sweeps mend by themselves is found here too, so that it can be seen, and mended
while no worker runs. Without `mend` nothing is changed.
"""

from __future__ import annotations

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from quince.client.notify import enqueue
from quince.daemon import operations as daemon
from quince.diagnosis.code_check import check_code
from quince.diagnosis.exposed_files import exposed, make_private
from quince.diagnosis.schedule_check import check_schedules
from quince.recovery.dead_workers import release_worker
from quince.recovery.lease import is_dead, lives_here
from quince.recovery.sweeper import STALE_SECONDS, SUSPICION_SECONDS
from quince.settings import EXPIRY_SECONDS
from quince.troubles import grave
from quince.workspace.neighbours import sentence_of, strangers
from quince.workspace.workspace import Workspace, open_store
from quince_messaging.errors import MessagingError
from quince_persistence.contract import StoreContract
from quince_persistence.errors import PersistenceError, StoreUnavailable
from quince_persistence.records import OWN_QUEUE, Woken
from quince_persistence.records.workers import WorkerRow

WRITE_SECONDS = 12.0
"""How long a write that changes nothing may take."""
PATIENCE = 5.0
"""Seconds for which a store that does not answer is waited for, in all: locks may be held for hours."""
DEAD_LETTERS = 1_000
"""How many dead letters are looked at."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        about: `store`, `files`, `broker`, `daemon`, `worker`, `owner`, `queue`, `code`, `notices` or
            `dead letters`.
        sentence: What it is.
        remedy: What to do about it.
        pids: The processes that it holds up, if they are known.
        mendable: `mend` puts it right.
        mended: It has.
        note: It is as it should be, and good to know.
    """

    about: str
    sentence: str
    remedy: str
    pids: tuple[int, ...] = ()
    mendable: bool = False
    mended: bool = False
    note: bool = False


def doctor(workspace: Workspace, *, mend: bool = False) -> list[Finding]:
    """Check everything, whatever else does not answer.

    Args:
        mend: Release what dead workers hold, and put on the queue what has no task there.

    Returns:
        What was found; empty if all is well. Those `mended` are well again.
    """
    return list(dict.fromkeys(_Checkup(workspace, mend).findings()))


def unattended(workspace: Workspace) -> list[Finding]:
    """That processes are ready and no worker is there to take them up, which may be as it should be.

    Empty also if the store does not answer: `doctor` says so.
    """
    try:
        now, ready = workspace.store.clock(), sum(workspace.store.backlog().values())
        working = any(now - worker.heartbeat <= EXPIRY_SECONDS for worker in workspace.store.workers())
    except PersistenceError:
        return []
    if working or not ready:
        return []
    sentence = f"{ready} processes are ready, and no worker runs"
    return [Finding("queue", sentence, "they are kept; `quince daemon start` starts workers", note=True)]


class _Checkup:
    """One round of checks; each finds what it is about, and mends it if that is asked for."""

    def __init__(self, workspace: Workspace, mend: bool) -> None:
        self._workspace = workspace
        self._mend = mend

    def findings(self) -> Iterator[Finding]:
        of_store: list[Callable[[], Iterable[Finding]]] = [
            self._dead_workers, self._troubled_workers, self._unknown_owners, self._ended_runs,
            self._forgotten,
        ]  # fmt: skip
        checks = [
            self._damage, self._writes, self._exposed, self._daemon, *of_store,
            self._unserved, self._code, self._schedules, self._notices, self._dead_letters, self._strangers,
        ]  # fmt: skip
        lost = 0.0
        for check in checks:
            if lost > PATIENCE and check in (*of_store, self._code, self._schedules, self._notices):
                continue  # each would wait as long as those before
            began = time.monotonic()
            try:
                yield from check()
            except PersistenceError as error:
                if isinstance(error, StoreUnavailable):
                    lost += time.monotonic() - began
                yield Finding("store", _sentence(error), "make the store answer, then look again")
            except MessagingError as error:
                yield Finding("broker", _sentence(error), "make the broker answer; nothing is lost meanwhile")
            except ValueError as error:  # as a name of a queue that no broker takes
                yield Finding("store", _sentence(error), "somebody else than Quince has written that there")

    @property
    def _store(self) -> StoreContract:
        return self._workspace.store

    def _damage(self) -> Iterator[Finding]:
        for line in self._store.damage():
            yield Finding(
                "store",
                f"the database file is damaged: {line}",
                "stop all workers; go back to a backup, or save what can be read: `sqlite3 FILE .recover`",
            )

    def _writes(self) -> Iterator[Finding]:
        self._store.owners()  # what cannot even be read is said once
        try:
            with open_store(self._workspace.location, patience=WRITE_SECONDS) as trial:
                trial.try_write(within=WRITE_SECONDS)
        except PersistenceError as error:
            yield Finding(
                "store",
                f"it takes no writes: {_sentence(error)}",
                "mend what it says; the workers wait for it, and go on by themselves",
            )

    def _exposed(self) -> Iterator[Finding]:
        for path in exposed(self._workspace.location):
            yield self._mendable(
                "files",
                f"{path} can be read by other users of this machine",
                f"take their rights away: `chmod go= {shlex.quote(str(path))}`; so does --mend",
                partial(make_private, path),
            )

    def _daemon(self) -> Iterator[Finding]:
        state = daemon.state(self._workspace.location)
        if state.survivors:
            yield Finding("daemon", state.survivors, "`quince daemon stop` ends everything")
        for trouble in state.troubles:
            yield Finding("daemon", trouble, "it tries again by itself; see `quince daemon logs`")

    def _strangers(self) -> Iterator[Finding]:
        others, copies = strangers(self._workspace)
        for card in copies:
            yield Finding(
                "store",
                f"{card.worker} works on another store with the identity of this one, {card}: one is a copy "
                "of the other, and they take each other's tasks",
                "stop the workers of the copy, and there call `quince init --new-identity`",
            )
        if others:
            yield Finding(
                "broker", sentence_of(others), "RemoteControl needs store=... to tell them apart", note=True
            )

    # Who holds what

    def _dead_workers(self) -> Iterator[Finding]:
        for worker, proof, silent in self._dead():
            held = f"holds {worker.held} processes" if worker.held else "holds nothing"
            yield self._mendable(
                "worker",
                f"{worker.name} ({worker.id}) is {'taken for ' if silent else ''}dead ({proof}), and {held}",
                "a running worker releases it; so does --mend",
                partial(self._release, worker.id, silent),
            )

    def _dead(self) -> Iterator[tuple[WorkerRow, str, bool]]:
        """Dead workers with the proof, and whether they are only silent: such a one gets the time to be heard
        again."""
        now, silent = self._store.clock(), []
        for worker in self._store.workers():
            if is_dead(worker):
                yield worker, "its lock is free", False
            elif now - worker.heartbeat > EXPIRY_SECONDS:
                silent.append(worker)
        if silent:
            time.sleep(SUSPICION_SECONDS)
            beats = {worker.id: worker.heartbeat for worker in self._store.workers()}
            for worker in silent:
                if beats.get(worker.id) == worker.heartbeat:
                    lives = "; its process lives, so it is frozen or cut off" if lives_here(worker) else ""
                    yield worker, f"no heartbeat for {now - worker.heartbeat:.0f} s{lives}", True

    def _troubled_workers(self) -> Iterator[Finding]:
        now = self._store.clock()
        for worker in self._store.workers():
            for trouble in grave(worker.troubles) if now - worker.heartbeat <= EXPIRY_SECONDS else ():
                yield Finding(
                    "worker",
                    f"{worker.name} ({worker.id}): {trouble}",
                    "the worker goes on as well as it can; its log may say more",
                )

    def _unknown_owners(self) -> Iterator[Finding]:
        before = self._store.owners()
        known = self._known_workers()
        after = self._store.owners()  # one that said goodbye in between holds nothing now
        for owner in sorted(set(before) & set(after) - known):
            yield self._mendable(
                "owner",
                f"{after[owner]} processes are held by {owner}, which is no known worker",
                "a running worker releases them; so does --mend",
                partial(self._release, owner),
            )

    def _release(self, worker_id: str, silent: bool = False) -> None:
        enqueue(self._workspace, release_worker(self._store, worker_id, silent=silent).result())

    # Ready, and not on the queue

    def _ended_runs(self) -> Iterator[Finding]:
        known = self._known_workers()
        for queue, idle in self._idle().items():
            worker_id = queue.removeprefix(OWN_QUEUE)
            if queue.startswith(OWN_QUEUE) and worker_id not in known:
                yield self._mendable(
                    "queue",
                    f"{len(idle)} ready processes belong to a run() that has ended",
                    "a running worker takes them over; so does --mend",
                    partial(self._release, worker_id),
                    idle,
                )

    def _forgotten(self) -> Iterator[Finding]:
        for queue, idle in self._idle().items():
            if queue.startswith(OWN_QUEUE) or self._workspace.communicator.queue_size(queue=queue):
                continue
            yield self._mendable(
                "queue",
                f"{len(idle)} ready processes have no task on queue {queue}, which is empty",
                "a running worker puts them there; so does --mend",
                partial(enqueue, self._workspace, idle),
                idle,
            )

    def _unserved(self) -> Iterator[Finding]:
        """Queues with something on them that no worker consumes, while there are workers."""
        now = self._store.clock()
        workers = [one for one in self._store.workers() if now - one.heartbeat <= EXPIRY_SECONDS]
        served = {queue for worker in workers for queue in worker.queues}
        for queue, count in self._store.backlog().items() if served else ():
            if count and queue not in served and not queue.startswith(OWN_QUEUE):
                yield Finding(
                    "queue",
                    f"{count} ready processes are on queue {queue}, which no worker consumes",
                    f"start a worker for it: `quince worker --queue {shlex.quote(queue)}`; "
                    "if it is misspelt, kill them and submit them again",
                )

    def _idle(self) -> dict[str, Sequence[Woken]]:
        queues: dict[str, list[Woken]] = {}
        for process in self._store.idle(STALE_SECONDS):
            queues.setdefault(process.queue, []).append(process)
        return dict(queues)

    def _known_workers(self) -> set[str]:
        return {worker.id for worker in self._store.workers()}

    def _mendable(
        self, about: str, sentence: str, remedy: str, mend: Callable[[], None], idle: Sequence[Woken] = ()
    ) -> Finding:
        """A finding that is mended here and now, if that is asked for."""
        if self._mend:
            mend()
        pids = tuple(process.pid for process in idle)
        return Finding(about, sentence, remedy, pids, mendable=True, mended=self._mend)

    # What would break, and what has

    def _code(self) -> Iterator[Finding]:
        for broken in check_code(self._workspace):
            yield Finding(
                "code",
                f"{len(broken.pids)} processes of {broken.class_path} cannot go on with this code: "
                f"{broken.reason}",
                "put it right before workers run this code; they would pause or fail these processes",
                broken.pids,
            )

    def _schedules(self) -> Iterator[Finding]:
        for name, reason in check_schedules(self._workspace):
            yield Finding(
                "schedule",
                f"schedule {name} {reason}",
                "mend that; what it has made meanwhile is kept, and `quince play PID` lets it run",
            )

        for damaged in self._store.damaged_schedules():
            yield Finding(
                "schedule",
                f"schedule {damaged.name} cannot be read, and does not fire: {damaged.reason}",
                "add it again with `--replace`, or remove it with `quince schedule rm`",
            )

    def _notices(self) -> Iterator[Finding]:
        known = {receiver.name for receiver in self._workspace.location.receivers}
        for row in self._store.receivers():
            if row.error is not None:
                yield Finding(
                    "notices",
                    f"{row.pending} notices for {row.name} could not be sent: {row.error}",
                    f"mend it, then `quince notify test {row.name}`; they are tried again for three days",
                )
        for name in sorted(known - {row.name for row in self._store.receivers()}):
            yield Finding(
                "notices",
                f"no worker knows the receiver {name} of quince.toml",
                "`quince daemon restart` makes them read it",
            )

    def _dead_letters(self) -> Iterator[Finding]:
        letters = self._workspace.communicator.dead_letters(limit=DEAD_LETTERS)
        for (queue, reason), count in Counter((one.queue, one.reason) for one in letters).items():
            yield Finding(
                "dead letters",
                f"{count} messages of {queue} lie among the dead letters: {reason}",
                "read them with `dead_letters()` of a communicator; `revive()` puts them back",
            )


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
