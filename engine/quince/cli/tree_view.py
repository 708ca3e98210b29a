"""Processes and their descendants, as trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group

from quince.cli.documents import row_document
from quince.cli.formatting import class_name, doing, exit_text, queued, state_text, took
from quince.cli.terminal import Styled, Text
from quince_persistence.records import ProcessRow

_NOBODY: Mapping[int, float] = {}
DRAWN = 20
"""Levels that are indented; what is deeper stands under the last of them, with the number of its level."""
NESTED = 100
"""Levels that are nested as JSON, which few programs read much deeper."""
_JOINTS = {"": "", "├── ": "│   ", "└── ": "    "}
"""What stands before a process, and under that before its children."""


@dataclass(frozen=True)
class Branch:
    """A process and its children.

    Attributes:
        known: When processes were first taken up, by their pids.
    """

    row: ProcessRow
    known: Mapping[int, float] = field(default_factory=dict, repr=False, compare=False)
    children: list[Branch] = field(default_factory=list, repr=False, compare=False)

    def document(self) -> dict[str, Any]:
        """As JSON: the row with its children inside.

        Below `NESTED` levels all descendants stand in one list, parents before children.
        """
        whole: list[dict[str, Any]] = []
        waiting = [(self, whole, 0)]
        while waiting:
            branch, location, level = waiting.pop()
            document = {**row_document(branch.row, branch.known), "children": []}
            location.append(document)
            below = document["children"] if level < NESTED else location
            waiting += [(child, below, level + 1) for child in reversed(branch.children)]
        return whole[0]


def family(root: int, members: Sequence[ProcessRow], started: Mapping[int, float] = _NOBODY) -> Branch:
    """The branch of `root`, from the rows of all its descendants, and when they were first taken up."""
    children: dict[int | None, list[Branch]] = defaultdict(list)
    branches: dict[int, Branch] = {}
    for row in sorted(members, key=lambda member: member.pid):
        branches[row.pid] = Branch(row, started, children[row.pid])
        if row.pid != root:
            children[row.parent].append(branches[row.pid])
    return branches[root]


def forest(branches: Sequence[Branch], now: float) -> Group:
    """One tree after the other."""
    return Group(*(line for branch in branches for line in _lines(branch, now)))


def _lines(branch: Branch, now: float) -> Iterator[Styled]:
    waiting = [(branch, "", "", 0)]
    while waiting:
        one, lead, joint, level = waiting.pop()
        yield Text.assemble((lead + joint, "dim"), no_wrap=True).append_text(_label(one, now))
        if level < DRAWN:
            lead += _JOINTS[joint]
        level += 1
        for location, child in enumerate(reversed(one.children)):
            joint = f"({level}) " if level > DRAWN else "├── " if location else "└── "
            waiting.append((child, lead, joint, level))


def _label(branch: Branch, now: float) -> Styled:
    row = branch.row
    text = Text.assemble((str(row.pid), "bold"), " ", class_name(row), "  ", state_text(row), no_wrap=True)
    ended = exit_text(row)
    if ended.plain and (row.exit_status or row.exit_message):
        text.append("  ").append_text(ended)
    text.append(f"  {took(row, branch.known.get(row.pid), now) or queued(row, None, now)}", style="dim")
    if doing(row):
        text.append(f"  {doing(row)}", style="dim")
    if branch.children:
        text.append("  ").append_text(_tally(branch.children))
    return text


def _tally(children: Sequence[Branch]) -> Styled:
    """`7/9 done`."""
    ended = sum(child.row.terminated for child in children)
    return Text(f"{ended}/{len(children)} done", style="dim")
