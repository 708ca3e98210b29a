"""Workers and queues, limits, schedules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from quince.moments import span
from quince.monitor.fleet import Limit, ScheduleView
from quince.processes.limits import said_of_rate
from quince.web.site import site_of
from quince_persistence.records.limits import LimitRow
from quince_persistence.records.schedules import Schedule, ScheduleLine, ScheduleRow

SHOWN = 12
PER_PAGE = 20
"""Limits and schedules, each with its forms, on one page."""


def workers(request: Request) -> Response:
    """The page `/workers`."""
    site = site_of(request)
    found = sorted(site.monitor.workers(), key=lambda one: not one.alive)
    return site.page(
        "workers.html", "/workers", watch="*", workers=found[:200], queues=site.monitor.queues()[:200]
    )


@dataclass(frozen=True)
class LimitLine:
    """A limit in words."""

    row: LimitRow
    slots: str
    rate: str
    is_set: bool
    holders: list[int]
    waiting: list[int]


def limits(request: Request) -> Response:
    """The page `/limits`."""
    site = site_of(request)
    found, further = _page(request, site.monitor.limits())
    return site.page(
        "limits.html", "/limits", watch="*", limits=[_limit(one) for one in found], further=further
    )


_Named = TypeVar("_Named", Limit, ScheduleView)


def _page(request: Request, found: Sequence[_Named]) -> tuple[Sequence[_Named], str | None]:
    """Those behind the name `after`, some at a time, and where the next ones are."""
    after = request.query_params.get("after", "")
    behind = sorted((one for one in found if one.row.name > after), key=lambda one: one.row.name)
    shown = behind[:PER_PAGE]
    return shown, f"?{urlencode({'after': shown[-1].row.name})}" if len(behind) > PER_PAGE else None


def _limit(one: Limit) -> LimitLine:
    row = one.row
    slots = "any number" if row.slots is None else str(row.slots)
    rate = "" if row.rate is None or row.per is None else said_of_rate(row.rate, row.per)
    is_set = row.slots is not None or bool(rate)
    if not is_set:
        slots = "not set"
    return LimitLine(row, slots, rate, is_set, list(one.holders[:SHOWN]), list(one.waiting[:SHOWN]))


@dataclass(frozen=True)
class ScheduleEntry:
    """A schedule in words."""

    row: ScheduleRow
    last_state: str | None
    times: str
    lines: list[ScheduleLine]


def schedules(request: Request) -> Response:
    """The page `/schedules`."""
    site = site_of(request)
    found, further = _page(request, site.monitor.schedules())
    return site.page(
        "schedules.html",
        "/schedules",
        watch="*",
        schedules=[_schedule(one) for one in found],
        further=further,
    )


def _schedule(one: ScheduleView) -> ScheduleEntry:
    lines = list(reversed(one.row.state.lines[-SHOWN:]))
    return ScheduleEntry(one.row, one.last_state, _times(one.row.schedule), lines)


def _times(schedule: Schedule) -> str:
    times = f"{schedule.cron} {schedule.zone}"
    if schedule.cron is None:
        times = f"every {timedelta(seconds=schedule.every or 0)}"
    return f"{times}, up to {span(schedule.jitter)} late" if schedule.jitter else times
