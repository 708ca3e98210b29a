"""The daemon and its workers, in sentences and a table for people and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from quince.cli.terminal import Styled, Text
from quince.daemon import operations as daemon
from quince.daemon.files import Settings
from quince.moments import span
from quince.monitor.fleet import Worker
from quince.monitor.words import class_name
from quince.settings import EXPIRY_SECONDS
from quince.troubles import grave
from quince_persistence.records import ProcessRow


def daemon_sentence(state: daemon.DaemonState) -> str:
    """One line about a daemon that runs."""
    settings = state.settings or Settings()
    queues = "" if settings.queues == ("default",) else f", queues {', '.join(settings.queues)}"
    size = f"{worker_count(settings.workers)} of {settings.slots} slots{queues}"
    return f"the daemon runs as process {state.ospid}: {size}"


NAMED = 5
"""Processes that are named one by one."""


def running_sentence(rows: Sequence[ProcessRow]) -> str:
    """`17 Relax (run), 18 Scan (collect) and 3 more`."""
    first = sorted(rows, key=lambda row: row.pid)[:NAMED]
    named = ", ".join(f"{row.pid} {class_name(row)}{f' ({row.step})' if row.step else ''}" for row in first)
    return f"{named} and {len(rows) - NAMED} more" if len(rows) > NAMED else named


def orphans_sentence(state: daemon.DaemonState) -> str:
    """One line about workers that have outlived their daemon; empty if there are none."""
    return f"{state.survivors}; `quince daemon stop` ends everything" if state.orphans else ""


def daemon_document(state: daemon.DaemonState) -> dict[str, Any]:
    """The daemon as JSON."""
    settings = state.settings
    return {
        "running": state.running,
        "process": state.ospid,
        "elsewhere": state.elsewhere,
        "wanted": settings.workers if settings and state.running else 0,
        "troubles": state.troubles,
        "survivors": [{"name": left.name, "process": left.ospid} for left in state.orphans],
    }


def worker_count(workers: int) -> str:
    """`1 worker`, `2 workers`."""
    return "1 worker" if workers == 1 else f"{workers} workers"


def worker_table(workers: Sequence[Worker], step_hosts: Mapping[str, int] | None = None) -> Table:
    """Name, where it runs, what it does, and how long ago its heart beat.

    Args:
        step_hosts: How many each has, by id, if all of them are workers of this host.
    """
    place = "HOST" if step_hosts is None else "STEP HOSTS"
    table = Table(box=None, pad_edge=False, header_style="bold dim", padding=(0, 2, 0, 0))
    for heading, right in (
        ("WORKER", False), (place, step_hosts is not None), ("PROCESS", True), ("STATE", False),
        ("HOLDS", True), ("SLOTS", True), ("QUEUES", False), ("HEARTBEAT", True), ("UP", True),
    ):  # fmt: skip
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "QUEUES")
    for worker in workers:
        row = worker.row
        table.add_row(
            row.name, row.host if step_hosts is None else str(step_hosts.get(row.id, 0)),
            str(row.ospid), _state(worker), str(row.held),
            str(row.slots), ", ".join(row.queues) or "-",
            Text(f"{span(worker.beat)} ago", style=_beat_style(worker.beat)),
            span(worker.seen - row.started),
        )  # fmt: skip
    return table


def trouble_lines(workers: Sequence[Worker]) -> list[Styled]:
    """What the workers that live find wrong with themselves, one line each."""
    return [
        Text.assemble(
            ("✘ ", "bold red") if grave([trouble]) else "  ", (f"{worker.row.name}: ", "bold"), trouble
        )
        for worker in workers
        if worker.alive
        for trouble in worker.row.troubles
    ]


def _state(worker: Worker) -> Styled:
    style = "green" if worker.state == "running" else "yellow"
    return Text(worker.state, style=style if worker.state == worker.row.state else "bold red")


def _beat_style(beat: float) -> str:
    return "dim" if beat <= EXPIRY_SECONDS / 2 else "yellow" if beat <= EXPIRY_SECONDS else "bold red"
