"""Why a process stands where it stands, by how it stands: ended, paused, held, waiting or ready."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from quince.client.facts import NAMED, Facts
from quince.moments import clock, span
from quince.on_hold import UNLOADABLE, is_held
from quince.processes.limits import said_of
from quince.recovery.lease import has_ended, lives_here
from quince.settings import EXPIRY_SECONDS
from quince.troubles import awaited_inside, is_blocked, trouble_of
from quince_persistence.records import OWN_QUEUE, Control, EventRow, ProcessRow, State

LONG_READY = 5.0
"""Seconds after which a process that is ready should have been taken up by a free slot."""


def reason(facts: Facts) -> tuple[str, list[str]]:
    """In one sentence, and what that rests on."""
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


def _ended(facts: Facts) -> tuple[str, list[str]]:
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


def _paused(facts: Facts) -> tuple[str, list[str]]:
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
    failed = facts.last("attempt")
    if is_held(row) and failed is not None and failed.body.get("held") == row.status:
        return f"it is {row.status}", [
            *_told(failed, facts),
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


def _owned(facts: Facts) -> tuple[str, list[str]]:
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
        dead = owner is None or has_ended(owner)
        how = "is dead" if dead else "is not heard of (dead, frozen or cut off)"
        sentence = f"the worker that held it ({row.owner}) {how}; another takes over soon"
        if not facts.living():
            sentence = f"the worker that held it ({row.owner}) {how}, and no worker is running"
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


def _waiting_inside(facts: Facts, awaited: Sequence[int], evidence: list[str]) -> tuple[str, list[str]]:
    rows = [row for row in map(facts.store.get, awaited) if row is not None]
    pids = ", ".join(map(str, awaited))
    since = span(facts.now - facts.row.updated)
    return (
        f"{_step(facts.row)} runs for {since} and waits inside for process {pids}",
        [*evidence, *map(_standing, rows), "its slot is lent to others meanwhile"],
    )


def _standing(row: ProcessRow) -> str:
    return f"{row.pid} {row.class_path.rpartition(':')[2]} is {'paused' if row.paused else row.state.value}"


def _waiting(facts: Facts) -> tuple[str, list[str]]:
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


def _tried_again(facts: Facts, due: float) -> tuple[str, list[str]]:
    """It has failed, and waits until it is tried again."""
    row = facts.row
    when = f"in {span(due - facts.now)}" if due > facts.now else "now"
    last = facts.last("attempt")
    error, evidence = ("", []) if last is None else (f": {last.body.get('words')}", _told(last, facts))
    return (
        f"{_step(row)} has failed {_times(row.attempt)} and is tried again {when}{error}",
        [*evidence, f"the next attempt is due {_at(due)}"],
    )


def _told(attempt: EventRow, facts: Facts) -> list[str]:
    """An attempt that has failed in words, and where its code stood."""
    lines = [line.strip() for line in str(attempt.body.get("traceback")).splitlines()]
    places = [line for line in lines if line.startswith("File ")]
    return [f"{facts.ago(attempt.at)}: {attempt.body.get('text')}", *places[-1:]]


def _limited(facts: Facts) -> tuple[str, list[str]]:
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


def _queued(facts: Facts) -> tuple[str, list[str]]:
    row = facts.row
    workers = [w for w in facts.living() if row.queue in w.queues]
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


def _times(count: int) -> str:
    """`once`, `2 times`."""
    return "once" if count == 1 else f"{count} times"


def _step(row: ProcessRow) -> str:
    return f"step {row.step}" if row.step else "its first step"


def _at(then: float | None) -> str:
    return "never" if then is None else clock(then)
