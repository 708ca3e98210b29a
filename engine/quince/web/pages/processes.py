"""The list of processes, with the filters of the command line in its address."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from quince.errors import InvalidFilter, ProcessNotFound
from quince.monitor.filters import WORDS, Filter, pid_named
from quince.monitor.rows import Order, Page
from quince.web.site import Site, site_of

PER_PAGE = 100
PATIENCE = 1.5
"""Seconds after which a page is as long as it is."""
_CHIPS: Sequence[tuple[str, Mapping[str, object]]] = (
    ("all", {}),
    ("running", {"states": ["running"]}),
    ("waiting", {"states": ["waiting"]}),
    ("created", {"states": ["created"]}),
    ("paused", {"states": ["paused"]}),
    ("failed", {"failed": True}),
    ("finished", {"states": ["finished"]}),
    ("killed", {"states": ["killed"]}),
)
_BOXES = frozenset({"text", "class", "label", "state", "since", "queue", "failed"})
"""What the form itself says."""


def processes(request: Request) -> Response:
    """The page `/processes`."""
    site = site_of(request)
    chosen = Filter.from_query(request.query_params.multi_items())
    page, problem = Page([]), None
    try:
        page = _page(site, chosen, request.query_params.get("after"))
    except (InvalidFilter, ProcessNotFound) as error:
        problem = str(error)
    return site.page(
        "processes.html", "/processes", watch=None if "after" in request.query_params else "*",
        status=400 if problem else 200, page=page, filter=chosen, problem=problem,
        chips=[(name, chosen.query(**_alone(given)), _is_at(chosen, given)) for name, given in _CHIPS],
        others=_others(chosen), next=_next(site, chosen, page), per_page=PER_PAGE,
    )  # fmt: skip


def _page(site: Site, chosen: Filter, after: str | None) -> Page:
    """A page; where what is looked for is rare, it is looked for a little longer."""
    page, until = Page([], after), time.monotonic() + PATIENCE
    while True:
        room = PER_PAGE - len(page.rows)
        further = site.monitor.processes(chosen, order=Order.LIVE, after=page.next, limit=room)
        page = Page([*page.rows, *further.rows], further.next, further.missing)
        if page.next is None or len(page.rows) >= PER_PAGE or time.monotonic() > until:
            return page


def find(request: Request) -> Response:
    """The page `/find`: where the words that somebody has written lead."""
    site, text = site_of(request), request.query_params.get("q", "").strip()
    if text and " " not in text and "=" not in text:
        try:
            pid = pid_named(site.home, text)
            site.monitor.row(pid)
            return RedirectResponse(site.url(f"/process/{pid}"), 303)
        except (InvalidFilter, ProcessNotFound):
            pass
    try:
        query = Filter.from_words(text).query()
    except InvalidFilter:
        query = urlencode({"text": text})
    return RedirectResponse(site.url("/processes") + (f"?{query}" if query else ""), 303)


def _alone(given: Mapping[str, object]) -> Mapping[str, object]:
    return {"states": None, "failed": False, **given}


def _is_at(chosen: Filter, given: Mapping[str, object]) -> bool:
    return all(getattr(chosen, name) == value for name, value in _alone(given).items())


def _others(chosen: Filter) -> list[tuple[str, str]]:
    """What the address says beside the boxes of the form."""
    found = []
    for field, word in WORDS.items():
        value = getattr(chosen, field)
        if value and word.name not in _BOXES:
            found += [(word.name, str(one)) for one in (value if isinstance(value, list) else [value])]
    return [(name, "1" if value == "True" else value) for name, value in found]


def _next(site: Site, chosen: Filter, page: Page) -> str | None:
    if page.next is None:
        return None
    query = chosen.query()
    return site.url("/processes") + "?" + (f"{query}&" if query else "") + urlencode({"after": page.next})
