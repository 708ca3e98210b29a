"""The outline of a process and its tree as they are drawn by `quince graph`, with links."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from quince.monitor.code import marked
from quince.monitor.graph.boxes import Box, Graph, Shape
from quince.monitor.graph.outlines import outline_graph
from quince.monitor.graph.processes import tree_graph
from quince.monitor.graph.svg import svg_of
from quince.web.site import Site, site_of

MOST = 100
"""Processes of a tree that are drawn."""
LARGEST = 170_000
"""Bytes of both drawings."""


def graph(request: Request) -> Response:
    """The page `/process/17/graph`."""
    site, pid = site_of(request), request.path_params["pid"]
    top = site.monitor.tree(pid, limit=MOST)
    code = marked(site.monitor.code(top.row.class_path), top.row.step)
    link = _links(site)
    tree = _drawn(tree_graph(top), link, LARGEST)
    outline = None if code.error else _drawn(outline_graph(code), link, LARGEST - len(tree or ""))
    return site.page(
        "graph.html", "/processes", watch="*", tab="/graph", row=top.row, tree=tree, outline=outline,
        problem=code.error,
    )  # fmt: skip


def _drawn(drawn: Graph, link: Callable[[Box], str | None], most: int) -> Markup | None:
    """The drawing, in which all that users have written is escaped; None: it is too large for a page."""
    text = svg_of(drawn, link).encode("ascii", "xmlcharrefreplace").decode()
    return Markup(text) if len(text) <= most else None


def _links(site: Site) -> Callable[[Box], str | None]:
    """Where the boxes lead: to the process; to the list of the children that are left out."""

    def link(box: Box) -> str | None:
        if box.shape is Shape.PROCESS:
            return site.url(f"/process/{box.name[1:]}")
        return site.url("/processes", parent=box.name[1:]) if box.shape is Shape.MORE else None

    return link
