"""Everything that travels between parts of the engine: tasks, calls to workers, broadcasts, controls."""

from __future__ import annotations

import reprlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple, TypeGuard

from quince.text import storable
from quince_messaging.contract import BroadcastMessage, SubjectFilter
from quince_persistence.records import OWN_QUEUE, TERMINAL, Control, ProcessRow, Progress, State
from quince_persistence.records.controls import ControlOutcome


def task_for(pid: int) -> dict[str, int]:
    """The body of the task that runs, or goes on with, a process."""
    return {"pid": pid}


LARGEST_PID = 2**63 - 1

DIGITS = 20


def is_pid(value: Any) -> TypeGuard[int]:
    """Whether what came over the wire can be a pid."""
    return type(value) is int and 0 < value <= LARGEST_PID


def pid_of(body: Any) -> int | None:
    """The pid in a task's body; None if the body is not one of ours."""
    pid = body.get("pid") if isinstance(body, dict) else None
    return pid if is_pid(pid) else None


class Asked(NamedTuple):
    """What a call asks a worker to do.

    Attributes:
        pids: With which processes.
        wait: How many seconds its caller waits.
        now: Without waiting for the step that runs.
    """

    verb: Any
    pids: list[int]
    wait: float
    now: bool


def asked_of_worker(body: Any) -> Asked:
    """What a call asks a worker to do.

    Raises:
        ValueError: it is no call to a worker; says what is wrong.
    """
    asked: dict[Any, Any] = body if isinstance(body, dict) else {"pids": None}
    pids: Any = asked.get("pids", [])
    wait: Any = asked.get("wait", 0)
    if not isinstance(pids, list) or not all(map(is_pid, pids)):
        raise ValueError(f"not a call to a worker: {shown(body)}")
    if type(wait) not in (int, float) or not 0 <= wait < float("inf"):
        raise ValueError(f"a worker is waited for some seconds, not {shown(wait)}")
    return Asked(asked.get("verb"), pids, float(wait), is_now(asked))


def is_now(body: Any) -> bool:
    """Whether a control is not to wait for a step that runs: a pause in its midst, a kill by force."""
    return isinstance(body, dict) and body.get("now") is True


def shown(body: Any) -> str:
    """What came over the wire, for a sentence: whatever it is, however large and deep."""
    try:
        return storable(reprlib.repr(body))[:200]
    except Exception:
        return f"a {type(body).__name__} that cannot be shown"


def run_queue(worker_id: str) -> str:
    """The queue of the processes that one `run()` drives."""
    return OWN_QUEUE + worker_id


def worker_of_run(queue: str) -> str | None:
    """The id of the worker of the `run()` whose queue that is; None for a queue of tasks."""
    return queue.removeprefix(OWN_QUEUE) if queue.startswith(OWN_QUEUE) else None


def run_message(pids: Sequence[int]) -> dict[str, Any]:
    """The RPC that tells a worker to run these, in place of tasks on a queue."""
    return {"verb": "run", "pids": list(pids)}


def recheck_message(pid: int) -> dict[str, Any]:
    """The RPC that tells a worker to ask the store whether a process that lingers there may go on."""
    return {"verb": "look", "pids": [pid]}


def control_message(
    verb: Control, pids: Sequence[int], *, wait: float | None = None, now: bool = False
) -> dict[str, Any]:
    """The RPC that tells a worker to apply a control to processes that it owns.

    Args:
        wait: Seconds that the answer may wait for steps to end; none if not given.
        now: See `is_now`.
    """
    message = control_body(verb, now=now) | {"pids": list(pids)}
    return message if wait is None else message | {"wait": wait}


def control_messages(
    verb: Control, outcomes: Sequence[ControlOutcome], *, now: bool = False
) -> list[tuple[str, dict[str, Any]]]:
    """The RPCs that tell the owners of processes what a control has done or is to do, with their owners. A
    process that a kill has ended already, although it may be in a step, is not to be waited for."""
    owned: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.owner is not None:
            ended = verb is Control.KILL and outcome.applied
            owned[outcome.owner, now or ended].append(outcome.pid)
    return [(owner, control_message(verb, pids, now=at_once)) for (owner, at_once), pids in owned.items()]


def control_body(verb: Control, *, now: bool) -> dict[str, Any]:
    """What a control says of itself; that it is `now` only if it is, so that others know it as they did."""
    return {"verb": verb.value} | ({"now": True} if now else {})


def change_of(pid: int, before: State, after: State) -> BroadcastMessage:
    """The broadcast of a change of a process: `state_changed.<from>.<to>`, the sender is its pid."""
    return BroadcastMessage(
        body={"pid": pid, "state": after.value},
        sender=str(pid),
        subject=subject_of(before, after),
        correlation_id=None,
    )


def subject_of(before: State, after: State) -> str:
    """Under which such a change is broadcast."""
    return f"state_changed.{before.value}.{after.value}"


GROUPED = 50
"""From so many like changes on, one broadcast says `AT_ONCE` of them."""

AT_ONCE = 5_000


def changes_of(outcomes: Sequence[ControlOutcome]) -> list[BroadcastMessage]:
    """The broadcasts of what a control has applied. Of many like changes one message tells, whose body
    has `pids` and whose sender is nobody."""
    alike: dict[tuple[State, State], list[int]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.applied and outcome.refused is None and outcome.before and outcome.after:
            alike[outcome.before.state, outcome.after.state].append(outcome.pid)
    messages: list[BroadcastMessage] = []
    for (before, after), pids in alike.items():
        if len(pids) < GROUPED:
            messages += [change_of(pid, before, after) for pid in pids]
        else:
            messages += [
                BroadcastMessage({"pids": part, "state": after.value}, None, subject_of(before, after), None)
                for part in (pids[start : start + AT_ONCE] for start in range(0, len(pids), AT_ONCE))
            ]
    return messages


def pids_of(body: Any, sender: Any) -> Sequence[int]:
    """The pids of the processes that a broadcast of a change is about."""
    if isinstance(body, dict) and isinstance(body.get("pids"), list):
        return [pid for pid in body["pids"] if is_pid(pid)]
    if isinstance(sender, str) and sender.isascii() and sender.isdigit() and len(sender) < DIGITS:
        return [int(sender)]
    return [sender] if is_pid(sender) else []


ARE_YOU_THERE = {"verb": "present"}

CONTROL_QUEUE = "control"

APPLY_SECONDS = 60.0
"""Seconds that an answer waits for a running step to end."""

VERBS = ("pause", "play", "kill")
"""Also the subjects of plumpy's broadcasts to all processes."""


def control_queue(store: str | None) -> str:
    """The queue of requests to any worker.

    Args:
        store: The identity of the store that is meant; None: the only one that is there.
    """
    return CONTROL_QUEUE if store is None else f"{CONTROL_QUEUE}.{store}"


def control_subject(store: str | None, verb: str) -> str:
    """The subject of a broadcast to all processes of a store."""
    return verb if store is None else f"{store}.{verb}"


TERMINATIONS = SubjectFilter(
    subjects=tuple(
        f"state_changed.{before.value}.{after.value}"
        for before in sorted(set(State) - TERMINAL)
        for after in sorted(TERMINAL)
    )
)

CONTROLS = SubjectFilter(subjects=("control.*",))


def _plain_progress(progress: Progress) -> dict[str, Any]:
    return {"done": progress.done, "total": progress.total, "text": progress.text}


def status_of(row: ProcessRow) -> dict[str, Any]:
    """What a status call tells of a process: plain values, times in seconds since the epoch (UTC)."""
    return {
        "pid": row.pid,
        "class": row.class_path,
        "state": row.state.value,
        "paused": row.paused,
        "status": row.status,
        "progress": None if row.progress is None else _plain_progress(row.progress),
        "step": row.step,
        "worker": row.owner,
        "awaiting": row.awaiting,
        "signals": list(row.signals),
        "wait_any": row.wait_any,
        "exit_status": row.exit_status,
        "exit_message": row.exit_message,
        "created": row.created,
        "updated": row.updated,
        "ended": row.ended,
    }
