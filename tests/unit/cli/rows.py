"""Rows made by hand."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from quince_persistence.records import ProcessRow, State

BASE = ProcessRow(
    pid=7,
    parent=None,
    root=7,
    class_path="flows:Family",
    class_version="1",
    state=State.CREATED,
    paused=False,
    ready=True,
    owner=None,
    epoch=0,
    queue="default",
    priority=0,
    key=None,
    intent=None,
    intent_reason=None,
    status=None,
    step=None,
    awaiting=0,
    due=None,
    deaths=0,
    exit_status=None,
    exit_message=None,
    created=1_700_000_000.0,
    updated=1_700_000_001.0,
    ended=None,
)


def row(**changes: Any) -> ProcessRow:
    """A process just created, but for `changes`."""
    return replace(BASE, **changes)
