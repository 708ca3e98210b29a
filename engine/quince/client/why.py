"""Why a process does not move: one sentence, and what it rests on."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from quince.client.attempts import last_attempt, times, told
from quince.moments import clock, span
from quince.on_hold import UNLOADABLE, is_held
from quince.processes.limits import said_of
from quince.recovery.lease import has_ended, lives_here
from quince.settings import EXPIRY_SECONDS
from quince.showing import ShowsItself
from quince.troubles import awaited_inside, is_blocked, is_stale, trouble_of
from quince.workspace.revision import files_of
from quince.workspace.workspace import Workspace
from quince_persistence.clock import now
from quince_persistence.records import MAX_DEATHS, OWN_QUEUE, Control, EventRow, ProcessRow, State
from quince_persistence.schedule_records import LABEL, MOMENT_LABEL
from quince_persistence.worker_records import WorkerRow

LONG_READY = 5.0
"""Seconds after which a process that is ready should have been taken up by a free slot."""

NAMED = 5
"""How many awaited processes are named one by one."""


@dataclass(frozen=True, slots=True)
class Why(ShowsItself):
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
    return Why(
        pid,
        sentence,
        (
            *evidence,
            *_deadline(facts),
            *_schedule(facts),
            *_deaths(facts),
            *_edited(facts),
            *_declined(facts),
            *_stale_code(facts),
        ),
    )


def nobody_works(workspace: Workspace, row: ProcessRow) -> str | None:
    """That no worker will take a process up, and what starts one; None if one will, or none is needed."""
    if row.terminated or row.paused or row.owner is not None or row.queue.startswith(OWN_QUEUE):
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
        self.folder = workspace.location.folder
        self.now = now()

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
    if row.waits_for_limits:
        return _limited(facts)
    if row.state is State.WAITING and not row.ready:
        return _waiting(facts)
    return _queued(facts)


def _deaths(facts: _Facts) -> list[str]:
    """What has died with the step that is to run, or runs; with that of one that has ended so."""
    row = facts.row
    if not row.deaths:
        return []
    last = next((event for event in reversed(facts.store.events(row.pid)) if event.kind == "death"), None)
    told = [] if last is None else [f"{facts.ago(last.at)}: {last.body.get('text')}"]
    if row.deaths_alone and not row.terminated:
        told.append(f"that has happened {row.deaths_alone} times in a row; {MAX_DEATHS} times end it")
    return told


def _deadline(facts: _Facts) -> list[str]:
    """When it is killed, if it lives then."""
    until = facts.row.deadline
    return [] if until is None else [f"its deadline is {_at(until)}, in {span(until - facts.now)}"]


def _schedule(facts: _Facts) -> list[str]:
    """Which schedule has made it, and for when."""
    labels, parent = facts.row.options.labels, facts.row.parent
    if parent is not None or LABEL not in labels:
        return []
    return [f"made by schedule {labels[LABEL]} for {labels.get(MOMENT_LABEL, 'an unknown time')}"]


def _edited(facts: _Facts) -> list[str]:
    """Which files of its code have been changed since its worker has loaded them."""
    row = facts.row
    if row.owner is None or row.state is not State.RUNNING:
        return []
    taken = max((one.at for one in facts.store.events(row.pid) if one.kind in ("state", "claim")), default=0)
    files = [file.name for file in files_of(row.class_path, facts.folder) if _written(file) > taken]
    if not files:
        return []
    names, has = ", ".join(files[:NAMED]), "has" if len(files) == 1 else "have"
    return [
        f"{names} {has} been changed since it was taken up: it goes on with what it began with, and after "
        "its next wait with the code as it stands"
    ]


def _declined(facts: _Facts) -> list[str]:
    """Who could not load it, and leaves it to workers with other code."""
    if facts.row.terminated:
        return []
    last = next((one for one in reversed(facts.store.events(facts.row.pid)) if one.kind == "declined"), None)
    return [] if last is None else [f"{last.author} could not load it: {last.body.get('reason')}"]


def _written(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0


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
    evidence = [f"ended {_at(row.ended)}"]
    if row.state is not State.FINISHED or row.exit_status:
        place = f"from {_step(row)}" if row.step else "from its beginning"
        evidence.append(f"`quince retry {row.pid}` goes on {place}")
    return f"{how}{by} {facts.ago(row.ended)}{message}", evidence


def _paused(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    if (row.status or "").startswith(UNLOADABLE):
        return (
            f"it is {row.status}",
            [
                "workers import it as it stands, from the folders of its file and the workspace, or as "
                "installed, with the environment of `quince daemon start`",
                f"`quince play {row.pid}` lets it go on when that is mended",
            ],
        )
    asked = facts.last_control(Control.PAUSE)
    play = f"`quince play {row.pid}` lets it go on"
    failed = last_attempt(facts.store, row.pid)
    if is_held(row) and failed is not None and failed.body.get("held") == row.status:
        return f"it is {row.status}", [
            *told(failed, facts.now),
            f"`quince show {row.pid}` has the traceback; `quince play {row.pid}` tries {_step(row)} again, "
            f"`quince retry {row.pid} name=value` with another input, `quince kill {row.pid}` ends it",
        ]
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
    if owner is None or silent or has_ended(owner):
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
        return trouble if is_blocked(trouble) else f"{trouble}; {owner.name} tries again and again", evidence
    if row.intent is None and (inside := awaited_inside(row.pid, owner.troubles)):
        return _waiting_inside(facts, inside, evidence)
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
    far = _progress(row)
    return f"it runs: {owner.name} is in {_step(row)} for {span(facts.now - row.updated)}{far}", evidence


def _progress(row: ProcessRow) -> str:
    """How far its step is, as it says."""
    if row.progress is None:
        return ""
    of = "" if row.progress.total is None else f" of {row.progress.total:.6g}"
    text = "" if row.progress.text is None else f" ({row.progress.text})"
    return f", and has done {row.progress.done:.6g}{of}{text}"


def _waiting_inside(facts: _Facts, awaited: Sequence[int], evidence: list[str]) -> tuple[str, list[str]]:
    rows = [row for row in map(facts.store.get, awaited) if row is not None]
    pids = ", ".join(map(str, awaited))
    since = span(facts.now - facts.row.updated)
    return (
        f"{_step(facts.row)} runs for {since} and waits inside for process {pids}",
        [*evidence, *map(_standing, rows), "its slot is lent to others meanwhile"],
    )


def _standing(row: ProcessRow) -> str:
    return f"{row.pid} {row.class_path.rpartition(':')[2]} is {'paused' if row.paused else row.state.value}"


def _waiting(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    if row.attempt and row.due is not None:
        return _tried_again(facts, row.due)
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
    evidence = [_standing(one) for one in awaited[:NAMED]]
    evidence += [f"`quince signal {row.pid} {name}` sends it" for name in row.signals[:1]]
    first = "the first of " if row.wait_any else ""
    return f"it waits for {first}{' and '.join(parts) or 'something that it has forgotten'}", evidence


def _tried_again(facts: _Facts, due: float) -> tuple[str, list[str]]:
    """It has failed, and waits until it is tried again."""
    row = facts.row
    when = f"in {span(due - facts.now)}" if due > facts.now else "now"
    last = last_attempt(facts.store, row.pid)
    error, evidence = ("", []) if last is None else (f": {last.body.get('words')}", told(last, facts.now))
    return (
        f"{_step(row)} has failed {times(row.attempt)} and is tried again {when}{error}",
        [*evidence, f"the next attempt is due {_at(due)}"],
    )


def _limited(facts: _Facts) -> tuple[str, list[str]]:
    row, store = facts.row, facts.store
    wait = store.limit_waits([row.pid]).get(row.pid)
    limit = None if wait is None else next((one for one in store.limits() if one.name == wait.name), None)
    if wait is None or limit is None:
        return f"it is about to be given its limits ({', '.join(row.options.limits)})", []
    holders = store.limit_users(wait.name, held=True, most=NAMED + 1)
    pids = ", ".join(str(one.pid) for one in holders[:NAMED]) + (", ..." if len(holders) > NAMED else "")
    held = f"held by {pids}" if holders else "which nobody holds"
    behind = f"behind {_count(wait.ahead, 'other')}" if wait.ahead else "as the next one"
    evidence = [_standing(one) for one in holders[:NAMED]]
    if limit.next_at is not None:
        evidence.append(f"its rate lets the next one begin in {span(limit.next_at - facts.now)}")
    evidence.append(f"`quince limit show {shlex.quote(wait.name)}` shows all; `quince limit set` changes it")
    return f"it waits for limit {wait.name} ({said_of(limit)}), {held}, {behind}", evidence


def _queued(facts: _Facts) -> tuple[str, list[str]]:
    row = facts.row
    workers = [w for w in _living(facts) if row.queue in w.queues]
    others = max(0, facts.store.backlog().get(row.queue, 1) - 1)
    evidence = [f"{_count(others, 'other process', 'other processes')} on queue {row.queue}"]
    if row.queue.startswith(OWN_QUEUE):
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
    if ready > LONG_READY:
        evidence.append("workers look for it by themselves once the broker answers and its queue is empty")
        return (
            f"it is ready for {span(ready)} and slots are free, but no worker has heard of it: its message "
            "is lost, or with a worker that does not answer, or the broker is away (`quince status`)",
            evidence,
        )
    return f"it is ready, and a worker of queue {row.queue} takes it up next", evidence


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + ('es' if one.endswith('s') else 's')}"


def _living(facts: _Facts) -> list[WorkerRow]:
    return [
        w for w in facts.store.workers() if not has_ended(w) and facts.now - w.heartbeat <= EXPIRY_SECONDS
    ]


def _step(row: ProcessRow) -> str:
    return f"step {row.step}" if row.step else "its first step"


def _at(then: float | None) -> str:
    return "never" if then is None else clock(then)
