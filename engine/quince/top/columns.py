"""What stands in the columns of each list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quince.cli.formatting import exit_cell, state_text
from quince.cli.terminal import Styled, Text
from quince.moments import clock, span
from quince.monitor.fleet import Limit, Queue, ScheduleView, Worker
from quince.monitor.rows import Row
from quince.monitor.trees import Node
from quince.processes.limits import said_of
from quince.top.listing import Column

WIDE = 110
"""Columns of a screen that has room for more than what one needs."""


def _state(row: Row) -> Styled:
    return state_text(row.row)


def _doing(row: Row) -> Styled:
    return exit_cell(row.row) if row.terminated and row.exit != "0" else Text(row.doing, "dim")


def _took(row: Row) -> str:
    return f"({span(row.queued)})" if row.took is None else span(row.took)


PROCESSES: Sequence[Column] = (
    Column("PID", lambda row: str(row.pid), 8, right=True, style="bold"),
    Column("PARENT", lambda row: str(row.parent or ""), 9, right=True, style="dim", needs=WIDE),
    Column("CLASS", lambda row: row.name, 24),
    Column("STATE", _state, 20),
    Column("STEP OR ERROR", _doing),
    Column("WORKER", lambda row: row.worker or "", 14, style="dim", needs=WIDE),
    Column("TOOK", _took, 8, right=True, style="dim"),
)


class Twig:
    """A process in a tree as it is drawn.

    Attributes:
        lead: The lines of the tree before it.
        folded: What is below it is not shown.
    """

    __slots__ = ("folded", "lead", "node")

    def __init__(self, node: Node, lead: str, folded: bool) -> None:
        self.node, self.lead, self.folded = node, lead, folded


def _branch(twig: Twig) -> Styled:
    row, node = twig.node.row, twig.node
    text = Text.assemble((twig.lead, "dim"), (str(row.pid), "bold"), f" {row.name}  ")
    if node.child_count:
        text.append(f"{node.ended}/{node.child_count} done", "dim")
    hidden = node.hidden if not twig.folded else 0
    if twig.folded:
        text.append("  + folded", "dim")
    elif hidden:
        text.append(f"  {hidden} not shown: enter has them", "dim")
    return text


TREE: Sequence[Column] = (
    Column("PROCESS", _branch),
    Column("STATE", lambda twig: _state(twig.node.row), 20),
    Column("STEP", lambda twig: _doing(twig.node.row), 24, needs=70),
    Column("TOOK", lambda twig: _took(twig.node.row), 8, right=True, style="dim"),
)


def twigs(top: Node, folded: set[int]) -> list[Twig]:
    """A line for each process of a tree that is not in a folded part, parents before children."""
    found: list[Twig] = []
    waiting = [(top, "", "")]
    while waiting:
        node, lead, joint = waiting.pop()
        hides = node.pid in folded and node.child_count > 0
        found.append(Twig(node, lead + joint, hides))
        if hides:
            continue
        lead += {"": "", "├─ ": "│  ", "└─ ": "   "}[joint]
        last = len(node.children) - 1
        below = [(child, lead, "└─ " if n == last else "├─ ") for n, child in enumerate(node.children)]
        waiting += reversed(below)
    return found


def _memory(worker: Worker) -> str:
    return "" if worker.memory is None else f"{worker.memory / 1e6:,.0f} MB"


WORKERS: Sequence[Column] = (
    Column("WORKER", lambda one: one.row.name, style="bold"),
    Column("HOST", lambda one: one.row.host, 16),
    Column("STATE", lambda one: one.state, 12),
    Column("SLOTS", lambda one: f"{one.row.held}/{one.row.slots}", 8, right=True),
    Column("QUEUES", lambda one: ", ".join(one.row.queues), 18, style="dim", needs=78),
    Column("MEMORY", _memory, 9, right=True, style="dim", needs=WIDE),
    Column("LOAD", lambda one: "" if one.load is None else f"{one.load:.1f}", 6, right=True, style="dim"),
    Column("BEAT", lambda one: f"{span(one.beat)}", 7, right=True, style="dim"),
)

QUEUES: Sequence[Column] = (
    Column("QUEUE", lambda one: one.name, style="bold"),
    Column("READY", lambda one: f"{one.depth:,}", 10, right=True),
    Column("OLDEST", lambda one: "" if one.age is None else span(one.age), 10, right=True),
    Column("WORKERS", lambda one: str(one.workers), 8, right=True),
)


def _pids(pids: Sequence[int]) -> str:
    return ", ".join(map(str, pids))


LIMITS: Sequence[Column] = (
    Column("LIMIT", lambda one: one.row.name, style="bold"),
    Column("ALLOWS", lambda one: said_of(one.row), 22),
    Column("HELD", lambda one: str(one.row.held), 6, right=True),
    Column("WAITING", lambda one: str(one.row.waiting), 8, right=True),
    Column("HELD BY", lambda one: _pids(one.holders), 20, style="dim", needs=78),
)


def _next(one: ScheduleView) -> str:
    if one.row.paused:
        return "paused"
    return "never" if one.row.next_at is None else clock(one.row.next_at)


SCHEDULES: Sequence[Column] = (
    Column("SCHEDULE", lambda one: one.row.name, style="bold"),
    Column("NEXT", _next, 24),
    Column("LAST PID", lambda one: str(one.row.last_pid or ""), 9, right=True),
    Column("ENDED", lambda one: one.last_state or "", 10, style="dim"),
)


def pid_of(item: Any) -> int | None:
    """The process that stands in a line, or that it leads to."""
    match item:
        case Row():
            return item.pid
        case Twig():
            return item.node.pid
        case ScheduleView():
            return item.row.last_pid
        case Limit():
            return next(iter((*item.holders, *item.waiting)), None)
    return None


def key_of(item: Any) -> Any:
    """By which a line is known when it is read anew."""
    match item:
        case Worker():
            return item.row.id
        case Queue():
            return item.name
        case Limit() | ScheduleView():
            return item.row.name
    return pid_of(item)
