"""What all pages of one server share: its addresses, its workspace, its model, its guard."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse

from quince.monitor.monitor import Monitor
from quince.web.access import Access
from quince.web.templating import render, stamp
from quince.workspace.workspace import Workspace

PAGES = (
    ("Overview", "/"),
    ("Processes", "/processes"),
    ("Schedules", "/schedules"),
    ("Limits", "/limits"),
    ("Workers", "/workers"),
)


@dataclass(frozen=True)
class Site:
    """One server.

    Attributes:
        home: The workspace that it shows.
        monitor: What it reads.
        author: Who is said to have asked for what is asked for here.
        stopping: It is to end: streams are not kept open.
    """

    home: Workspace
    monitor: Monitor
    access: Access
    author: str
    stopping: threading.Event = field(default_factory=threading.Event)

    pages = PAGES
    version = version("quince")

    @property
    def base(self) -> str:
        """Before all addresses."""
        return self.access.base_path

    @property
    def folder(self) -> str:
        """That of the workspace."""
        return str(self.home.location.folder)

    @property
    def form_key(self) -> str:
        """What every form carries along."""
        return self.access.form_key

    def url(self, path: str, **query: Any) -> str:
        """The address of a page."""
        given = {name: value for name, value in query.items() if value is not None}
        return f"{self.base}{path}" + (f"?{urlencode(given)}" if given else "")

    def asset(self, name: str) -> str:
        """The address of a file of style or script."""
        return f"{self.base}/static/{name}?{stamp(name)}"

    def page(
        self,
        template: str,
        here: str | None = None,
        *,
        watch: str | None = None,
        status: int = 200,
        **values: Any,
    ) -> HTMLResponse:
        """A page, as it is sent.

        Args:
            here: Which of the pages in the bar above it is.
            watch: The pids whose changes it shows, `*` for all; None: it shows what does not change.
        """
        named: Mapping[str, Any] = {**values, "site": self, "here": here}
        if watch is not None:
            named = {**named, "events": self.url("/events", watch=watch)}
        return HTMLResponse(render(template, **named), status)


def site_of(request: Request) -> Site:
    """The server that is asked."""
    site: Site = request.app.state.site
    return site
