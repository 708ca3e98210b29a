"""A step host with all that its steps have started: stopped, and continued, as one."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from quince.os_process import children_of


def stop_family(head: int) -> None:
    """Stop a process, its group and all its descendants. When this returns none of them goes on, and nobody
    has been made meanwhile who does."""
    _signal_group(head, signal.SIGSTOP)
    stopped = {head}
    while fresh := descendants(head) - stopped:
        for ospid in fresh:
            _signal(ospid, signal.SIGSTOP)
        stopped |= fresh


def continue_family(head: int) -> None:
    """Let them go on."""
    for ospid in descendants(head):
        _signal(ospid, signal.SIGCONT)
    _signal_group(head, signal.SIGCONT)


def descendants(head: int) -> set[int]:
    """Whom a process has started, and whom these have."""
    found: set[int] = set()
    unread = [head]
    while unread:
        children = children_of(unread.pop()) - found
        found |= children
        unread += children
    return found


def _signal(ospid: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.kill(ospid, number)


def _signal_group(head: int, number: signal.Signals) -> None:
    with suppress(OSError):
        os.killpg(head, number)
