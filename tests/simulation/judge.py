"""Whether what is left when all is at rest is what should be."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import or_, select

from quince.on_hold import HELD
from quince_persistence.codec import decode
from quince_persistence.records import ProcessRow, Selection, State
from quince_persistence.schema.tables import processes
from quince_persistence.store import Store
from tests.simulation.client import Client, Plan, size
from tests.simulation.ledger import Ledger, Run
from tests.simulation.stores import Archive

EMPTY = ("awaits", "checkpoints", "once", "signals", "workers")
"""Tables in which nothing may be left."""


_RESTLESS = select(processes.c.pid).where(
    processes.c.ended.is_(None),
    or_(processes.c.owner.is_not(None), processes.c.ready, processes.c.due.is_not(None)),
)


def at_rest(archive: Archive) -> bool:
    """Nobody holds a process, and none can go on."""
    return not archive.reads.rows(_RESTLESS)


def unrest(archive: Archive, store: Store) -> str:
    """The processes that are not at rest."""
    rows = [store.get(pid) for (pid,) in archive.reads.rows(_RESTLESS)]
    return "; ".join(_story(row) for row in rows if row is not None)


def held_back(store: Store, ledger: Ledger) -> Iterator[str]:
    """What is wrong with those that have not terminated when all is at rest: only a pause explains it."""
    rows = {row.pid: row for row in store.select(Selection())}
    for row in rows.values():
        if (row.status or "").startswith(HELD):
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
        if not row.paused and not any(not rows[child.pid].terminated for child in store.awaited(row.pid)):
            yield f"it waits for nothing: {_story(row)}"


def _told_to_pause(row: ProcessRow, rows: Mapping[int, ProcessRow], ledger: Ledger) -> bool:
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
        self, archive: Archive, store: Store, ledger: Ledger, client: Client, broken: set[str]
    ) -> None:
        self.wrong: list[str] = list(ledger.wrong)
        self._ledger, self._broken = ledger, broken | ledger.declared_dead
        self._rows = {row.pid: row for row in store.select(Selection())}
        blobs = {result.row.pid: result.outputs for result in store.results(list(self._rows))}
        self._outputs = {pid: decode(blob) if blob else {} for pid, blob in blobs.items()}
        self._children: dict[int, dict[int, int]] = defaultdict(dict)
        for row in self._rows.values():
            if row.parent is not None:
                self._place(row, decode(store.inputs(row.pid) or b"").get("number", 0))
        for pid, plan in client.roots.items():
            self._judge(pid, plan)
        self._count(client)
        self._runs()
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
        below = [*plan["inputs"].get("first", ()), *plan["inputs"].get("second", ())]
        children = self._children[pid]
        if len(children) > len(below) or (row.state is State.FINISHED and len(children) < len(below)):
            self.wrong.append(f"process {pid} has {len(children)} children, not {len(below)}")
        for number, child in children.items():
            self._judge(child, below[number])
        expected = State.EXCEPTED if plan["kind"] == "failing" else State.FINISHED
        if plan["kind"] == "bomb":
            self._judge_bomb(row)
            return
        if pid in self._ledger.killed:
            expected = State.KILLED
        if row.state is not expected or (row.owner, row.intent, row.paused) != (None, None, False):
            self.wrong.append(f"it should be {expected.value}: {_story(row)}")
        elif row.state is State.FINISHED:
            self._judge_outputs(row, list(children.values()))
        elif row.state is State.EXCEPTED and "as asked" not in (row.exit_message or ""):
            self.wrong.append(f"it failed otherwise than it was to: {_story(row)}")

    def _judge_bomb(self, row: ProcessRow) -> None:
        """It is given up in the end, or was killed before. (No other process is: it would not have failed
        "as asked".)"""
        blamed = row.state is State.EXCEPTED and "workers died while they held" in (row.exit_message or "")
        if not blamed and not (row.state is State.KILLED and row.pid in self._ledger.killed):
            self.wrong.append(f"it blew workers up, and should have been given up: {_story(row)}")

    def _judge_outputs(self, row: ProcessRow, children: list[int]) -> None:
        outputs: Mapping[str, Any] = self._outputs[row.pid]
        value = 1 + sum(
            self._outputs[pid]["value"] for pid in children if self._rows[pid].state is State.FINISHED
        )
        if outputs.get("value") != value:
            self.wrong.append(f"process {row.pid} put out {outputs.get('value')}, not {value}")
        kept = [run.token for runs in self._steps(row.pid) for run in runs if run.kept]
        if outputs.get("tokens") != kept:
            self.wrong.append(f"{row.pid} put out the marks {outputs.get('tokens')}, committed were {kept}")
        acts = [act.token for act in self._ledger.acts.get(row.pid, ()) if act.kept]
        if acts and outputs.get("job") != acts[0]:
            self.wrong.append(f"the once-block of {row.pid} gave {outputs.get('job')}, recorded was {acts}")

    def _steps(self, pid: int) -> Iterator[list[Run]]:
        number = 0
        while (pid, number) in self._ledger.runs:
            yield self._ledger.runs[pid, number]
            number += 1

    def _count(self, client: Client) -> None:
        sizes = Counter(row.root for row in self._rows.values())
        for pid, plan in client.roots.items():
            if sizes.pop(pid, 0) > size(plan):
                self.wrong.append(f"the tree of {pid} has too many processes")
        for stranger in sizes:
            self.wrong.append(f"there is a tree of {stranger}, which nobody submitted")

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
            if not run.kept and run.claim[0] not in self._broken and pid not in self._ledger.killed:
                self.wrong.append(f"{what} ran under {run.claim}, was not committed, and nothing explains it")

    def _nothing_left(self, archive: Archive) -> None:
        for table in EMPTY:
            number = archive.count(table)
            if number:
                self.wrong.append(f"{number} rows are left in {table}")


def _story(row: ProcessRow) -> str:
    name = row.class_path.rpartition(":")[2]
    return (
        f"{name} {row.pid} is {row.state.value} (owner {row.owner}, epoch {row.epoch}, ready {row.ready}, "
        f"paused {row.paused}, intent {row.intent}, awaiting {row.awaiting}, due {row.due}, deaths "
        f"{row.deaths}, status {row.status!r}, message {row.exit_message!r})"
    )
