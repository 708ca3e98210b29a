"""The ledger against the store: what was lost, and what was done twice."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quince_persistence.codec import decode
from quince_persistence.records import ProcessRow, Selection, State
from quince_persistence.store import Store
from tests.integration import chaos_flows

STEPS = {"Leaf": 3, "Block": 2, "Branch": 3}


@dataclass(frozen=True, slots=True)
class Entry:
    """One execution of one step."""

    token: str
    ospid: int


@dataclass
class Audit:
    """What the comparison found.

    Attributes:
        again: Executions beyond the first of a step, each before its commit: allowed.
        thawed: Executions that a frozen worker began after the step's commit by another, and whose
            results were refused: allowed (nobody can know better than the store when it thaws).
        wrong: Everything that must not be, one sentence each.
    """

    processes: int = 0
    executions: int = 0
    again: int = 0
    thawed: int = 0
    wrong: list[str] = field(default_factory=list)


def audit(
    store: Store, roots: Sequence[int], shape: tuple[int, int], ledger: Path, frozen: set[int]
) -> Audit:
    """Compare.

    Args:
        roots: The pids that were submitted, each a `Branch` of `shape`.
        frozen: Operating-system processes that were frozen at any time.
    """
    found = Audit()
    rows = {row.pid: row for row in store.select(Selection())}
    entries = read_ledger(ledger)
    found.processes = len(rows)
    found.executions = sum(len(executions) for executions in entries.values())
    _count(found, rows, roots, shape)
    _left_behind(found, store, rows)
    for pid, outputs in _all_outputs(store, list(rows)):
        _compare(found, rows[pid], outputs, entries, frozen)
    for pid, index in entries:
        if pid not in rows:
            found.wrong.append(f"step {index} of process {pid} ran, but there is no such process")
    return found


def read_ledger(file: Path) -> Mapping[tuple[int, int], list[Entry]]:
    """The executions of each step of each process, in the order of their beginnings."""
    entries: dict[tuple[int, int], list[Entry]] = defaultdict(list)
    for line in file.read_text().splitlines():
        pid, index, token, ospid = line.split()
        entries[int(pid), int(index)].append(Entry(token, int(ospid)))
    return entries


def _count(
    found: Audit, rows: Mapping[int, ProcessRow], roots: Sequence[int], shape: tuple[int, int]
) -> None:
    """Each tree has as many processes as it should: none is lost, and none exists twice."""
    sizes = Counter(row.root for row in rows.values())
    expected = chaos_flows.size(*shape)
    for root in roots:
        if sizes[root] != expected:
            found.wrong.append(f"the tree of {root} has {sizes[root]} processes, not {expected}")
    for stranger in set(sizes) - set(roots):
        found.wrong.append(f"there is a tree of {stranger}, which nobody submitted")


def _left_behind(found: Audit, store: Store, rows: Mapping[int, ProcessRow]) -> None:
    for row in rows.values():
        if row.state is not State.FINISHED or row.exit_status:
            found.wrong.append(
                f"process {row.pid} is {row.state.value} (owner {row.owner}, ready {row.ready}, paused "
                f"{row.paused}, awaiting {row.awaiting}, deaths {row.deaths}): {row.exit_message}"
            )
        elif row.owner is not None:
            found.wrong.append(f"process {row.pid} has ended and is still owned by {row.owner}")
    if store.backlog():
        found.wrong.append(f"the store still has a backlog: {store.backlog()}")


def _all_outputs(store: Store, pids: Sequence[int]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for start in range(0, len(pids), 500):
        for result in store.results(pids[start : start + 500]):
            yield result.row.pid, decode(result.outputs) if result.outputs else {}


def _compare(
    found: Audit,
    row: ProcessRow,
    outputs: Mapping[str, Any],
    entries: Mapping[tuple[int, int], list[Entry]],
    frozen: set[int],
) -> None:
    tokens = outputs.get("tokens", [])
    steps = STEPS[row.class_path.rpartition(":")[2]]
    if row.state is State.FINISHED and len(tokens) != steps:
        found.wrong.append(f"process {row.pid} finished with {len(tokens)} steps, not {steps}")
    for index, token in enumerate(tokens):
        executions = entries.get((row.pid, index), [])
        order = [entry.token for entry in executions]
        if token not in order:
            found.wrong.append(f"step {index} of {row.pid} is committed ({token}) but never ran: {order}")
            continue
        found.again += order.index(token)
        for late in executions[order.index(token) + 1 :]:
            if late.ospid in frozen:
                found.thawed += 1
            else:
                found.wrong.append(
                    f"step {index} of process {row.pid} ran again (in {late.ospid}) after the execution "
                    f"that was committed: {order}, committed {token}"
                )
