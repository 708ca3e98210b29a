"""What a control, a retry or a restart meets, and makes."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from quince_persistence.records import ProcessRow, Woken


class ControlOutcome(msgspec.Struct, frozen=True):
    """What a control found and did with one process.

    Attributes:
        found: There is such a process.
        before: Its row before the control (None if not found).
        after: Its row after it.
        applied: It holds already (no worker was in a step of it, or there was nothing to do).
        refused: Why it cannot be done (terminated, ...), or None.
        woken: Processes that became ready (parents of one that was killed; itself when played).
        owner: The worker to be told: it must apply the intent, or does not know yet what was applied.
    """

    pid: int
    found: bool
    before: ProcessRow | None
    after: ProcessRow | None
    applied: bool
    refused: str | None = None
    owner: str | None = None
    woken: Sequence[Woken] = ()


class Restarted(msgspec.Struct, frozen=True):
    """What a restart has made.

    Attributes:
        pid: The new process.
        step: Before which it begins; None: the first.
        made: All new processes: it, and those that it waits for in the place of others.
        shared: Those that it waits for, or has waited for, and that it shares with the old one.
        woken: Those that are ready.
    """

    pid: int
    step: str | None
    made: Sequence[ProcessRow]
    shared: Sequence[int]
    woken: Sequence[Woken] = ()


class PastStep(msgspec.Struct, frozen=True):
    """A step before which a checkpoint was kept. `number` grows with each; None: the newest one, from which
    the process goes on, or would."""

    number: int | None
    step: str | None
