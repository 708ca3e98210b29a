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
from quince.moments import iso, span
from quince.monitor.fleet import Worker, workers_of
from quince.monitor.overview import FAILURE_SECONDS
from quince.text import in_line
from quince.troubles import grave
from quince.workspace.link_warnings import broker_warning, store_warning
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace, open_store
from quince_messaging.errors import MessagingError
from quince_messaging.passwords import without_password
from quince_persistence.errors import PersistenceError
from quince_persistence.records import State
from quince_persistence.records.limits import LimitRow
from quince_persistence.records.notices import ReceiverRow
from quince_persistence.records.schedules import ScheduleRow

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


Failure = tuple[str, State, int | None]
"""Class path, state, exit status."""

WRITE_SECONDS = 2.0
"""How long a write that changes nothing may take, which is tried if some worker is in trouble."""


@dataclass(frozen=True)
class Overview:
    """What was found; an error is the sentence that says why something is unreachable, or takes no writes."""

    location: Location
    daemon: daemon.DaemonState
    store_error: str | None = None
    broker_error: str | None = None
    workers: Sequence[Worker] = ()
    counts: Mapping[State, int] = field(default_factory=dict)
    paused: Mapping[State, int] = field(default_factory=dict)
    backlog: Mapping[str, int] = field(default_factory=dict)
    limits: Sequence[LimitRow] = ()
    failures: Mapping[Failure, int] = field(default_factory=dict)
    identity: str | None = None
    schedules: Sequence[ScheduleRow] = ()
    receivers: Sequence[ReceiverRow] = ()

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
            "workers": [worker_document(worker.row) for worker in self.workers],
            "counts": {state.value: self.counts.get(state, 0) for state in State},
            "paused": sum(self.paused.values()),
            "backlog": dict(self.backlog),
            "limits": {row.name: {"held": row.held, "waiting": row.waiting} for row in self.limits},
            "failures": {
                "hours": FAILURE_SECONDS / 3600,
                "count": sum(self.failures.values()),
                "of": [
                    {"class": path, "state": state.value, "exit_status": status, "count": count}
                    for (path, state, status), count in _most(self.failures)
                ],
            },
            "notices": {row.name: {"pending": row.pending, "error": row.error} for row in self.receivers},
            "schedules": {"count": len(self.schedules), "next": iso(_soonest(self.schedules))},
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
            table.add_row("processes", counts_text(self.counts, self.paused))
            table.add_row("backlog", _backlog(self.backlog, self.workers))
            if waiting := [row for row in self.limits if row.waiting]:
                table.add_row("limits", ", ".join(f"{row.waiting} wait for {row.name}" for row in waiting))
            table.add_row("failures", _failures(self.failures))
        if unsent := [row for row in self.receivers if row.pending]:
            table.add_row("notices", "\n".join(map(_receiver, unsent)))
        if served := sorted(one.row.metrics for one in self.workers if one.row.metrics):
            table.add_row("metrics", in_line(", ".join(f"http://{one}/metrics" for one in served)))
        if self.schedules:
            table.add_row("schedules", _schedules(self.schedules, now))
        show(table)
        if self.workers:
            put()
            show(worker_table(self.workers))
            for line in trouble_lines(self.workers):
                show(line)


def overview(location: Location) -> Overview:
    """Ask store, broker and daemon, each whatever the others answer.

    Whether the store takes writes is tried if some worker is in trouble, or its heartbeat has expired.
    """
    found: dict[str, Any] = {}
    with Workspace(location) as home:
        try:
            found["workers"] = workers_of(home.store.workers(), time.time())
            found["counts"] = home.store.counts()
            found["paused"] = home.store.paused_counts()
            found["backlog"] = home.store.backlog()
            found["failures"] = home.store.failures(time.time() - FAILURE_SECONDS)
            found["limits"] = home.store.limits()
            found["identity"] = home.store.identity
            found["schedules"] = home.store.schedules()
            found["receivers"] = home.store.receivers()
            if any(grave(one.row.troubles) or not one.alive for one in found["workers"]):
                with open_store(location, patience=WRITE_SECONDS) as trial:  # which is closed as soon
                    trial.try_write(within=WRITE_SECONDS)
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


def _soonest(schedules: Sequence[ScheduleRow]) -> float | None:
    return min((row.next_at for row in schedules if row.next_at is not None), default=None)


def _schedules(schedules: Sequence[ScheduleRow], now: float) -> str:
    paused = sum(row.paused for row in schedules)
    count = f"{len(schedules)} schedule{'s' if len(schedules) > 1 else ''}"
    parts = [f"{count}, {paused} of them paused" if paused else count]
    if (soonest := _soonest(schedules)) is not None:
        parts.append(f"the next fires in {span(soonest - now)}")
    return "; ".join(parts)


def _receiver(row: ReceiverRow) -> str:
    why = f": {row.error}" if row.error else ""
    return in_line(f"{row.pending} are still to be sent to {row.name}{why}")


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


def _backlog(backlog: Mapping[str, int], workers: Sequence[Worker]) -> str:
    served = {queue for worker in workers for queue in worker.row.queues}
    parts = [
        f"{count} in {queue}" + ("" if queue in served or not served else " (which no worker consumes)")
        for queue, count in sorted(backlog.items())
        if count
    ]
    return ", ".join(parts) or "empty"


def _most(failures: Mapping[Failure, int]) -> list[tuple[Failure, int]]:
    """The most frequent ones first."""
    return sorted(failures.items(), key=lambda one: (-one[1], one[0][0], one[0][1], one[0][2] or 0))


def _failures(failures: Mapping[Failure, int]) -> str:
    """`3 in the last 24 h: 2 Relax (exit 410), 1 Sum (excepted)`."""
    if not failures:
        return "none in the last 24 h"
    shown = [
        f"{count} {in_line(path.rpartition(':')[2])} ({f'exit {status}' if status else state.value})"
        for (path, state, status), count in _most(failures)[:SHOWN]
    ]
    more = ", ..." if len(failures) > SHOWN else ""
    total = sum(failures.values())
    return f"{total} in the last 24 h: {', '.join(shown)}{more} (`quince ps --failed --ended-since 1d`)"


SHOWN = 5
"""Kinds of failures that are named."""
