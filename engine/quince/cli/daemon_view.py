"""The daemon, in sentences for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from quince.daemon import operations as daemon
from quince.daemon.files import Settings
from quince.daemon.orphans import Orphan


def daemon_sentence(state: daemon.DaemonState) -> str:
    """One line about a daemon that runs."""
    settings = state.settings or Settings()
    queues = "" if settings.queues == ("default",) else f", queues {', '.join(settings.queues)}"
    size = f"{worker_count(settings.workers)} of {settings.slots} slots{queues}"
    return f"the daemon runs as process {state.ospid}: {size}"


def orphans_sentence(state: daemon.DaemonState) -> str:
    """One line about workers that have outlived their daemon; empty if there are none."""
    if not state.orphans:
        return ""
    names = orphan_names(state.orphans)
    lead = f"{names} of an earlier daemon" if state.running else f"the daemon was killed; {names}"
    verb = "live" if len(state.orphans) > 1 else "lives"
    return f"{lead} still {verb}; `quince daemon stop` ends everything"


def daemon_document(state: daemon.DaemonState) -> dict[str, Any]:
    """The daemon as JSON."""
    settings = state.settings
    return {
        "running": state.running,
        "process": state.ospid,
        "elsewhere": state.elsewhere,
        "wanted": settings.workers if settings and state.running else 0,
        "troubles": state.troubles,
        "survivors": [{"name": left.name, "process": left.ospid} for left in state.orphans],
    }


def orphan_names(left: Sequence[Orphan]) -> str:
    """`worker-1 (process 12), worker-2 (process 13)`."""
    return ", ".join(str(one) for one in left)


def worker_count(workers: int) -> str:
    """`1 worker`, `2 workers`."""
    return "1 worker" if workers == 1 else f"{workers} workers"
