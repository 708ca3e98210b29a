"""Sending signals to processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quince.client.control import asked_by
from quince.client.notify import notify_signalled
from quince.processes.signals import new_signal
from quince.workspace.workspace import Workspace
from quince_persistence.records.controls import ControlOutcome


def send(
    workspace: Workspace, pids: Sequence[int], name: str, value: Any, author: str | None
) -> Sequence[ControlOutcome]:
    """Send one signal to each of these processes, in one transaction. Durable on return.

    Returns:
        One outcome for each pid, in order.
    """
    who, _ = asked_by("signal", author)
    signals = [new_signal(pid, name, value) for pid in pids]
    outcomes = workspace.store.send(signals, author=who).result()
    notify_signalled(workspace, outcomes)
    return outcomes
