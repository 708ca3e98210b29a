"""`quince limit`: how many processes may be at work at once, and how many may begin in a time."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from quince.cli.errors import DONE, FAILED, WrongUsage
from quince.cli.formatting import state_text
from quince.cli.options import AsJson
from quince.cli.output import complain, put, say
from quince.cli.session import session
from quince.cli.terminal import Styled, Text, show, show_json
from quince.client.limits import remove_limit, set_limit
from quince.errors import InvalidInput
from quince.moments import iso, span
from quince.monitor.words import class_name
from quince.processes.limits import said_of, said_of_rate
from quince_persistence.records import ProcessRow
from quince_persistence.records.limits import LimitRow

app = typer.Typer(
    name="limit", no_args_is_help=True, help="Set and see limits on how much is at work at once."
)
SHOWN = 20

Name = Annotated[str, typer.Argument(metavar="NAME", help="What processes ask for.", show_default=False)]


@app.command("set")
def set_(
    name: Name,
    slots: Annotated[
        int | None,
        typer.Argument(metavar="N", min=0, help="How many may hold it at once.", show_default=False),
    ] = None,
    rate: Annotated[
        str | None, typer.Option("--rate", metavar="N/TIME", help="How many may begin: 30/min, 100/12 h.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Set a limit, from now on: `quince limit set licence 4`, `quince limit set mail --rate 30/min`."""
    with session.workspace(make=True) as home:
        try:
            set_limit(name, slots, rate=rate, workspace=home)
        except InvalidInput as error:
            raise WrongUsage(str(error)) from error
        row = next(row for row in home.store.limits() if row.name == name)
    show_json(_document(row)) if as_json else put(f"{name}: {said_of(row)}; {_uses(row)}")
    return DONE


@app.command("ls")
def ls(as_json: AsJson = False) -> int:
    """List the limits that are set, or that processes ask for."""
    with session.workspace() as home:
        rows = home.store.limits()
        now = home.store.clock()
    if as_json:
        show_json([_document(row) for row in rows])
    elif rows:
        show(_table(rows, now))
    else:
        say("no limits: `quince limit set NAME N` sets one")
    return DONE


@app.command("show")
def show_one(name: Name, as_json: AsJson = False) -> int:
    """Say who holds a limit, and who waits for it."""
    with session.workspace() as home:
        row = next((row for row in home.store.limits() if row.name == name), None)
        if row is None:
            complain(_unknown(name))
            return FAILED
        holders = home.store.limit_users(name, held=True)
        waiting = home.store.limit_users(name, held=False, most=SHOWN)
    if as_json:
        pids = {"held_by": [one.pid for one in holders], "next": [one.pid for one in waiting]}
        show_json(_document(row) | pids)
        return DONE
    put(f"{name}: {said_of(row)}; {_uses(row)}")
    for one in holders[:SHOWN]:
        show(_line("held by", one))
    for one in waiting:
        show(_line("waits", one))
    if row.waiting > len(waiting):
        put(f"    and {row.waiting - len(waiting)} more wait")
    return DONE


@app.command("rm")
def rm(name: Name, as_json: AsJson = False) -> int:
    """Have no such limit any more; who waits for it goes on."""
    with session.workspace() as home:
        there = remove_limit(name, workspace=home)
    if not there:
        complain(_unknown(name))
        return FAILED
    show_json({"name": name, "removed": True}) if as_json else put(f"{name} removed")
    return DONE


def _unknown(name: str) -> str:
    return f"there is no limit {name!r}: `quince limit ls` shows which there are"


def _uses(row: LimitRow) -> str:
    return f"held by {row.held}, {row.waiting} waiting"


def _line(word: str, row: ProcessRow) -> Styled:
    return Text.assemble(f"    {word} {row.pid} {class_name(row)}  ", state_text(row))


def _table(rows: list[LimitRow], now: float) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for heading in ("LIMIT", "HELD", "OF", "RATE", "WAITING", "NEXT"):
        table.add_column(heading, justify="left" if heading in ("LIMIT", "RATE") else "right")
    for row in rows:
        rate = "" if row.rate is None or row.per is None else said_of_rate(row.rate, row.per)
        rate = rate if row.damage is None else f"damaged: {row.damage}"
        soon = "" if row.next_at is None else span(row.next_at - now)
        slots = "-" if row.slots is None else str(row.slots)
        table.add_row(Text(row.name), str(row.held), slots, rate, str(row.waiting), soon)
    return table


def _document(row: LimitRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "slots": row.slots,
        "rate": row.rate,
        "per": row.per,
        "process": row.owner,
        "held": row.held,
        "waiting": row.waiting,
        "next_at": iso(row.next_at),
        "damage": row.damage,
    }
