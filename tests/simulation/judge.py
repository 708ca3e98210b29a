"""Whether what is left when all is at rest is what should be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import and_, or_, select

from quince.on_hold import HELD
from quince_persistence.codec import decode
from quince_persistence.records import MAX_DEATHS, ProcessRow, Selection, State
from quince_persistence.schema.tables import metadata, processes
from quince_persistence.store import Store
from tests.simulation.client import Client, Plan, below, size
from tests.simulation.deadlines import is_overdue
from tests.simulation.ledger import Ledger, Run
from tests.simulation.pruning import Pruner, left_over
from tests.simulation.rationing import is_kept_from, waits_for_time
from tests.simulation.stores import Archive

EMPTY = ("awaits", "workers", "limit_uses")
"""Tables in which nothing may be left."""
KEPT = ("checkpoints", "once", "signals")
"""Those that keep what a process needs to go on that has not ended well; nothing of others."""


_RESTLESS = select(processes.c.pid).where(
    processes.c.ended.is_(None),
    or_(
        and_(processes.c.owner.is_not(None), or_(~processes.c.paused, processes.c.intent.is_not(None))),
        processes.c.ready,
        processes.c.due.is_not(None),
    ),
)
"""(Who is paused in the midst of a step stays with its worker.)"""


def at_rest(archive: Archive, now: float) -> bool:
    """Nobody holds a process, and none can go on, or is to be ended by now."""
    waits = waits_for_time(archive.reads) or is_overdue(archive.reads, now)
    return not archive.reads.rows(_RESTLESS) and not waits


def unrest(archive: Archive, store: Store) -> str:
    """The processes that are not at rest."""
    rows = [store.get(pid) for (pid,) in archive.reads.rows(_RESTLESS)]
    return "; ".join(_story(row) for row in rows if row is not None)


def held_back(store: Store, ledger: Ledger) -> Iterator[str]:
    """What is wrong with those that have not terminated when all is at rest: only a pause explains it."""
    rows = {row.pid: row for row in store.select(Selection())}
    for row in rows.values():
        if (row.status or "").startswith(HELD) and row.pid not in ledger.ever_held:
            yield f"the engine failed: {_story(row)}"
        if row.terminated:
            continue
        if row.intent is not None:
            yield f"a control is not applied: {_story(row)}"
        if row.pid in ledger.killed:
            yield f"it was to be killed: {_story(row)}"
        told = _told_to_pause(row, rows, ledger)
        if row.paused and not told:
            yield f"nobody paused it: {_story(row)}"
        if not row.paused and row.pid in ledger.paused and ledger.paused[row.pid]:
            yield f"it was to be paused: {_story(row)}"
        if row.signals and row.parent is not None and not rows[row.parent].terminated:
            continue  # its parent, which is to signal it, is held back itself
        if row.waits_for_limits and is_kept_from(row, store):
            continue
        if row.signals and (ledger.retried[row.pid] or row.pid in ledger.restart_of):
            continue  # what was sent while it had ended is lost; what the old one has had is not sent anew
        if not row.paused and not any(not rows[child.pid].terminated for child in store.awaited(row.pid)):
            yield f"it waits for nothing: {_story(row)}"


def _told_to_pause(row: ProcessRow, rows: Mapping[int, ProcessRow], ledger: Ledger) -> bool:
    if row.pid in ledger.held:
        return True
    if row.pid in ledger.paused:
        return ledger.paused[row.pid]
    while row.parent is not None:
        row = rows[row.parent]
        if row.pid in ledger.trees_paused:
            return True
    return False


class Verdict:
    """The comparison of the store with the ledger when all have terminated.

    Attributes:
        wrong: One sentence each.
    """

    def __init__(
        self,
        archive: Archive,
        store: Store,
        ledger: Ledger,
        client: Client,
        broken: set[str],
        pruner: Pruner,
    ) -> None:
        self.wrong: list[str] = [*ledger.wrong, *pruner.wrong, *left_over(archive)]
        self._ledger, self._broken = ledger, broken | ledger.declared_dead
        self._rows = {row.pid: row for row in store.select(Selection())}
        blobs = {result.row.pid: result.outputs for result in store.results(list(self._rows))}
        self._rows |= pruner.rows
        blobs |= {pid: result.outputs for pid, result in pruner.results.items()}
        self._outputs = {pid: decode(blob) if blob else {} for pid, blob in blobs.items()}
        self._children: dict[int, dict[int, int]] = defaultdict(dict)
        for row in self._rows.values():
            if row.parent is not None:
                self._place(row, decode(store.inputs(row.pid) or pruner.inputs[row.pid]).get("number", 0))
        for pid, plan in client.roots.items():
            self._judge(pid, plan)
        self._count(client)
        self._runs()
        self._charges()
        self._nothing_left(archive)

    def _place(self, row: ProcessRow, number: int) -> None:
        brothers = self._children[row.parent or 0]
        if number in brothers:
            self.wrong.append(f"child {number} of {row.parent} is there twice: {brothers[number]}, {row.pid}")
        brothers[number] = row.pid

    def _judge(self, pid: int, plan: Plan) -> None:
        """One process as it was planned, and those below it."""
        row = self._rows.get(pid)
        if row is None:
            self.wrong.append(f"process {pid} is lost")
            return
        plans, children = below(plan), self._children[pid]
        parts = [part for number in range(len(plans)) if (part := self._part(pid, number)) is not None]
        if len(children) > len(plans) or (row.state is State.FINISHED and len(parts) < len(plans)):
            self.wrong.append(f"process {pid} has {len(children)} children, not {len(plans)}")
        for number, child in children.items():
            if self._rows[child].options.on_failure != row.options.on_failure:
                self.wrong.append(f"{child} has not what {pid} has: that it is put aside when it fails")
            self._judge(child, plans[number])
        kind, helped = plan["kind"], pid in self._ledger.helped
        expected = State.FINISHED
        if kind == "failing" or (kind == "mending" and not helped):
            expected = State.KILLED if row.options.on_failure == "pause" else State.EXCEPTED
        if self._is_given_up(row):
            expected = State.EXCEPTED
        if pid in self._ledger.killed:
            expected = State.KILLED
        if row.state is not expected or (row.owner, row.intent, row.paused) != (None, None, False):
            self.wrong.append(f"it should be {expected.value}: {_story(row)}")
        elif row.state is State.FINISHED:
            self._judge_outputs(row, parts)
        elif (
            row.state is State.EXCEPTED
            and not self._is_given_up(row)
            and "as asked" not in (row.exit_message or "")
        ):
            self.wrong.append(f"it failed otherwise than it was to: {_story(row)}")

    def _part(self, pid: int, number: int) -> int | None:
        """Its child with that number, or that of the one from which it was begun anew, and so on."""
        if (child := self._children[pid].get(number)) is not None:
            return child
        old = self._ledger.restart_of.get(pid)
        return None if old is None else self._part(old, number)

    def _is_given_up(self, row: ProcessRow) -> bool:
        """So many step hosts have died of its own code that it is not tried again."""
        return "StepHostDied" in (row.exit_message or "") and self._ledger.guilty[row.pid] >= MAX_DEATHS

    def _judge_outputs(self, row: ProcessRow, children: list[int]) -> None:
        outputs: Mapping[str, Any] = self._outputs[row.pid]
        well = [pid for pid in children if self._rows[pid].state is State.FINISHED]
        most = 1 + sum(self._outputs[pid]["value"] for pid in well)
        least = most - sum(self._outputs[pid]["value"] for pid in well if self._ledger.retried[pid])
        value = outputs.get("value")  # one that was retried may have ended well after it was counted
        if value is None or not least <= value <= most:
            self.wrong.append(f"process {row.pid} put out {value}, not {least} to {most}")
        kept = self._ledger.marks(row.pid)
        if outputs.get("tokens") != kept:
            self.wrong.append(f"{row.pid} put out the marks {outputs.get('tokens')}, committed were {kept}")
        if (act := self._act(row.pid)) != outputs.get("job"):
            self.wrong.append(f"the once-block of {row.pid} gave {outputs.get('job')}, recorded was {act}")

    def _act(self, pid: int) -> int | None:
        """The mark that its once-block has left, or that of the process from which it goes on."""
        ledger = self._ledger
        if (own := next((act.token for act in ledger.acts.get(pid, ()) if act.kept), None)) is not None:
            return own
        return self._act(ledger.restart_of[pid]) if ledger.inherited.get(pid) else None

    def _count(self, client: Client) -> None:
        sizes = Counter(row.root for row in self._rows.values())
        for pid, plan in client.roots.items():
            if sizes.pop(pid, 0) > size(plan):
                self.wrong.append(f"the tree of {pid} has too many processes")
        for stranger in sizes:
            self.wrong.append(f"there is a tree of {stranger}, which nobody submitted")

    def _charges(self) -> None:
        """Nobody is charged for the death of a host in which the code of another was running."""
        for pid, deaths in self._ledger.charged.items():
            if (times := len(deaths)) > self._ledger.guilty[pid]:
                self.wrong.append(f"{pid} was charged for {times} deaths, not {self._ledger.guilty[pid]}")

    def _runs(self) -> None:
        """An execution that was not kept, or came late, must have a reason."""
        for (pid, number), runs in self._ledger.runs.items():
            if pid not in self._rows:
                self.wrong.append(f"step {number} of {pid} ran, but there is no such process")
            self._explain(f"step {number} of {pid}", pid, runs)
        for pid, acts in self._ledger.acts.items():
            self._explain(f"the once-block of {pid}", pid, acts)

    def _explain(self, what: str, pid: int, runs: list[Run]) -> None:
        final = max((run.claim[1] for run in runs if run.kept), default=None)
        for run in runs:
            if run.late and final is not None and run.claim[1] > final:
                self.wrong.append(f"{what} ran again after it was committed, under {run.claim}")
            held = (pid, run.claim[0])
            ended = self._ledger.interrupted[held] or held in self._ledger.suspended
            explained = run.claim[0] in self._broken or ended
            explained = explained or run.failed or pid in self._ledger.killed_once
            if not run.kept and not explained:
                self.wrong.append(f"{what} ran under {run.claim}, was not committed, and nothing explains it")

    def _nothing_left(self, archive: Archive) -> None:
        for table in EMPTY:
            number = archive.count(table)
            if number:
                self.wrong.append(f"{number} rows are left in {table}")
        for table in KEPT:
            pids = {pid for (pid,) in archive.reads.rows(select(metadata.tables[table].c.pid))}
            well = [pid for pid in pids if (row := self._rows.get(pid)) is None or _ended_well(row)]
            if well:
                self.wrong.append(f"of {well}, which ended well, something is left in {table}")


def _ended_well(row: ProcessRow) -> bool:
    return row.state is State.FINISHED and not row.exit_status


def _story(row: ProcessRow) -> str:
    name = row.class_path.rpartition(":")[2]
    return (
        f"{name} {row.pid} is {row.state.value} (owner {row.owner}, epoch {row.epoch}, ready {row.ready}, "
        f"paused {row.paused}, intent {row.intent}, awaiting {row.awaiting}, due {row.due}, deaths "
        f"{row.deaths}, status {row.status!r}, message {row.exit_message!r})"
    )
