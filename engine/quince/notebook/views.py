"""What processes, trees, results and errors look like in a notebook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from quince.client.handle import Handles, ProcessHandle
from quince.client.outputs import Values
from quince.client.tree import Branch
from quince.client.why import Why
from quince.errors import EngineError, ResultUnavailable
from quince.moments import span
from quince.monitor.monitor import Monitor
from quince.monitor.rows import Row
from quince.monitor.values import LONGEST_TEXT, written
from quince.monitor.words import Shown, doing
from quince.notebook.html import FAINT, Content, Html, code, element, folded, joined, table
from quince.text import ends_of
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Selection

MOST_ROWS = 50
"""Processes of a list that are shown."""
MOST_BRANCHES = 300
"""Processes of a tree that are shown."""
WIDTH = 88
"""Characters of a line of a value."""

_LOOKS: Mapping[Shown, tuple[str, str]] = {
    Shown.CREATED: ("○", "#3f7fbf"),
    Shown.RUNNING: ("●", "#0f8a9d"),
    Shown.WAITING: ("◔", "#a07800"),
    Shown.PAUSED: ("‖", "#a858b8"),
    Shown.FINISHED: ("✔", "#2a8f4a"),
    Shown.FAILED: ("✘", "#c8641e"),
    Shown.EXCEPTED: ("✘", "#d0453c"),
    Shown.KILLED: ("■", "#d0453c"),
}


def html_of(thing: Any) -> str:
    """The view of it. What cannot be read says why in its place."""
    view = next(view for kind, view in _VIEWS.items() if isinstance(thing, kind))
    try:
        return str(view(thing))
    except (EngineError, PersistenceError) as error:
        return element("div", f"{thing!r}: {error}")


def values(given: Mapping[str, Any]) -> Html:
    """Inputs or outputs, a name and a value in each line."""
    if not given:
        return element("div", "(no values)", style=FAINT)
    return table((element("b", str(name)), code(_said(value))) for name, value in given.items())


def _said(value: Any) -> str:
    return value if isinstance(value, str) and len(value) <= LONGEST_TEXT else written(value, WIDTH)


def state(shown: Shown, coming: str | None = None) -> Html:
    """A state with its sign and its colour."""
    sign, colour = _LOOKS[shown]
    word = "finished" if shown is Shown.FAILED else shown.value
    arrow = f" → {coming}" if coming else ""
    return element("span", f"{sign} {word}{arrow}", style=f"color: {colour}; white-space: nowrap")


def _time(row: Row) -> str:
    return f"queued {span(row.queued)}" if row.took is None else span(row.took)


def heading(row: Row, *more: str) -> Html:
    """A process in one line."""
    words = [word for word in ("" if row.exit == "0" else row.exit, *more) if word]
    faint = " · ".join([_time(row), *words])
    return joined(
        [element("b", f"{row.pid} {row.name}"), "  ", state(row.shown, row.coming), "  ",
         element("span", faint, style=FAINT)]
    )  # fmt: skip


def _handle(handle: ProcessHandle[Any]) -> Html:
    seen = Monitor(handle.workspace).process(handle.pid)
    row, parts = seen.row, [element("div", heading(seen.row))]
    if not row.terminated:
        parts.append(element("div", seen.why.sentence))
    if seen.child_count:
        parts.append(element("div", f"{_count(seen.child_count, 'child', 'children')}", style=FAINT))
    if seen.error is not None:
        told = f"{seen.error.type_name}: {seen.error.text}"
        parts.append(folded(ends_of(told, LONGEST_TEXT), code(seen.error.traceback or told)))
    if seen.inputs:
        parts.append(folded("Inputs", values(seen.inputs), open=not seen.outputs))
    if seen.outputs:
        parts.append(folded("Outputs", values(seen.outputs), open=True))
    return element("div", *parts)


def _handles(handles: Handles[Any]) -> Html:
    """A table of them, each read once."""
    if not handles:
        return element("div", "(no processes)", style=FAINT)
    rows: dict[int, Row] = {}
    first = handles[:MOST_ROWS]
    page = Monitor(first[0].workspace).processes(Selection(pids=[one.pid for one in first]), limit=MOST_ROWS)
    rows = {row.pid: row for row in page.rows}
    lines = [_row(rows[one.pid]) if one.pid in rows else (str(one.pid), "is not there") for one in first]
    parts = [table(lines, ("pid", "class", "state", "step", "exit", "took"))]
    if (more := len(handles) - len(first)) > 0:
        parts.append(element("div", f"... and {more:,} more", style=FAINT))
    return element("div", *parts)


def _row(row: Row) -> tuple[Content, ...]:
    return element("b", str(row.pid)), row.name, state(row.shown, row.coming), row.doing, row.exit, _time(row)


def _tree(tree: Branch) -> Html:
    shown = iter(range(MOST_BRANCHES))
    parts = [_branch(tree, shown)]
    if (more := len(tree) - MOST_BRANCHES) > 0:
        parts.append(element("div", f"... and {more:,} more", style=FAINT))
    return element("div", *parts)


def _branch(branch: Branch, left: Iterator[int]) -> Html:
    title = heading(Row(branch.row, branch.seen, branch.started), doing(branch.row), *_tally(branch.children))
    below = [_branch(child, left) for child in branch.children if next(left, None) is not None]
    if not below:
        return element("div", title)
    inside = element("div", *below, style="margin-left: 1.6em")
    return folded(title, inside, open=True)


def _tally(children: Sequence[Branch]) -> list[str]:
    ended = sum(child.terminated for child in children)
    return [f"{ended}/{len(children)} done"] if children else []


def _why(why: Why) -> Html:
    lines = [element("div", line, style=FAINT) for line in why.evidence]
    return element("div", element("div", element("b", str(why.pid)), f" {why.sentence}"), *lines)


def _error(error: ResultUnavailable) -> Html:
    parts = [element("div", element("b", type(error).__name__), f": {error}")]
    if traceback := getattr(error, "traceback", ""):
        parts.append(folded("Traceback", code(traceback), open=True))
    if outputs := getattr(error, "outputs", None):
        parts.append(folded("Outputs", values(outputs), open=True))
    return element("div", *parts)


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


_VIEWS: Mapping[type, Callable[[Any], Html]] = {
    ProcessHandle: _handle,
    Handles: _handles,
    Values: values,
    Branch: _tree,
    Why: _why,
    ResultUnavailable: _error,
}
