"""What follows once a control or a signal is in the store: workers are notified, tasks put on queues."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterable, Sequence

from quince.messages import (
    change_of,
    changes_of,
    control_message,
    recheck_message,
    run_message,
    task_for,
    worker_of_run,
)
from quince.recovery.dead_workers import release_worker
from quince.recovery.lease import is_dead
from quince.workspace.workspace import Workspace
from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import Control, ControlOutcome, ProcessRow, Woken

_log = StructuredLogger("quince")


def enqueue(workspace: Workspace, woken: Iterable[Woken | ProcessRow]) -> None:
    """Put the tasks of ready processes on their queues; the sweeps do it if the broker is away."""
    ready: dict[tuple[str, int], list[int]] = defaultdict(list)
    for process in woken:
        if process.owner is None:
            ready[process.queue, process.priority].append(process.pid)
    for (queue, priority), pids in ready.items():
        try:
            if (worker_id := worker_of_run(queue)) is not None:
                workspace.communicator.rpc_cast(worker_id, run_message(pids))
            else:
                workspace.communicator.send_tasks(list(map(task_for, pids)), queue=queue, priority=priority)
        except MessagingError as error:
            _log.warning(
                "the broker takes no tasks now (%(error)s); nothing is lost, a worker's sweep will find them",
                queue=queue,
                count=len(pids),
                error=error,
            )


def notify(
    workspace: Workspace, verb: Control, outcomes: Sequence[ControlOutcome], *, everybody: bool = False
) -> None:
    """In the background: notify the owners, enqueue ready processes, broadcast the changes.

    Args:
        everybody: One broadcast reaches all owners.
    """
    workspace.background.post(lambda: _notify(workspace, verb, outcomes, everybody))


def notify_signalled(workspace: Workspace, outcomes: Sequence[ControlOutcome]) -> None:
    """In the background, after signals: have ready processes go on or enqueue them, broadcast the changes."""
    workspace.background.post(lambda: _notify_signalled(workspace, outcomes))


def _notify_signalled(workspace: Workspace, outcomes: Sequence[ControlOutcome]) -> None:
    woken = [one for outcome in outcomes for one in outcome.woken]
    enqueue(workspace, woken)
    for one in woken:
        if one.owner is not None:
            with contextlib.suppress(UnroutableError):
                workspace.communicator.rpc_cast(one.owner, recheck_message(one.pid))
    rows = [outcome.after for outcome in outcomes if outcome.applied and outcome.after is not None]
    if rows:
        workspace.communicator.broadcast_many([change_of(row.pid, row.state, row.state) for row in rows])


def _notify(workspace: Workspace, verb: Control, outcomes: Sequence[ControlOutcome], everybody: bool) -> None:
    owned = _by_owner(outcomes)
    if everybody:
        workspace.communicator.broadcast_send({"verb": verb.value}, subject=f"control.{verb.value}")
    else:
        dead = {owner for owner, pids in owned.items() if not _notified(workspace, owner, verb, pids)}
        if dead:
            _release_dead(workspace, dead)
    enqueue(workspace, (woken for outcome in outcomes for woken in outcome.woken))
    messages = changes_of(outcomes)
    if messages:
        workspace.communicator.broadcast_many(messages)


def _by_owner(outcomes: Sequence[ControlOutcome]) -> dict[str, list[int]]:
    owned: dict[str, list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.owner is not None:
            owned[outcome.owner].append(outcome.pid)
    return owned


def _notified(workspace: Workspace, owner: str, verb: Control, pids: Sequence[int]) -> bool:
    """False if the owner is not there."""
    try:
        workspace.communicator.rpc_cast(owner, control_message(verb, pids))
    except UnroutableError:
        return False
    return True


def _release_dead(workspace: Workspace, owners: set[str]) -> None:
    """Release the processes of these workers, if they are proven dead: that applies what was asked for, also
    with no worker left that would do it."""
    for worker in workspace.store.workers():
        if worker.id in owners and is_dead(worker):
            woken = release_worker(workspace.store, worker.id).result()
            _log.warning(
                "worker %(worker_name)s (%(worker)s) is dead; its processes were released",
                worker=worker.id,
                host=worker.host,
                count=len(woken),
                worker_name=worker.name,
            )
            enqueue(workspace, woken)
