"""One process: its outline, values, error, why; its history and what it has printed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from quince.moments import clock, span
from quince.monitor.details import Details
from quince.monitor.rows import Row
from quince.monitor.words import Shown
from quince.text import ends_of, without_passwords
from quince.web.declared import BEING_READ
from quince.web.gantt import split
from quince.web.inputs import editable
from quince.web.site import Site, site_of
from quince.web.templating import call
from quince.web.values import Gallery
from quince_persistence.codec import loading_nothing

LONGEST_ERROR = 40_000
LINES = 250
"""Of a history, on one page."""
PIECE = 65_536
BEGINNINGS = 100
"""Steps that are named for a restart."""
_KINDS = frozenset({"state", "claim", "control", "retry", "restart", "signal", "death", "attempt", "blocked"})

Fact = tuple[str, str, str | None]
"""Its name, what it is, and where it leads."""


def process(request: Request) -> Response:
    """The page `/process/17`."""
    site = site_of(request)
    with loading_nothing():
        details = site.monitor.process(_pid(request))
    row, error = details.row, details.error
    story = "" if error is None else error.traceback.strip() or f"{error.type_name}: {error.text}"
    spent = [(kind, getattr(details.durations, kind)) for kind in ("queued", "running", "waiting", "paused")]
    return _page(
        request, "process.html", "", row, details=details, ticks=details.code.error == BEING_READ,
        inputs=Gallery(details.inputs).shown, outputs=Gallery(details.outputs).shown,
        error=without_passwords(ends_of(story, LONGEST_ERROR)),
        split=call("drawings.html", "split", split(details.durations)),
        spent=[(kind, seconds) for kind, seconds in spent if seconds > 0],
        facts=_facts(site, details), editable=editable(details.inputs), beginnings=_beginnings(details),
    )  # fmt: skip


def picture(request: Request) -> Response:
    """A picture among the inputs or outputs of a process, by its number."""
    site, asked = site_of(request), request.query_params
    with loading_nothing():
        details = site.monitor.process(_pid(request))
    values = details.inputs if asked.get("of") == "inputs" else details.outputs
    pictures, number = Gallery(values).pictures, asked.get("number", "")
    if not number.isdecimal() or len(number) > 4 or int(number) >= len(pictures):
        return PlainTextResponse("there is no such picture\n", 404)
    found = pictures[int(number)]
    return Response(found.content, media_type=found.media_type)


def history(request: Request) -> Response:
    """The page `/process/17/history`: the last lines, or those behind `after`."""
    site, pid = site_of(request), _pid(request)
    row, asked = site.monitor.row(pid), request.query_params.get("after", "")
    after = int(asked) if asked.isdecimal() and len(asked) < 19 else None
    if after is None:
        lines, last = site.monitor.history(pid), True
        cut, lines = len(lines) > LINES, lines[-LINES:]
    else:
        lines, cut = site.monitor.history(pid, after=after, limit=LINES), False
        last = len(lines) < LINES
    here = f"/process/{pid}/history"
    pages = [("From the beginning", site.url(here, after=0))] if cut else []
    if not last:
        pages += [("Further", site.url(here, after=lines[-1].seq)), ("The end, live", site.url(here))]
    return _page(request, "history.html", "/history", row, lines=lines, kinds=_KINDS, pages=pages)


def output(request: Request) -> Response:
    """The page `/process/17/output`: the last piece, or that behind `after`."""
    site, pid = site_of(request), _pid(request)
    row, after = site.monitor.row(pid), request.query_params.get("after")
    piece = site.monitor.printed(pid, after=after, most=PIECE)
    text = without_passwords("\n".join(cleaned(line) for line in piece.text.split("\n")))
    return _page(request, "output.html", "/output", row, piece=piece, text=text, paged=after is not None)


def _page(
    request: Request, template: str, tab: str, row: Row, *, ticks: bool = False, **values: Any
) -> Response:
    """A page with the head of a process."""
    watch = str(row.pid) if ticks or not row.terminated else f"{row.pid},told"
    return site_of(request).page(template, "/processes", watch=watch, tab=tab, row=row, **values)


def _pid(request: Request) -> int:
    pid: int = request.path_params["pid"]
    return pid


def _facts(site: Site, details: Details) -> Sequence[Fact]:
    row, now = details.row.row, details.row.seen
    started, options = details.row.started, details.row.row.options
    queue = site.url("/processes", queue=row.queue)
    limits = "held" if row.granted else "waited for" if row.waits_for_limits else "not held"
    facts: list[tuple[str, str | None, str | None]] = [
        ("exit", details.row.exit or None, None),
        ("step", row.step, None),
        ("worker", details.row.worker, site.url("/workers")),
        ("key", row.key, None),
        ("queue", f"{row.queue}, priority {row.priority}", queue),
        (
            "limits",
            f"{', '.join(options.limits)} ({limits})" if options.limits else None,
            site.url("/limits"),
        ),
        ("made", _at(row.created, now), None),
        ("started", _at(started, now), None),
        ("ended", _at(row.ended, now), None),
        ("took", None if details.row.took is None else span(details.row.took), None),
        ("timer", None if row.due is None else f"{clock(row.due)} (in {span(row.due - now)})", None),
        ("deadline", None if row.deadline is None else clock(row.deadline), None),
        ("code", _code(details), None),
        ("retried", f"{details.retries} times" if details.retries else None, None),
        ("deaths", f"{row.deaths} in this step" if row.deaths else None, None),
        ("cache", _other(options.cached_from, "outputs of"), _link(site, options.cached_from)),
        ("restart of", _other(options.restart_of, ""), _link(site, options.restart_of)),
        ("part of", str(row.root) if row.root != row.pid else None, _link(site, row.root)),
        ("restarts from", ", ".join(details.steps[:20]) if len(details.steps) > 1 else None, None),
    ]
    return [(name, value, link) for name, value, link in facts if value is not None]


def _beginnings(details: Details) -> tuple[str, Sequence[str]]:
    """From where it is begun anew if nothing is said, and steps that can be said."""
    steps = list(details.steps[-BEGINNINGS:])
    if details.row.shown is Shown.FINISHED:
        return "the first one", steps
    if first := details.code.outline[:1]:
        steps = [name for name in (first[0].label,) if name not in details.steps] + steps
    return "where it stopped" if details.row.terminated else "where it stands", steps


def _at(moment: float | None, now: float) -> str | None:
    return None if moment is None else f"{clock(moment)} ({span(now - moment)} ago)"


def _code(details: Details) -> str | None:
    ran, now = details.revision, details.revision_now
    if ran is None or now is None:
        return ran
    return f"{ran}, as it is now" if ran == now else f"{ran}; it was changed since, and is {now} now"


def _other(pid: int | None, what: str) -> str | None:
    return None if pid is None else f"{what} {pid}".strip()


def _link(site: Site, pid: int | None) -> str | None:
    return None if pid is None else site.url(f"/process/{pid}")


_STYLES = re.compile(r"\x1b\[[0-9;:]*[mK]")


def cleaned(line: str) -> str:
    """A line as it is seen in the end: without what was written over (by progress bars), and colours."""
    return _STYLES.sub("", line.rstrip("\r").rpartition("\r")[2]).expandtabs(8).rstrip()
