"""Schedules in words, tables and documents."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.table import Table

from quince.cli.documents import plain
from quince.cli.formatting import state_text
from quince.cli.terminal import Styled, Text
from quince.firing_times import zone_of
from quince.moments import clock, exactly, iso, span
from quince.monitor.fleet import workers_of
from quince.workspace.workspace import Workspace
from quince_persistence.codec import decode
from quince_persistence.errors import ScheduleUnreadable
from quince_persistence.records import ProcessRow
from quince_persistence.records.schedules import DamagedSchedule, Schedule, ScheduleLine, ScheduleRow

_SHOWN = 20
"""Lines of its history that are shown."""


def schedule_document(row: ScheduleRow) -> dict[str, Any]:
    """A schedule as `--json` prints it."""
    schedule = row.schedule
    return {
        "name": row.name,
        "class": schedule.class_path,
        "cron": schedule.cron,
        "every": schedule.every,
        "zone": schedule.zone,
        "starting": iso(schedule.start),
        "overlap": str(schedule.overlap),
        "catch_up": _catch_up(schedule),
        "jitter": schedule.jitter,
        "queue": schedule.queue,
        "priority": schedule.priority,
        "labels": dict(schedule.options.labels),
        "limits": list(schedule.options.limits),
        "cache": schedule.asked_for is not None,
        "paused": row.paused,
        "next": iso(row.next_at),
        "last": iso(_last(row)),
        "last_pid": row.last_pid,
        "live": list(row.state.live),
        "queued": list(row.state.queued),
        "created": iso(row.created),
    }


def damage_document(schedule: DamagedSchedule) -> dict[str, Any]:
    """One that cannot be read, as `--json` prints it."""
    return {"name": schedule.name, "unreadable": schedule.reason}


def damage_sentence(schedule: DamagedSchedule) -> str:
    """That it cannot be read, and what to do."""
    return str(ScheduleUnreadable(schedule.name, schedule.reason))


def line_document(line: ScheduleLine) -> dict[str, Any]:
    """One line of its history."""
    given = {"pid": line.pid, "moment": line.moment, "text": line.text, "author": line.author}
    return {"at": iso(line.at), "what": line.what, **{key: value for key, value in given.items() if value}}


def added_sentence(row: ScheduleRow, now: float, verb: str = "added: ") -> str:
    """When it fires next."""
    return f"{row.name} {verb}fires next {_next(row, now)}".replace(f"{row.name} fires", "fires")


def schedule_table(rows: Sequence[ScheduleRow], last: Mapping[int, ProcessRow], now: float) -> Table:
    """One line for each."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("NAME", "CLASS", "TIMES", "NEXT", "LAST", "PROCESS"):
        table.add_column(column, no_wrap=column != "TIMES")
    for row in rows:
        made = None if row.last_pid is None else last.get(row.last_pid)
        table.add_row(
            Text(row.name),
            Text(row.schedule.class_path.rpartition(":")[2]),
            Text(_times(row.schedule)),
            Text("paused", style="magenta") if row.paused else Text(_next(row, now)),
            Text("never" if (at := _last(row)) is None else f"{span(now - at)} ago"),
            Text("") if made is None else Text.assemble(f"{made.pid} ", state_text(made)),
        )
    return table


def schedule_lines(
    home: Workspace, row: ScheduleRow, last: ProcessRow | None, now: float
) -> Iterator[Styled | Table]:
    """Everything about one."""
    schedule = row.schedule
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("schedule", Text(row.name))
    table.add_row("class", Text(schedule.class_path))
    table.add_row("times", Text(_times(schedule)))
    table.add_row("next", Text("paused", style="magenta") if row.paused else Text(_next(row, now)))
    if last is not None:
        told = Text.assemble(f"{last.pid} ", state_text(last))
        if not last.terminated and last.status:
            told.append(f"  {last.status}")
        elif last.exit_message:
            told.append(f"  {last.exit_message}")
        table.add_row("last process", told)
    if schedule.asked_for is not None:
        table.add_row("cache", Text("what ended well with the same inputs serves"))
    if len(row.state.live) > 1:
        table.add_row("not ended", Text(", ".join(map(str, row.state.live))))
    if row.state.queued:
        table.add_row("in turn", Text(f"{len(row.state.queued)} follow, the first for {row.state.queued[0]}"))
    policies = f"overlap {schedule.overlap}, catch-up {_catch_up(schedule)}"
    table.add_row("policies", Text(policies))
    table.add_row("queue", Text(f"{schedule.queue}, priority {schedule.priority}"))
    for name, value in _inputs(home, row.name).items():
        table.add_row(f"input {name}", Text(str(value)))
    yield table
    for line in row.state.lines[-_SHOWN:]:
        yield Text.assemble((clock(line.at), "dim"), "  ", _words(line))


def nobody_fires(home: Workspace) -> str | None:
    """That no worker runs, which would fire schedules; None if one does."""
    if any(one.alive and one.row.queues for one in workers_of(home.store.workers(), time.time())):
        return None
    return "no worker is running: schedules fire from `quince daemon start` on"


def _words(line: ScheduleLine) -> str:
    of = f" for {line.moment}" if line.moment else ""
    made = f": process {line.pid}" if line.pid is not None else ""
    by = f" by {line.author}" if line.author else ""
    return f"{line.what}{of}{by}{made}" + (f": {line.text}" if line.text else "")


def _inputs(home: Workspace, name: str) -> Mapping[str, Any]:
    blob = home.store.schedule_inputs(name)
    return {} if blob is None else plain(decode(blob))


def _last(row: ScheduleRow) -> float | None:
    """When it was fired last, by itself or by hand."""
    made = [line.at for line in row.state.lines if line.pid is not None]
    return max([*made, *([] if row.last_at is None else [row.last_at])], default=None)


def _times(schedule: Schedule) -> str:
    times = f"{schedule.cron} {schedule.zone}"
    if schedule.cron is None:
        times = f"every {exactly(schedule.every or 0)}"
    if schedule.jitter:
        times += f", up to {exactly(schedule.jitter)} late"
    return times


def _next(row: ScheduleRow, now: float) -> str:
    if row.paused:
        return "when it is played"
    if row.next_at is None:
        return "never"
    try:
        zone = zone_of(row.schedule.zone)
    except ValueError as error:
        return str(error)
    at = datetime.fromtimestamp(row.next_at, zone)
    rest = f"in {span(row.next_at - now)}" if row.next_at > now else f"due for {span(now - row.next_at)}"
    return f"{at:%Y-%m-%d %H:%M:%S %Z} ({rest})"


def _catch_up(schedule: Schedule) -> str:
    return str(schedule.catch_up) if schedule.within is None else f"within {exactly(schedule.within)}"
