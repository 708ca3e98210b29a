"""The overview: what runs, what failed, what waits and for what, how much has ended lately."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from starlette.requests import Request
from starlette.responses import Response

from quince.monitor.filters import Filter
from quince.monitor.overview import MINUTES, Overview, Throughput
from quince.monitor.words import Shown, glance
from quince.web.site import Site, site_of

NAMED = 8
SHOWN = 10
_HEIGHT = 56.0
_NOTHING = Throughput([0] * MINUTES, [0] * MINUTES)


@dataclass(frozen=True)
class Tile:
    """A number with its name, that leads to what it counts; None: it is being counted."""

    name: str
    number: int | None
    kind: str
    link: str


@dataclass(frozen=True)
class Column:
    """A minute of the throughput, in the units of the drawing."""

    well: float
    bad: float
    said: str


def overview(request: Request) -> Response:
    """The page `/`."""
    site = site_of(request)
    view = site.monitor.overview()
    view = _shortened(view)
    waiting, paused = (
        site.monitor.processes(Filter(states=[state]), limit=NAMED).rows for state in ("waiting", "paused")
    )
    told = view.throughput or _NOTHING
    ended = None if view.throughput is None else sum(told.per_minute)
    return site.page(
        "overview.html", "/", watch="*", view=view, waiting=waiting, paused=paused, tiles=_tiles(site, view),
        columns=_columns(told), minutes=len(told.per_minute), ended=ended, waits=_waits(site, view),
        causes=_causes(site, view), troubles=_troubles(view),
    )  # fmt: skip


def _troubles(view: Overview) -> Sequence[str]:
    return [f"{one.row.name}: {line}" for one in view.workers if one.alive for line in one.row.troubles]


def _shortened(view: Overview) -> Overview:
    return replace(view, running=view.running[:SHOWN], failed=view.failed[:SHOWN])


def _tiles(site: Site, view: Overview) -> Sequence[Tile]:
    counts = None if view.counts is None else glance(view.counts, view.paused)
    failed = None if view.failures is None else sum(view.failures.values())
    link = site.url

    def that_are(shown: Shown) -> int | None:
        return None if counts is None else counts.get(shown, 0)

    return (
        Tile("running", that_are(Shown.RUNNING), "running", link("/processes", state="running")),
        Tile("waiting", that_are(Shown.WAITING), "waiting", link("/processes", state="waiting")),
        Tile("queued", view.waits.get("queued", 0), "queued", link("/processes", state="created")),
        Tile("paused", view.waits.get("paused", 0), "paused", link("/processes", state="paused")),
        Tile("failed today", failed, "excepted", link("/processes", failed=1, **{"ended-since": "1d"})),
        Tile("finished", that_are(Shown.FINISHED), "finished", link("/processes", state="finished")),
    )


def _columns(told: Throughput) -> Sequence[Column]:
    most = max(*told.per_minute, 1)
    scale, last = _HEIGHT / most, len(told.per_minute) - 1
    return [
        Column(
            round(well * scale, 2),
            round((all_ - well) * scale, 2),
            f"{all_} ended, {well} of them well, "
            + ("in this minute" if number == last else f"{last - number} min ago"),
        )
        for number, (all_, well) in enumerate(zip(told.per_minute, told.well, strict=True))
    ]


def _waits(site: Site, view: Overview) -> Sequence[tuple[str, int, str]]:
    words = {
        "queued": ("for a worker", site.url("/processes", state="created")),
        "limits": ("for a limit", site.url("/limits")),
        "paused": ("paused, until they are played", site.url("/processes", state="paused")),
    }
    return [(words[name][0], number, words[name][1]) for name, number in view.waits.items() if number]


def _causes(site: Site, view: Overview) -> Sequence[tuple[str, int, str]]:
    """The most frequent failures."""
    ranked = sorted((view.failures or {}).items(), key=lambda one: (-one[1], str(one[0])))[:NAMED]
    return [
        (
            f"{path.rpartition(':')[2]} ({f'exit {status}' if status else state})",
            number,
            site.url("/processes", failed=1, state=state, **{"class": path, "ended-since": "1d"}),
        )
        for (path, state, status), number in ranked
    ]
