"""Why a process does not move: one sentence, and what it rests on."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from quince.moments import clock, span
from quince.on_hold import UNLOADABLE
from quince.recovery.lease import is_dead, lives_here
from quince.recovery.poison import ROOM_SECONDS
from quince.settings import EXPIRY_SECONDS
from quince.troubles import is_blocked, is_stale, trouble_of
from quince.workspace.workspace import Workspace
from quince_persistence.records import PRIME_SUSPECT, SUSPECT, Control, EventRow, ProcessRow, State, WorkerRow

LONG_READY = 5.0
"""Seconds after which a process that is ready should have been taken up by a free slot."""

NAMED = 5
"""How many awaited processes are named one by one."""


@dataclass(frozen=True, slots=True)
class Why:
    """The reason why a process stands where it stands.

    Attributes:
        pid: The process.
        sentence: The reason, for people.
        evidence: What the sentence rests on, a line each.
    """

    pid: int
    sentence: str
    evidence: Sequence[str] = ()


def why(workspace: Workspace, pid: int) -> Why:
    """Why the process is not running now, or that it is.

    Needs the store alone: neither a daemon nor a broker.

    Raises:
        ProcessNotFound: there is no such process.
    """
    row = workspace.store.get(pid)
    if row is None:
        raise workspace.not_found(pid)
    facts = _Facts(workspace, row)
    sentence, evidence = _reason(facts)
    return Why(pid, sentence, (*evidence, *_suspicion(row), *_stale_code(facts)))


def nobody_works(workspace: Workspace, row: ProcessRow) -> str | None:
    """That no worker will take a process up, and what starts one; None if one will, or none is needed."""
    if row.terminated or row.paused or row.owner is not None or row.queue.startswith("run:"):
        return None
    alive = _living(_Facts(workspace, row))
    if not alive:
        return "no worker is running: the process is kept until `quince daemon start`"
    if any(row.queue in worker.queues for worker in alive):
        return None
    return (
        f"no worker takes the queue {row.queue!r} now: the process is kept until one does "
        f"(`quince worker --queue {row.queue}`)"
    )


class _Facts:
    """What the store says of one process, read when it is asked for."""

    def __init__(self, workspace: Workspace, row: ProcessRow) -> None:
        self.row = row
        self.store = workspace.store
        self.now = time.time()

    def last_control(self, verb: Control) -> EventRow | None:
        """The last time that somebody asked for it."""
        return self._last(self.row.pid, verb)

    def pause_above(self) -> EventRow | None:
        """The pause of an ancestor, the nearest one that was ever asked to pause."""
        parent = self.row.parent
        while parent is not None:
            if (found := self._last(parent, Control.PAUSE)) is not None:
                return found
            row = self.store.get(parent)
            parent = None if row is None else row.parent
        return None

    def _last(self, pid: int, verb: Control) -> EventRow | None:
        controls = [event for event in self.store.events(pid) if event.kind == "control"]
        return next((event for event in reversed(controls) if event.body.get("verb") == verb), None)

    def owner(self) -> WorkerRow | None:
        return next((w for w in self.store.workers() if w.id == self.row.owner), None)

    def ago(self, then: float | None) -> str:
        """`12 s ago`."""
        return "at an unknown time" if then is None else f"{span(self.now - then)} ago"


def _reason(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    if row.terminated:
        return _ended(facts)
    if row.paused:
        return _paused(facts)
    if row.owner is not None:
        return _owned(facts)
    if row.state is State.WAITING and not row.ready:
        return _waiting(facts)
    return _queued(facts)


def _suspicion(row: ProcessRow) -> list[str]:
    if row.terminated or row.deaths < SUSPECT:
        return []
    return [
        f"{row.deaths} workers have died while they held it, so it is kept apart from others like it; "
        f"from {PRIME_SUSPECT} on it is tried alone"
    ]


def _stale_code(facts: _Facts) -> list[str]:
    """What those say who run it, would run it or may have run it, of code that has changed since."""
    row = facts.row
    return [
        f"{worker.name}: {trouble}"
        for worker in _living(facts)
        for trouble in worker.troubles
        if is_stale(trouble)
        and (worker.id == row.owner if row.owner is not None else row.queue in worker.queues)
        and (row.ended is None or worker.started < row.ended)
    ]


def _ended(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    how = {
        State.FINISHED: f"it finished with exit status {row.exit_status}",
        State.EXCEPTED: "it ended with an exception",
        State.KILLED: "it was killed",
    }[row.state]
    killer = facts.last_control(Control.KILL) if row.state is State.KILLED else None
    by = f" by {killer.author}" if killer is not None and killer.author else ""
    message = f": {row.exit_message}" if row.exit_message else ""
    return f"{how}{by} {facts.ago(row.ended)}{message}", [f"ended {_at(row.ended)}"]


def _paused(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    if (row.status or "").startswith(UNLOADABLE):
        return (
            f"it is {row.status}",
            [
                "workers import it from the workspace's folder and from what is installed for them; what was "
                "mended or added since they began they see after `quince daemon restart`",
                f"then `quince play {row.pid}` lets it go on",
            ],
        )
    asked = facts.last_control(Control.PAUSE)
    play = f"`quince play {row.pid}` lets it go on"
    if asked is None and (above := facts.pause_above()) is not None:
        reason = f": {above.body['reason']}" if above.body.get("reason") else ""
        sentence = f"its tree was paused by {above.author or 'somebody'} {facts.ago(above.at)}{reason}"
        return sentence, [f"it was born into the tree of {above.pid}, which was paused {_at(above.at)}", play]
    if asked is None:
        return f"it is paused: {row.status or 'nobody said why'}", [play]
    reason = f": {asked.body['reason']}" if asked.body.get("reason") else ""
    evidence = [f"paused {_at(asked.at)}", play]
    if row.owner is not None:
        evidence.append(f"its program is suspended (SIGSTOP) by {row.owner}, which keeps it")
    return f"{asked.author or 'somebody'} paused it {facts.ago(asked.at)}{reason}", evidence


def _owned(facts: _Facts) -> tuple[str, list[str]]:
    row, owner = facts.row, facts.owner()
    evidence = [f"claim {row.epoch} of {row.owner}"]
    silent = owner is not None and facts.now - owner.heartbeat > EXPIRY_SECONDS
    if owner is not None and silent and lives_here(owner):
        sentence = (
            f"its worker {owner.name} lives, but has not reached the store for "
            f"{span(facts.now - owner.heartbeat)}: it is frozen, or the store takes no writes"
        )
        return sentence, [*evidence, f"process {owner.ospid}", "`quince doctor` says whether the store does"]
    if owner is None or silent or is_dead(owner):
        beat = "it is not registered" if owner is None else f"heartbeat {facts.ago(owner.heartbeat)}"
        sentence = f"the worker that held it ({row.owner}) is dead; another takes over soon"
        if not _living(facts):
            sentence = f"the worker that held it ({row.owner}) is dead, and no worker is running"
            evidence.append("`quince daemon start` starts some")
        return sentence, [*evidence, beat]
    evidence.append(
        f"{owner.name} on {owner.host}, process {owner.ospid}, heartbeat {facts.ago(owner.heartbeat)}"
    )
    if (trouble := trouble_of(row.pid, owner.troubles)) is not None:
        return f"{trouble}; {owner.name} tries again and again", evidence
    if (blocked := _blocked([owner])) is not None:
        return blocked, evidence
    if row.intent is not None:
        asked = facts.last_control(row.intent)
        who = (asked.author if asked is not None else None) or "somebody"
        return (
            f"{who} asked to {row.intent.value} it; {owner.name} does so when {_step(row)} ends",
            [*evidence, f"the step runs for {span(facts.now - row.updated)}"],
        )
    if row.state is State.WAITING and row.awaiting:
        sentence, awaited = _waiting(facts)
        return sentence, [*evidence, *awaited]
    held_since = facts.now - row.updated
    if row.deaths >= PRIME_SUSPECT and owner.held > 1 and held_since < ROOM_SECONDS:
        return (
            f"it runs, or waits until nothing else is at work in {owner.name}, for {span(held_since)}",
            evidence,
        )
    return f"it runs: {owner.name} is in {_step(row)} for {span(held_since)}", evidence


def _waiting(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    awaited = facts.store.awaited(row.pid)
    parts = []
    if awaited:
        pids = ", ".join(str(one.pid) for one in awaited[:NAMED]) + (", ..." if len(awaited) > NAMED else "")
        parts.append(f"{len(awaited)} process{'es' if len(awaited) > 1 else ''} to end ({pids})")
    if row.signals:
        names = ", ".join(row.signals[:NAMED]) + (", ..." if len(row.signals) > NAMED else "")
        parts.append(f"{len(row.signals)} signals ({names})" if len(row.signals) > 1 else f"signal {names}")
    if row.due is not None and row.awaiting == len(awaited) + len(row.signals):
        parts.append(f"at most {span(row.due - facts.now)}")
    elif row.due is not None:
        parts.append(
            f"its timer, due in {span(row.due - facts.now)}" if row.due > facts.now else "its timer, due now"
        )
    evidence = [
        f"{one.pid} {one.class_path.rpartition(':')[2]} is {'paused' if one.paused else one.state.value}"
        for one in awaited[:NAMED]
    ]
    evidence += [f"`quince signal {row.pid} {name}` sends it" for name in row.signals[:1]]
    return f"it waits for {' and '.join(parts) or 'something that it has forgotten'}", evidence


def _queued(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    workers = [w for w in _living(facts) if row.queue in w.queues]
    others = max(0, facts.store.backlog().get(row.queue, 1) - 1)
    evidence = [f"{_count(others, 'other process', 'other processes')} on queue {row.queue}"]
    if row.queue.startswith("run:"):
        return "it belongs to a run() in another program, which has not taken it up", evidence
    if not workers:
        start = "daemon start" if row.queue == "default" else f"worker --queue {row.queue}"
        return f"no worker consumes queue {row.queue}", [*evidence, f"`quince {start}` starts one that does"]
    slots, held = sum(w.slots for w in workers), sum(w.held for w in workers)
    evidence.append(
        f"{_count(held, 'process')} in {_count(slots, 'slot')} of {_count(len(workers), 'worker')}"
    )
    ready = facts.now - row.updated
    if held >= slots:
        return f"it waits for a free slot on queue {row.queue}, with {_count(others, 'other')}", evidence
    if (blocked := _blocked(workers)) is not None:
        return f"it waits for a worker: {blocked}", evidence
    if ready > LONG_READY:
        evidence.append("workers look for it by themselves once the broker answers and its queue is empty")
        return (
            f"it is ready for {span(ready)} and slots are free, but no worker has heard of it: is the "
            "broker away? (`quince status`)",
            evidence,
        )
    return f"it is ready, and a worker of queue {row.queue} takes it up next", evidence


def _blocked(workers: Sequence[WorkerRow]) -> str | None:
    """That the event loops of all of these are blocked, and by what; None if one turns."""
    said = [next((f"{w.name}: {one}" for one in w.troubles if is_blocked(one)), None) for w in workers]
    return None if None in said else said[0]


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + ('es' if one.endswith('s') else 's')}"


def _living(facts: _Facts) -> list[WorkerRow]:
    return [w for w in facts.store.workers() if not is_dead(w) and facts.now - w.heartbeat <= EXPIRY_SECONDS]


def _step(row: ProcessRow) -> str:
    return f"step {row.step}" if row.step else "its first step"


def _at(then: float | None) -> str:
    return "never" if then is None else clock(then)
