"""`quince ps`: the processes, as a table."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated

import typer

from quince.cli.documents import row_document
from quince.cli.errors import DONE, FAILED
from quince.cli.filters import Filter, by_age, with_options
from quince.cli.formatting import counts_text
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.process_table import process_table
from quince.cli.session import session
from quince.cli.terminal import out, show, show_json
from quince_persistence.contract import StoreContract
from quince_persistence.records import TERMINAL, ProcessRow, Selection

app = typer.Typer()

PAGE = 100


@app.command(rich_help_panel="Look")
@with_options
def ps(
    chosen: Filter,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", min=1, help="At most so many.", show_default=f"{PAGE}; none with --json or --all"
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List processes: those that live, then the newest that have ended; oldest first."""
    selection = chosen.selection()
    with session.workspace() as home:
        rows, more = _page(home.store, chosen, selection, _limit(limit, chosen, as_json))
        missing = _missing(chosen, rows) if limit is None else []
        if as_json:
            started = home.store.started([row.pid for row in rows])
            show_json([row_document(row, started) for row in rows])
        else:
            _print(home.store, rows, more and limit is None, complained=bool(missing))
    for pid in missing:
        complain(f"there is no process {pid}")
    return FAILED if missing else DONE


def _missing(chosen: Filter, rows: Sequence[ProcessRow]) -> list[int]:
    """Pids that were named, and that no filter keeps out, but that are not there."""
    return [] if chosen.narrowed else sorted(set(chosen.named()) - {row.pid for row in rows})


def _limit(wanted: int | None, chosen: Filter, as_json: bool) -> int | None:
    if wanted is not None:
        return wanted
    return None if as_json or chosen.everything or chosen.pids else PAGE


def _page(
    store: StoreContract, chosen: Filter, selection: Selection, limit: int | None
) -> tuple[list[ProcessRow], bool]:
    """The rows to show, oldest first, and whether there are more."""
    if limit is None:
        return sorted(store.select(selection), key=by_age), False
    rows = {row.pid: row for row in store.select(chosen.selection(live=True, limit=limit + 1))}
    if len(rows) <= limit:
        rows |= {row.pid: row for row in store.select(chosen.selection(limit=limit + 1))}
    ranked = sorted(rows.values(), key=lambda row: (row.state in TERMINAL, -row.created, -row.pid))
    return sorted(ranked[:limit], key=by_age), len(ranked) > limit


def _print(store: StoreContract, rows: Sequence[ProcessRow], more: bool, *, complained: bool) -> None:
    names = {worker.id: worker.name for worker in store.workers()}
    console = out()
    if rows:
        started = store.started([row.pid for row in rows])
        width = console.width if console.is_terminal else None
        show(process_table(rows, names, time.time(), width=width, started=started))
    if console.is_terminal:
        put()
        show(counts_text(store.counts()))
    if more:
        say(f"only {len(rows)} are shown: --limit N or --all shows more")
    elif not rows and not complained and not console.is_terminal:
        say("no such processes")
