"""Processes and their descendants, as trees."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from rich.console import Group
from rich.tree import Tree

from engine.cli.documents import row_document
from engine.cli.terminal import Styled, Text
from engine.cli.wording import class_name, doing, exit_text, lasted, state_text
from persistence.records import ProcessRow


@dataclass(frozen=True)
class Branch:
    """A process and its children."""

    row: ProcessRow
    children: list[Branch] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON: the row with its children inside."""
        return {**row_document(self.row), "children": [child.document() for child in self.children]}


def family(root: int, members: Sequence[ProcessRow]) -> Branch:
    """The branch of `root`, from the rows of all its descendants."""
    children: dict[int | None, list[Branch]] = defaultdict(list)
    branches: dict[int, Branch] = {}
    for row in sorted(members, key=lambda member: member.pid):
        branches[row.pid] = Branch(row, children[row.pid])
        if row.pid != root:
            children[row.parent].append(branches[row.pid])
    return branches[root]


def forest(branches: Sequence[Branch], now: float) -> Group:
    """One tree after the other."""
    return Group(*(_tree(branch, now) for branch in branches))


def _tree(branch: Branch, now: float) -> Tree:
    tree = Tree(_label(branch, now), guide_style="dim")
    _grow(tree, branch, now)
    return tree


def _grow(tree: Tree, branch: Branch, now: float) -> None:
    for child in branch.children:
        _grow(tree.add(_label(child, now)), child, now)


def _label(branch: Branch, now: float) -> Styled:
    row = branch.row
    text = Text.assemble((str(row.pid), "bold"), " ", class_name(row), "  ", state_text(row), no_wrap=True)
    ended = exit_text(row)
    if ended.plain and (row.exit_status or row.exit_message):
        text.append("  ").append_text(ended)
    text.append(f"  {lasted(row, now)}", style="dim")
    if doing(row):
        text.append(f"  {doing(row)}", style="dim")
    if branch.children:
        text.append("  ").append_text(_tally(branch.children))
    return text


def _tally(children: Sequence[Branch]) -> Styled:
    """`7/9 done`."""
    ended = sum(child.row.terminated for child in children)
    return Text(f"{ended}/{len(children)} done", style="dim")
