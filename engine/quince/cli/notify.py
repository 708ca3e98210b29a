"""`quince notify`: who is told of what happens, and whether it arrives."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.session import session
from quince.cli.terminal import Text, show, show_json
from quince.moments import iso, span
from quince.notify.failures import NotSent
from quince.notify.messages import messages_of
from quince.notify.sending import send
from quince.text import close_to, in_line
from quince.workspace.location import Location
from quince.workspace.receivers import Receiver
from quince_persistence.records.notices import Happening, NoticeRow, ReceiverRow

app = typer.Typer(
    name="notify", no_args_is_help=True, help="Who is told of what happens (`notify` in quince.toml)."
)

NO_STORE = "0" * 12


@app.command("test")
def try_it(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Of a receiver; all, if none is named.", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Send one notice here and now, with the environment of this shell, and say whether it arrived."""
    location = session.location()
    known = {receiver.name: receiver for receiver in location.receivers}
    if name is not None and name not in known:
        raise WrongUsage(f"quince.toml has no [notify.{name}]{close_to(name, known)}")
    if not known:
        raise WrongUsage("quince.toml names nobody who is to be told: see docs/monitoring.md")
    chosen = list(known.values()) if name is None else [known[name]]
    notice = NoticeRow(
        f"test-{time.time() * 1e6:.0f}", "", Happening.TEST, time.time(), {"text": TEXT}, 1, 0.0
    )
    failed = _tell(chosen, notice, location, aloud=not as_json)
    if as_json:
        show_json(_sent(chosen, failed))
    return FAILED if failed else DONE


@app.command("trouble")
def trouble(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What is wrong.", show_default=False)],
    as_json: AsJson = False,
) -> int:
    """Tell those who are told of trouble, here and now, also without the store: for a monitor of yours."""
    location = session.location()
    chosen = [receiver for receiver in location.receivers if Happening.TROUBLE in receiver.on]
    notice = NoticeRow(
        f"trouble-{time.time() * 1e6:.0f}", "", Happening.TROUBLE, time.time(), {"text": text}, 1, 0.0
    )
    failed = _tell(chosen, notice, location, aloud=not as_json)
    if as_json:
        show_json(_sent(chosen, failed))
    elif not chosen:
        say('nobody is told of trouble: `on = ["trouble"]` in a [notify.NAME] of quince.toml')
    return FAILED if failed else DONE


def _sent(receivers: Sequence[Receiver], failed: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {"receiver": one.name, "sent": one.name not in failed, "error": failed.get(one.name)}
        for one in receivers
    ]


def _tell(
    receivers: Sequence[Receiver], notice: NoticeRow, location: Location, *, aloud: bool
) -> dict[str, str]:
    """Tell each, here; why some could not be told, by their names."""
    failed: dict[str, str] = {}
    ((message, _),) = messages_of([notice], NO_STORE)
    for one in receivers:
        try:
            send(one, message, location.folder)
        except NotSent as error:
            failed[one.name] = str(error)
            if aloud:
                complain(f"{one.name}: {error}")
        else:
            if aloud:
                put(f"{one.name}: sent ({in_line(one.way)})")
    return failed


TEXT = "this is a test: notices of Quince arrive here"


@app.command("ls")
def ls(as_json: AsJson = False) -> int:
    """List who is told of what, and what could not be sent yet."""
    with session.workspace() as home:
        rows = {row.name: row for row in home.store.receivers()}
        now = home.store.clock()
        here = {receiver.name: receiver for receiver in home.location.receivers}
    names = sorted(rows.keys() | here.keys())
    if as_json:
        show_json([_document(name, here.get(name), rows.get(name)) for name in names])
    elif names:
        show(_table(names, here, rows, now))
    else:
        say("nobody is told of anything: `[notify.NAME]` in quince.toml says who is to be")
    return DONE


def _table(names: list[str], here: dict[str, Receiver], rows: dict[str, ReceiverRow], now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for heading in ("RECEIVER", "IS TOLD OF", "BY", "UNSENT", "OLDEST", "WHY"):
        table.add_column(heading, justify="right" if heading in ("UNSENT", "OLDEST") else "left")
    for name in names:
        receiver, row = here.get(name), rows.get(name)
        by = "no entry in this quince.toml" if receiver is None else in_line(receiver.way)
        age = "" if row is None or row.oldest is None else span(now - row.oldest)
        why = "no worker knows it yet" if row is None else row.error or ""
        pending = str(row.pending) if row is not None else "0"
        table.add_row(*map(Text, (name, ", ".join(_events(receiver, row)), by, pending, age, in_line(why))))
    return table


def _events(receiver: Receiver | None, row: ReceiverRow | None) -> list[str]:
    events = row.events if receiver is None and row is not None else receiver.on if receiver else ()
    return sorted(event.value for event in events)


def _document(name: str, receiver: Receiver | None, row: ReceiverRow | None) -> dict[str, Any]:
    return {
        "name": name,
        "events": _events(receiver, row),
        "by": None if receiver is None else receiver.way,
        "known": row is not None and bool(row.events),
        "pending": 0 if row is None else row.pending,
        "oldest": None if row is None else iso(row.oldest),
        "error": None if row is None else row.error,
    }
