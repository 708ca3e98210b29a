"""Why a process does not move: one sentence, and what it rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from quince.client.facts import Facts
from quince.client.reasons import reason
from quince.client.remarks import remarks
from quince.showing import ShowsItself
from quince.workspace.workspace import Workspace
from quince_persistence.records import OWN_QUEUE, ProcessRow


@dataclass(frozen=True, slots=True)
class Why(ShowsItself):
    """The reason why a process stands where it stands.

    Attributes:
        pid: The process.
        sentence: The reason, for people.
        evidence: What the sentence rests on, a line each.
    """

    pid: int
    sentence: str
    evidence: Sequence[str] = ()


def why(workspace: Workspace, pid: int) -> Why:
    """Why the process is not running now, or that it is.

    Needs the store alone: neither a daemon nor a broker.

    Raises:
        ProcessNotFound: there is no such process.
    """
    row = workspace.store.get(pid)
    if row is None:
        raise workspace.not_found(pid)
    facts = Facts(workspace, row)
    sentence, evidence = reason(facts)
    return Why(pid, sentence, (*evidence, *remarks(facts)))


def nobody_works(workspace: Workspace, row: ProcessRow) -> str | None:
    """That no worker will take a process up, and what starts one; None if one will, or none is needed."""
    if row.terminated or row.paused or row.owner is not None or row.queue.startswith(OWN_QUEUE):
        return None
    alive = Facts(workspace, row).living()
    if not alive:
        return "no worker is running: the process is kept until `quince daemon start`"
    if any(row.queue in worker.queues for worker in alive):
        return None
    return (
        f"no worker takes the queue {row.queue!r} now: the process is kept until one does "
        f"(`quince worker --queue {row.queue}`)"
    )
