"""The tree of a process, folded by depth and by pages; its timeline with the critical path."""

from __future__ import annotations

from collections import defaultdict

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from quince.monitor.history import Bar, Durations
from quince.monitor.rows import Row
from quince.monitor.spent import durations_of
from quince.monitor.timelines import Timeline
from quince.web.gantt import drawing
from quince.web.site import Site, site_of
from quince.web.templating import call

MOST_NODES = 150
"""Of a tree, on one page; and of a branch that is unfolded."""
MOST_CHILDREN = 20_000
LANES = 150
"""Of a timeline, on one page."""
MOST_BARS = 900


def tree(request: Request) -> Response:
    """The page `/process/17/tree`."""
    site, pid = site_of(request), request.path_params["pid"]
    top = site.monitor.tree(pid, limit=MOST_NODES)
    return site.page("tree.html", "/processes", watch="*", tab="/tree", row=top.row, tree=top)


def branch(request: Request) -> Response:
    """A piece of a tree: the children of a process behind that of the pid `after`, some at a time."""
    site, pid = site_of(request), request.path_params["pid"]
    asked = request.query_params.get("after", "")
    after = int(asked) if asked.isdecimal() and len(asked) < 20 else 0
    top = site.monitor.tree(pid, depth=1, limit=MOST_CHILDREN)
    behind = [node for node in top.children if node.pid > after]
    shown, left = behind[:MOST_NODES], len(behind) - MOST_NODES + top.hidden
    return HTMLResponse(call("branches.html", "branch", site, pid, shown, max(0, left)))


def timeline(request: Request) -> Response:
    """The page `/process/17/timeline`."""
    site, pid = site_of(request), request.path_params["pid"]
    line = site.monitor.timeline(pid)
    asked = request.query_params.get("from", "0")
    first = int(asked) if asked.isdecimal() and len(asked) < 9 else 0
    order = [row.pid for row in line.rows]
    shown = _shown(order[first : first + LANES], line)
    names = {row.pid: row.name for row in line.rows}
    return site.page(
        "timeline.html", "/processes", watch="*", tab="/timeline", row=_row(line, pid), line=line,
        length=line.end - line.start, drawing=drawing(line.bars, names, shown),
        critical=_critical(line), pages=_pages(site, pid, first, len(shown), len(order)),
    )  # fmt: skip


def _shown(page: list[int], line: Timeline) -> list[int]:
    """So many of them that the drawing stays small."""
    bars: dict[int, int] = defaultdict(int)
    for bar in line.bars:
        bars[bar.pid] += 1
    shown: list[int] = []
    left = MOST_BARS
    for pid in page:
        if shown and left < bars[pid]:
            break
        left -= bars[pid]
        shown.append(pid)
    return shown


def _row(line: Timeline, pid: int) -> Row:
    return next(row for row in line.rows if row.pid == pid)


def _critical(line: Timeline) -> list[tuple[Row, Durations]]:
    """The processes of the critical path, each with how its time was spent."""
    if len(line.critical) < 2:
        return []
    rows = {row.pid: row for row in line.rows}
    of: dict[int, list[Bar]] = defaultdict(list)
    for bar in line.bars:
        of[bar.pid].append(bar)
    return [(rows[pid], durations_of(of[pid])) for pid in line.critical if pid in rows][:LANES]


def _pages(site: Site, pid: int, first: int, shown: int, all_: int) -> list[tuple[str, str]]:
    here = f"/process/{pid}/timeline"
    pages = [] if first == 0 else [("The first", site.url(here))]
    if first + shown < all_:
        pages.append((f"Further ({all_ - first - shown:,})", site.url(here, **{"from": first + shown})))
    return pages
