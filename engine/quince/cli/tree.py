"""`quince tree`: processes with all their descendants."""

from __future__ import annotations

import time
from collections.abc import Sequence

import typer

from quince.cli.errors import DONE
from quince.cli.filters import Filter, filtered
from quince.cli.options import AsJson
from quince.cli.resolve_pids import picked
from quince.cli.session import session
from quince.cli.terminal import show, show_documents
from quince.cli.tree_view import Branch, family, forest
from quince.workspace.workspace import Workspace
from quince_persistence.records import ProcessRow

app = typer.Typer()


@app.command(rich_help_panel="Look")
@filtered
def tree(chosen: Filter, as_json: AsJson = False) -> int:
    """Show processes with all their descendants, states and durations."""
    with session.workspace() as home:
        branches = _branches(home, picked(home, chosen))
    if as_json:
        documents = [branch.document() for branch in branches]
        show_documents(documents, single=chosen.single)
        return DONE
    show(forest(branches, time.time()))
    return DONE


def _branches(home: Workspace, rows: Sequence[ProcessRow]) -> list[Branch]:
    """Each picked process with its descendants; one that is in the tree of another is not repeated."""
    branches: dict[int, Branch] = {}
    inner: set[int] = set()
    for row in rows:
        if row.pid not in inner:
            members = home.store.tree(row.pid)
            inner.update(member.pid for member in members if member.pid != row.pid)
            started = home.store.started([member.pid for member in members])
            branches[row.pid] = family(row.pid, members, started)
    return [branch for pid, branch in branches.items() if pid not in inner]
