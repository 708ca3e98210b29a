"""What the store knows, for Prometheus, which shows the token in a header."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from quince.errors import WorkspaceError
from quince.web.site import site_of
from quince.worker.observers import extra


def metrics(request: Request) -> Response:
    """The metrics of the store; those of workers are served by them."""
    state = request.app.state
    if not hasattr(state, "exposition"):
        try:
            module = extra("quince.metrics.exposition", "metrics")
        except WorkspaceError as error:
            return PlainTextResponse(f"{error}\n", 501)
        state.exposition = module.Exposition(site_of(request).home.store)
    body, content_type = state.exposition.answer(request.headers.get("accept", ""))
    return Response(body, headers={"Content-Type": content_type})
