"""All about one process, as text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from quince.cli.formatting import exit_text, state_text
from quince.cli.results import values_table
from quince.cli.terminal import Styled, Text, block
from quince.moments import clock, span
from quince.monitor.code import Part
from quince.monitor.details import Details

MARK = "▶ "


def about(seen: Details) -> Group:
    """What is known of it: why it stands where it stands, what came out, its steps, what went in."""
    parts: list[RenderableType] = [_facts(seen)]
    if seen.error is not None:
        said = seen.error.traceback.rstrip() or f"{seen.error.type_name}: {seen.error.text}"
        parts += _section("Error", block(said, "red"))
    if seen.outputs:
        parts += _section("Outputs", values_table(seen.outputs))
    if seen.code.outline:
        parts += _section("Steps", Group(*_outline(seen.code.outline, 0)))
    if seen.inputs:
        parts += _section("Inputs", values_table(seen.inputs))
    for attempt in seen.attempts:
        name = f"Attempt {attempt.number} of {attempt.step or 'its first step'}, {clock(attempt.at)}"
        parts += _section(name, block(attempt.traceback.rstrip() or attempt.text, "red"))
    return Group(*parts)


def _section(name: str, content: RenderableType) -> Sequence[RenderableType]:
    return Text(""), Text(name, "bold underline"), Padding(content, (0, 0, 0, 2))


def _facts(seen: Details) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _known(seen):
        if value:
            table.add_row(name, value if isinstance(value, Styled) else Text(value))
    return table


def _known(seen: Details) -> Iterator[tuple[str, str | Styled | None]]:
    row = seen.row.row
    yield "state", state_text(row)
    if not row.terminated:
        yield "why", seen.why.sentence
        yield "", "\n".join(seen.why.evidence) and block("\n".join(seen.why.evidence), "dim")
        yield "step", seen.row.doing
    yield "exit", exit_text(row) if seen.row.exit else None
    yield (
        "class",
        row.class_path + (f" (cannot be loaded here: {seen.code.error})" if seen.code.error else ""),
    )
    yield "parent", None if row.parent is None else str(row.parent)
    yield "children", str(seen.child_count or "")
    yield "key", row.key
    yield "labels", _pairs(seen.row.labels)
    yield "limits", ", ".join(row.options.limits)
    yield "queue", f"{row.queue}, priority {row.priority}"
    yield "worker", seen.row.worker
    yield "created", f"{clock(row.created)} ({span(seen.row.age)} ago)"
    yield "ended", None if row.ended is None else clock(row.ended)
    yield "time", _durations(seen)
    yield "deadline", None if row.deadline is None else clock(row.deadline)
    yield "retried", f"{seen.retries} times" if seen.retries else None
    yield "code", _revision(seen)


def _pairs(labels: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in labels.items())


def _durations(seen: Details) -> str:
    spent = seen.durations
    parts = [("queued", spent.queued), ("running", spent.running), ("waiting", spent.waiting),
             ("paused", spent.paused)]  # fmt: skip
    return ", ".join(f"{name} {span(seconds)}" for name, seconds in parts if seconds >= 0.001)


def _revision(seen: Details) -> str | None:
    ran, now = seen.revision, seen.revision_now
    if ran is None or now is None or ran == now:
        return ran
    return f"{ran}; it has been changed since, and is {now} now"


def _outline(parts: Sequence[Part], depth: int) -> Iterator[Styled]:
    """The outline, with a mark at the step it is in."""
    for part in parts:
        lead = (MARK if part.current else " " * len(MARK)) + "  " * depth
        words = part.name if part.kind == "step" else f"{part.kind} {part.name}"
        yield Text(lead + words, "bold" if part.current else "")
        for number, branch in enumerate(part.branches):
            if number or part.kind == "if":
                test = "else" if branch.test is None else f"{'if' if number == 0 else 'elif'} {branch.test}"
                if number:
                    yield Text(" " * len(MARK) + "  " * depth + test)
            yield from _outline(branch.parts, depth + 1)
