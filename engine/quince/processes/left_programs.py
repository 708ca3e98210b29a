"""Programs of a step that have outlived the claim under which they were started: ended before others begin.

Each program carries, in its environment, the process that it is of and the epoch of the claim. Its children
inherit that, so all of them are found on their host, whoever of those that should have ended them was killed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from quince.concurrency import aside
from quince.processes.interfaces import Host
from quince.processes.orphans import everybody, send, variables_of
from quince.processes.program_guard import GUARD_VARIABLE
from quince.settings import host_name
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records import EventRow, ProcessRow

_log = StructuredLogger("quince.worker")

MARK_VARIABLE = "QUINCE_PROGRAM"
GUARDS_SECONDS = 2.0
"""Seconds in which the guards of programs may end them, before everything is killed one by one."""
LOOK_SECONDS = 0.05
TELL_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Mark:
    """Of whom a program is.

    Attributes:
        token: The process, unlike any other of any store.
        epoch: The claim under which the program was started.
    """

    token: str
    epoch: int

    @property
    def variables(self) -> dict[str, str]:
        """What its environment gets."""
        return {MARK_VARIABLE: f"{self.token}:{self.epoch}"}


class Reporting(Protocol):
    """The process whose step is to start a program."""

    row: ProcessRow
    host: Host

    def report(self, text: str) -> None: ...


async def make_way(mark: Mark, process: Reporting) -> None:
    """End what programs of earlier claims of this process have left on this host, and say so in its history;
    say there too what cannot be known. When it returns, nothing that is known is left."""
    ended = await _end_left(mark)
    if ended:
        process.report(f"ended {ended} programs that an earlier run of this step had left running")
    if process.row.deaths:
        lines: Sequence[EventRow] = await aside(process.host.store.events, process.row.pid)
        worker = next((str(line.body["worker"]) for line in reversed(lines) if "worker" in line.body), "")
        host = worker.rpartition(":")[0].rpartition(":")[0]
        if host and host != host_name():
            process.report(
                f"worker {worker} was given up for dead in this step; whether a program that it had started "
                f"still runs on {host} cannot be known here"
            )


async def _end_left(mark: Mark) -> int:
    """How many operating-system processes it were."""
    seen: set[int] = set()
    began = told = time.monotonic()
    while left := await aside(_left, mark):
        seen.update(left)
        now = time.monotonic()
        guards = [ospid for ospid, guard in left.items() if guard]
        if guards and now - began < GUARDS_SECONDS:
            _signal(mark, guards, signal.SIGUSR1)
        else:
            _signal(mark, list(left), signal.SIGKILL)
        if now - told > TELL_SECONDS:
            told = now
            _log.warning(
                "processes %(ospids)s of an earlier run of this step do not end; waiting for them",
                ospids=sorted(left),
                seconds=round(now - began),
            )
        await asyncio.sleep(LOOK_SECONDS)
    return len(seen)


def _left(mark: Mark) -> dict[int, bool]:
    """Those that live, by process id: whether it is a guard."""
    return {ospid: guard for ospid in everybody() if (guard := _of_earlier_claim(ospid, mark)) is not None}


def _of_earlier_claim(ospid: int, mark: Mark) -> bool | None:
    """Whether it is a guard; None: it is nothing of an earlier claim."""
    variables = variables_of(ospid)
    named = f"{MARK_VARIABLE}={mark.token}:".encode()
    for variable in variables:
        if variable.startswith(named):
            epoch = variable[len(named) :]
            guard = any(one.startswith(f"{GUARD_VARIABLE}=".encode()) for one in variables)
            return guard if epoch.isdigit() and int(epoch) < mark.epoch else None
    return None


def _signal(mark: Mark, ospids: list[int], number: signal.Signals) -> None:
    send(number, ospids, lambda ospid: _of_earlier_claim(ospid, mark) is not None)
