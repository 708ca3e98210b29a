"""What follows once a control or a signal is in the store: workers are notified, tasks put on queues."""

from __future__ import annotations

import contextlib
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from quince.client.ends import trace_ends
from quince.messages import (
    change_of,
    changes_of,
    control_body,
    control_messages,
    recheck_message,
    run_message,
    task_for,
    worker_of_run,
)
from quince.recovery.dead_workers import release_worker
from quince.recovery.lease import has_ended, is_dead
from quince.workspace.workspace import Workspace
from quince_messaging.errors import MessagingError, UnroutableError
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import Control, ProcessRow, Woken
from quince_persistence.records.controls import ControlOutcome
from quince_persistence.records.workers import WorkerRow

_log = StructuredLogger("quince")

ENDING_SECONDS = 3.0
"""Seconds in which the steps of a worker that has died end, as a rule."""
LOOK_SECONDS = 0.05


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
    workspace: Workspace,
    verb: Control,
    outcomes: Sequence[ControlOutcome],
    *,
    now: bool = False,
    everybody: bool = False,
) -> None:
    """In the background: notify the owners, enqueue ready processes, broadcast the changes.

    Args:
        now: A pause that stops steps in their midst.
        everybody: One broadcast reaches all owners.
    """
    workspace.background.post(lambda: _notify(workspace, verb, outcomes, now, everybody))
    trace_ends(workspace, [outcome.pid for outcome in outcomes if _has_ended_it(outcome)])


def _has_ended_it(outcome: ControlOutcome) -> bool:
    before, after = outcome.before, outcome.after
    if before is None or after is None or outcome.refused is not None:
        return False
    return after.terminated and not before.terminated


def notify_signalled(workspace: Workspace, outcomes: Sequence[ControlOutcome]) -> None:
    """In the background, after signals: have ready processes go on or enqueue them, broadcast the changes."""
    workspace.background.post(lambda: _notify_signalled(workspace, outcomes))


def notify_retried(workspace: Workspace, outcomes: Sequence[ControlOutcome]) -> None:
    """In the background, after a retry: enqueue ready processes, broadcast the changes."""
    workspace.background.post(lambda: _notify_retried(workspace, outcomes))


def _notify_retried(workspace: Workspace, outcomes: Sequence[ControlOutcome]) -> None:
    enqueue(workspace, (woken for outcome in outcomes for woken in outcome.woken))
    if changes := changes_of(outcomes):
        workspace.communicator.broadcast_many(changes)


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


def _notify(
    workspace: Workspace, verb: Control, outcomes: Sequence[ControlOutcome], now: bool, everybody: bool
) -> None:
    if everybody:
        body = control_body(verb, now=now)
        workspace.communicator.broadcast_send(body, subject=f"control.{verb.value}")
    else:
        messages = control_messages(verb, outcomes, now=now)
        dead = {owner for owner, message in messages if not _notified(workspace, owner, message)}
        if dead:
            _release_dead(workspace, dead)
    enqueue(workspace, (woken for outcome in outcomes for woken in outcome.woken))
    changes = changes_of(outcomes)
    if changes:
        workspace.communicator.broadcast_many(changes)


def _notified(workspace: Workspace, owner: str, message: dict[str, Any]) -> bool:
    """False if the owner is not there."""
    try:
        workspace.communicator.rpc_cast(owner, message)
    except UnroutableError:
        return False
    return True


def _release_dead(workspace: Workspace, owners: set[str]) -> None:
    """Release the processes of these workers, if they are proven dead: that applies what was asked for, also
    with no worker left that would do it. One that has just ended is dead when its steps have ended, too."""
    ended = [worker for worker in workspace.store.workers() if worker.id in owners and has_ended(worker)]
    deadline = time.monotonic() + ENDING_SECONDS
    while ended:
        for worker in list(ended):
            if is_dead(worker):
                _release(workspace, worker)
                ended.remove(worker)
        if time.monotonic() > deadline:
            return
        time.sleep(LOOK_SECONDS if ended else 0)


def _release(workspace: Workspace, worker: WorkerRow) -> None:
    woken = release_worker(workspace.store, worker.id).result()
    _log.warning(
        "worker %(worker_name)s (%(worker)s) is dead; its processes were released",
        worker=worker.id,
        host=worker.host,
        count=len(woken),
        worker_name=worker.name,
    )
    enqueue(workspace, woken)
