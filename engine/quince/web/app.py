"""The application: which address leads to which page, and what is said when something goes wrong."""

from __future__ import annotations

from http import HTTPStatus
from importlib.resources import files

from starlette.applications import Starlette
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from quince.errors import InvalidFilter, ProcessNotFound
from quince.messages import LARGEST_PID
from quince.web import controls, live
from quince.web.guard import Guard
from quince.web.pages import fleet, graphs, metrics, overview, process, processes, trees
from quince.web.site import Site, site_of
from quince_persistence.errors import PersistenceError

_STATIC = {one.name: one for one in (files("quince.web") / "static").iterdir()}
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class _Pid(Convertor[int]):
    """A pid in an address."""

    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return min(int(value), LARGEST_PID)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("pid", _Pid())


def make_app(site: Site) -> ASGIApp:
    """The application of one server."""
    routes = [
        Route("/", overview.overview),
        Route("/processes", processes.processes),
        Route("/find", processes.find),
        Route("/process/{pid:pid}", process.process),
        Route("/process/{pid:pid}/tree", trees.tree),
        Route("/process/{pid:pid}/branch", trees.branch),
        Route("/process/{pid:pid}/graph", graphs.graph),
        Route("/process/{pid:pid}/timeline", trees.timeline),
        Route("/process/{pid:pid}/output", process.output),
        Route("/process/{pid:pid}/history", process.history),
        Route("/process/{pid:pid}/picture", process.picture),
        Route("/schedules", fleet.schedules),
        Route("/limits", fleet.limits),
        Route("/workers", fleet.workers),
        Route("/control", controls.answer, methods=["POST"]),
        Route("/schedule", controls.answer_schedule, methods=["POST"]),
        Route("/limit", controls.answer_limit, methods=["POST"]),
        Route("/events", live.events),
        Route("/metrics", metrics.metrics),
        Route("/static/{name}", static),
    ]
    handlers = {
        ProcessNotFound: _not_found,
        InvalidFilter: _not_found,
        PersistenceError: _store_away,
        HTTPException: _refused,
    }
    app = Starlette(routes=routes, exception_handlers=handlers)
    app.state.site = site
    return _Based(Guard(app, site.access), site.base)


class _Based:
    """Has all addresses begin with the base path, whether the proxy before us has taken it off or not."""

    def __init__(self, app: ASGIApp, base: str) -> None:
        self._app, self._base = app, base

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._base and scope["type"] == "http":
            path: str = scope["path"]
            inside = path == self._base or path.startswith(f"{self._base}/")
            scope = {**scope, "root_path": self._base, "path": path if inside else self._base + path}
        await self._app(scope, receive, send)


def static(request: Request) -> Response:
    """A file of style or script."""
    file = _STATIC.get(request.path_params["name"])
    kind = None if file is None else _TYPES.get(file.name.rpartition(".")[2])
    if file is None or kind is None:
        raise HTTPException(404)
    kept = "public, max-age=31536000, immutable" if request.url.query else "no-cache"
    return Response(file.read_bytes(), media_type=kind, headers={"Cache-Control": kept})


def _not_found(request: Request, error: Exception) -> Response:
    return _problem(request, 404, "Not here", str(error))


def _store_away(request: Request, error: Exception) -> Response:
    return _problem(request, 503, "The store does not answer", str(error))


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    return _problem(request, status, HTTPStatus(status).phrase, "There is no such page.")


def _problem(request: Request, status: int, title: str, text: str) -> Response:
    return site_of(request).page("problem.html", status=status, title=title, text=text)
