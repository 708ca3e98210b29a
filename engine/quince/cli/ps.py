"""`quince ps`: the processes, as a table."""

from __future__ import annotations

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
from quince.monitor.filters import label_pair, pid_named
from quince.monitor.rows import rows_of
from quince.text import close_to
from quince.workspace.workspace import Workspace
from quince_persistence.contract import StoreContract
from quince_persistence.records import TERMINAL, ProcessRow

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
    before: Annotated[
        str | None,
        typer.Option("--before", metavar="PID", help="The page before: only pids below this one."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """List processes: those that live, then the newest that have ended; oldest first."""
    with session.workspace() as home:
        below = None if before is None else pid_named(home, before)
        rows, more = page(home, chosen, _limit(limit, chosen, as_json), below)
        missing = _missing(home, chosen, rows) if limit is None and before is None else []
        if as_json:
            started = home.store.started([row.pid for row in rows])
            show_json([row_document(row, started) for row in rows])
        else:
            _print(home.store, rows, complained=bool(missing))
            if more and limit is None:
                say(f"only {len(rows)} are shown: {how_to_see_more(rows, paged=below is not None)}")
        _hint(home, chosen, rows)
    for pid in missing:
        complain(f"there is no process {pid}")
    return FAILED if missing else DONE


def _missing(home: Workspace, chosen: Filter, rows: Sequence[ProcessRow]) -> list[int]:
    """Pids that were named, and that no filter keeps out, but that are not there."""
    return [] if chosen.narrowed else sorted(set(chosen.named(home)) - {row.pid for row in rows})


def _limit(wanted: int | None, chosen: Filter, as_json: bool) -> int | None:
    if wanted is not None:
        return wanted
    return None if as_json or chosen.everything or chosen.pids else PAGE


def page(
    home: Workspace, chosen: Filter, limit: int | None, before: int | None
) -> tuple[list[ProcessRow], bool]:
    """The rows to show, oldest first, and whether there are more.

    The first page has what lives, then the highest pids of what has ended; those after it go by pid alone.
    """
    if limit is None or before is not None:
        most = None if limit is None else limit + 1
        found = home.store.select(chosen.selection(home, limit=most, before=before))
        return sorted(found[:limit], key=by_age), len(found) > (limit or len(found))
    rows: dict[int, ProcessRow] = {}
    if not (chosen.failed or chosen.exits or chosen.ended_since):  # else none of them lives
        live = chosen.selection(home, live=True, limit=limit + 1)
        rows = {row.pid: row for row in home.store.select(live)}
    if len(rows) <= limit:
        rows |= {row.pid: row for row in home.store.select(chosen.selection(home, limit=limit + 1))}
    ranked = sorted(rows.values(), key=lambda row: (row.state in TERMINAL, -row.pid))
    return sorted(ranked[:limit], key=by_age), len(ranked) > limit


def how_to_see_more(rows: Sequence[ProcessRow], *, paged: bool) -> str:
    """With which options; a first page leaves out none with pids above the lowest of what has ended in it.

    Args:
        paged: It is not the first page.
    """
    pids = [row.pid for row in rows if paged or row.state in TERMINAL]
    return "--limit N or --all shows more" + (f", --before {min(pids)} those before" if pids else "")


def _hint(home: Workspace, chosen: Filter, rows: Sequence[ProcessRow]) -> None:
    """Say if nothing is of a class, or has a label, of the name that was given."""
    if rows:
        return
    for word in chosen.strange_classes(home):
        say(f"no process is of a class {word!r}")
    known = home.store.label_names() if chosen.labels else []
    for name, _ in (label_pair(word, bare=True) for word in chosen.labels or ()):
        if name not in known:
            say(f"no process has a label {name!r}{close_to(name, known)}")


def _print(store: StoreContract, rows: Sequence[ProcessRow], *, complained: bool) -> None:
    console = out()
    if rows:
        show(process_table(rows_of(store, rows), width=console.width if console.is_terminal else None))
    if console.is_terminal:
        put()
        show(counts_text(store.counts(), store.paused_counts()))
    if not rows and not complained and not console.is_terminal:
        say("no such processes")
