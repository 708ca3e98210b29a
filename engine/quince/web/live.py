"""Server-sent events: a page is told that something of what it shows has changed, and asks for it again."""

from __future__ import annotations

from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from quince.web.site import site_of

LEAST = 0.25
"""Seconds between two events."""
MOST_PIDS = 100
QUIET = 15
"""After so many seconds without an event a line is sent that says nothing: a broken connection shows then."""
_ALL, _TOLD = "*", "told"


def events(request: Request) -> Response:
    """The stream `/events?watch=17`: `changed` after each change, and once a second while something lives.

    `watch` is pids, or `*`; with `told` among them, changes alone are told, not each second.
    """
    words = request.query_params.get("watch", _ALL).split(",")
    pids = [int(word) for word in words if word.isdecimal() and len(word) < 20][:MOST_PIDS]
    if not pids and _ALL not in words:
        return PlainTextResponse("watch is pids, or *\n", 400)
    stream = _stream(request, pids or None, ticks=_TOLD not in words)
    return StreamingResponse(stream, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _stream(request: Request, pids: list[int] | None, *, ticks: bool) -> AsyncIterator[str]:
    site, quiet = site_of(request), 0
    yield "retry: 2000\n\n"
    with site.monitor.changes(pids, least=LEAST) as changes:
        async for change in changes:
            if change.told or ticks:
                quiet = 0
                yield f"event: changed\ndata: {'told' if change.told else 'tick'}\n\n"
            elif (quiet := quiet + 1) >= QUIET:
                quiet = 0
                yield ": here\n\n"
            if site.stopping.is_set() or await request.is_disconnected():
                return
