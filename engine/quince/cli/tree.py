"""`quince tree`: processes with all their descendants."""

from __future__ import annotations

import time
from collections.abc import Sequence

import typer
from rich.console import Group

from quince.cli.errors import DONE
from quince.cli.filters import Filter, with_options
from quince.cli.options import AsJson
from quince.cli.resolve_pids import resolve
from quince.cli.session import session
from quince.cli.terminal import show, show_documents
from quince.cli.tree_view import tree_document, tree_lines
from quince.client.tree import Branch
from quince.client.tree import tree as tree_of
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
