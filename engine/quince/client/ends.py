"""Spans of processes that no worker has ended: who has done it sends these, if `quince.toml` wants traces."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from quince.workspace.workspace import Workspace
from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger("quince")


def trace_ends(workspace: Workspace, pids: Sequence[int]) -> None:
    """In the background. Whatever comes of it, nothing here ends at it."""
    traces = workspace.location.traces
    if traces is None or not pids:
        return

    def send() -> None:
        try:
            collector = import_module("quince.tracing.collector")
            collector.send_ends(traces, workspace.store, pids)
        except Exception as error:
            _log.info("spans of what has ended are lost: %(error)s", error=error, count=len(pids))

    workspace.background.post(send)
