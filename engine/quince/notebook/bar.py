"""A bar in a notebook while one waits for processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from quince.monitor.monitor import Monitor
from quince.monitor.rows import Row
from quince.notebook.html import FAINT, Html, element, joined
from quince.notebook.views import heading
from quince.showing import notebook_shell
from quince.workspace.workspace import Workspace
from quince_persistence.errors import PersistenceError
from quince_persistence.records import ProcessRow

AFTER = 0.5
"""Seconds of waiting after which it comes."""
EVERY = 0.5
"""Seconds between two drawings."""
SHARE = 9
"""After a drawing for which a second was read, the next one is so many seconds later."""


class Bar:
    """Shows how the processes stand that are waited for; drawn from whatever thread waits.

    Args:
        shell: That of the notebook.
    """

    def __init__(self, workspace: Workspace, shell: Any = None) -> None:
        self._monitor = Monitor(workspace)
        self._shell = notebook_shell() if shell is None else shell
        self._due = time.monotonic() + AFTER
        self._id: str | None = None

    def look(self, rows: Sequence[ProcessRow]) -> None:
        """Draw them, if it is time."""
        over = all(row.terminated for row in rows)
        began = time.monotonic()
        if began < self._due and not (over and self._id):
            return
        self._draw(joined(self._line(row) for row in self._monitor.rows(rows)))
        now = time.monotonic()
        self._due = float("inf") if over else now + max(EVERY, SHARE * (now - began))

    def _line(self, row: Row) -> Html:
        done, total, said = self._share(row)
        known = {} if total is None else {"value": f"{done:g}", "max": f"{total:g}"}
        bar = element("progress", style="vertical-align: middle", **known)
        return element("div", bar, " ", heading(row, row.doing), "  ", element("span", said, style=FAINT))

    def _share(self, row: Row) -> tuple[float, float | None, str]:
        """How much of how much: what its step says, else its children; None: nobody knows."""
        if row.terminated:
            return 1, 1, ""
        if row.progress is not None and row.progress.total:
            return row.progress.done, row.progress.total, ""
        try:
            node = self._monitor.tree(row.pid, depth=0)
        except PersistenceError:
            return 0, None, ""
        if not node.child_count:
            return 0, None, ""
        return node.ended, node.child_count, f"{node.ended}/{node.child_count} children"

    def _draw(self, html: str) -> None:
        data = {"text/html": html, "text/plain": ""}
        publisher = self._shell.display_pub
        if self._id is None:
            self._id = f"quince-{id(self)}-{time.time()}"
            publisher.publish(data, transient={"display_id": self._id})
        else:
            publisher.publish(data, transient={"display_id": self._id}, update=True)
