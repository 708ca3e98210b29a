"""`quince status`: the workspace at a glance."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import typer
from rich.table import Table

import quince_messaging
from quince.cli.daemon_view import (
    alive,
    daemon_document,
    daemon_sentence,
    orphans_sentence,
    trouble_lines,
    worker_table,
)
from quince.cli.documents import worker_document
from quince.cli.errors import DONE, FAILED
from quince.cli.formatting import counts_text
from quince.cli.options import AsJson
from quince.cli.output import put
from quince.cli.session import session
from quince.cli.terminal import NEWLINE, Styled, Text, show, show_json
from quince.daemon import operations as daemon
from quince.workspace.link_warnings import broker_warning, store_warning
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_messaging.errors import MessagingError
from quince_messaging.passwords import without_password
from quince_persistence.errors import PersistenceError
from quince_persistence.records import State, WorkerRow

app = typer.Typer()


@app.command(rich_help_panel="Workspace")
def status(as_json: AsJson = False) -> int:
    """Show store, broker, daemon, workers and backlog; exit status 1 if something is unreachable."""
    location = session.location()
    if location.has_own_store:
        location.require_made()
    facts = overview(location)
    if as_json:
        show_json(facts.document())
    else:
        facts.print(time.time())
    return FAILED if facts.store_error or facts.broker_error else DONE


WRITE_SECONDS = 2.0
"""How long a write that changes nothing may take, which is tried if some worker is in trouble."""


@dataclass(frozen=True)
class Overview:
    """What was found; an error is the sentence that says why something is unreachable, or takes no writes."""

    location: Location
    daemon: daemon.DaemonState
    store_error: str | None = None
    broker_error: str | None = None
    workers: Sequence[WorkerRow] = ()
    counts: Mapping[State, int] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    identity: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "folder": str(self.location.folder),
            "store": {
                "url": without_password(self.location.store),
                "ok": not self.store_error,
                "error": self.store_error,
                "warning": store_warning(self.location),
                "identity": self.identity,
            },
            "broker": {
                "uri": without_password(self.location.broker),
                "ok": not self.broker_error,
                "error": self.broker_error,
                "warning": broker_warning(self.location),
            },
            "daemon": daemon_document(self.daemon),
            "workers": [worker_document(worker) for worker in self.workers],
            "counts": {state.value: self.counts.get(state, 0) for state in State},
            "backlog": dict(self.backlog),
        }

    def print(self, now: float) -> None:
        """For people."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        table.add_row("workspace", str(self.location.folder))
        store, broker = without_password(self.location.store), without_password(self.location.broker)
        table.add_row("store", _answers(store, self.store_error, store_warning(self.location)))
        table.add_row("broker", _answers(broker, self.broker_error, broker_warning(self.location)))
        table.add_row("daemon", _daemon(self.daemon))
        if self.identity is not None:
            table.add_row("processes", counts_text(self.counts))
            table.add_row("backlog", _backlog(self.backlog, self.workers))
        show(table)
        if self.workers:
            put()
            show(worker_table(self.workers, now))
            for line in trouble_lines(self.workers, now):
                show(line)


def overview(location: Location) -> Overview:
    """Ask store, broker and daemon, each whatever the others answer.

    Whether the store takes writes is tried if some worker is in trouble, or its heartbeat has expired.
    """
    found: dict[str, Any] = {}
    with Workspace(location) as home:
        try:
            found["workers"] = sorted(home.store.workers(), key=lambda worker: (worker.host, worker.name))
            found["counts"] = home.store.counts()
            found["backlog"] = home.store.backlog()
            found["identity"] = home.store.identity
            if any(one.troubles or not alive(one, time.time()) for one in found["workers"]):
                home.store.try_write(within=WRITE_SECONDS)
        except PersistenceError as error:
            found["store_error"] = _sentence(error)
        try:
            if "identity" in found:
                _ = home.communicator
            else:  # what is there is named after the store
                quince_messaging.connect(location.broker).close()
        except MessagingError as error:
            found["broker_error"] = _sentence(error)
    return Overview(location, daemon.state(location), **found)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())


def _answers(where: str, error: str | None, warning: str | None) -> Styled:
    sign = ("✔ ", "green") if error is None else ("✘ ", "bold red")
    beside = [(error, "red")] if error is not None else []
    beside += [(warning, "yellow")] if warning is not None else []
    return Text.assemble(sign, where, *(part for line in beside for part in (NEWLINE, line)))


def _daemon(state: daemon.DaemonState) -> Styled:
    if state.running:
        beside = [(line, "yellow") for line in (orphans_sentence(state), *state.troubles) if line]
        parts = [part for line in beside for part in (NEWLINE, line)]
        return Text.assemble(("✔ ", "green"), daemon_sentence(state), *parts)
    if state.elsewhere or state.orphans:
        return Text.assemble(("○ ", "yellow"), state.elsewhere or orphans_sentence(state))
    return Text.assemble(("○ ", "dim"), "none on this host; `quince daemon start` starts it")


def _backlog(backlog: Mapping[str, int], workers: Sequence[WorkerRow]) -> str:
    served = {queue for worker in workers for queue in worker.queues}
    parts = [
        f"{count} in {queue}" + ("" if queue in served or not served else " (which no worker consumes)")
        for queue, count in sorted(backlog.items())
        if count
    ]
    return ", ".join(parts) or "empty"
