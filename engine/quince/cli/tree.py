"""`quince tree`: processes with all their descendants."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any

import typer
from rich.console import Group

from quince.cli.documents import row_document
from quince.cli.errors import DONE
from quince.cli.filters import Filter, resolve, with_options
from quince.cli.formatting import exit_text, state_text
from quince.cli.options import AsJson
from quince.cli.session import session
from quince.cli.terminal import Styled, Text, show, show_documents
from quince.client.tree import Branch
from quince.client.tree import tree as tree_of
from quince.moments import span
from quince.monitor.rows import Row
from quince.monitor.words import class_name, doing
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow

app = typer.Typer()


@app.command(rich_help_panel="Look")
@with_options
def tree(chosen: Filter, as_json: AsJson = False) -> int:
    """Show processes with all their descendants, states and durations."""
    with session.workspace() as home:
        trees = _trees(home.store, resolve(home, chosen))
    if as_json:
        show_documents([tree_document(one) for one in trees], single=chosen.single)
    else:
        now = time.time()
        show(Group(*(line for one in trees for line in tree_lines(one, now))))
    return DONE


def _trees(store: StoreContract, rows: Sequence[ProcessRow]) -> list[Branch]:
    """The trees of the picked processes; one that is in the tree of another is not repeated."""
    trees: dict[int, Branch] = {}
    inner: set[int] = set()
    for row in rows:
        if row.pid not in inner and (found := tree_of(store, row.pid)) is not None:
            trees[row.pid] = found
            inner.update(branch.pid for branch in found if branch.pid != row.pid)
    return [found for pid, found in trees.items() if pid not in inner]


DRAWN = 20
"""Levels that are indented; what is deeper stands under the last of them, with the number of its level."""
NESTED = 100
"""Levels that are nested as JSON, which few programs read much deeper."""
_JOINTS = {"": "", "├── ": "│   ", "└── ": "    "}
"""What stands before a process, and under that before its children."""


def tree_document(tree: Branch) -> dict[str, Any]:
    """A tree as JSON: the row with its children inside.

    Below `NESTED` levels all descendants stand in one list, parents before children.
    """
    whole: list[dict[str, Any]] = []
    waiting = [(tree, whole, 0)]
    while waiting:
        branch, place, level = waiting.pop()
        document = {**row_document(branch.row, {branch.pid: branch.started}), "children": []}
        place.append(document)
        below = document["children"] if level < NESTED else place
        waiting += [(child, below, level + 1) for child in reversed(branch.children)]
    return whole[0]


def tree_lines(tree: Branch, now: float) -> Iterator[Styled]:
    """A line for each process, parents before children."""
    waiting = [(tree, "", "", 0)]
    while waiting:
        one, lead, joint, level = waiting.pop()
        yield Text.assemble((lead + joint, "dim"), no_wrap=True).append_text(_label(one, now))
        if level < DRAWN:
            lead += _JOINTS[joint]
        level += 1
        for index, child in enumerate(reversed(one.children)):
            joint = f"({level}) " if level > DRAWN else "├── " if index else "└── "
            waiting.append((child, lead, joint, level))


def _label(branch: Branch, now: float) -> Styled:
    row = branch.row
    text = Text.assemble((str(row.pid), "bold"), " ", class_name(row), "  ", state_text(row), no_wrap=True)
    ended = exit_text(row)
    if ended.plain and (row.exit_status or row.exit_message):
        text.append("  ").append_text(ended)
    seen = Row(row, now, branch.started)
    text.append(f"  {f'queued {span(seen.queued)}' if seen.took is None else span(seen.took)}", style="dim")
    if doing(row):
        text.append(f"  {doing(row)}", style="dim")
    if branch.children:
        text.append("  ").append_text(_tally(branch.children))
    return text


def _tally(children: Sequence[Branch]) -> Styled:
    """`7/9 done`."""
    ended = sum(child.row.terminated for child in children)
    return Text(f"{ended}/{len(children)} done", style="dim")
