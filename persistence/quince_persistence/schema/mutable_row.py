"""The row of a process while a transaction changes it, and the one rule for `ready`."""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import Select, select

from quince_persistence.records import Control, ProcessRow, State
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.schema.tables import processes as p

_RUNNABLE = frozenset({State.CREATED.value, State.RUNNING.value})
_STATES = {state.value: state for state in State}
CONTROLS: dict[str | None, Control | None] = {None: None, **{verb.value: verb for verb in Control}}
"""What a column of intents holds, as a control."""

COLUMNS = tuple(p.c)
"""What `MutableRow` takes, in its order."""


class MutableRow(msgspec.Struct, eq=False, gc=False):
    """One row of `processes`, read under its lock, changed in memory, written back once.

    Its first attributes are the columns, in the order of the table.

    Attributes:
        fresh: It is not in the database yet.
        indexed: What it had, when it was read, in columns that stand in an index.
    """

    pid: int
    parent: int | None
    root: int
    class_path: str
    class_version: str
    state: str
    paused: bool
    ready: bool
    owner: str | None
    epoch: int
    queue: str
    priority: int
    key: str | None
    intent: str | None = None
    intent_reason: str | None = None
    status: str | None = None
    step: str | None = None
    awaiting: int = 0
    due: float | None = None
    deaths: int = 0
    exit_status: int | None = None
    exit_message: str | None = None
    created: float = 0.0
    updated: float = 0.0
    ended: float | None = None
    idle_since: float | None = None
    tree_paused: bool = False
    pause_void: bool = False
    signals: str | None = None
    deaths_alone: int = 0
    fresh: bool = False
    indexed: tuple[Any, ...] = ()

    def __post_init__(self) -> None:
        self.indexed = (self.state, self.owner, self.due, self.idle_since)

    @property
    def terminated(self) -> bool:
        return self.ended is not None

    @property
    def stopped(self) -> bool:
        """No worker is in a step of it, nor may begin one: it is unowned, or waits for what has not come.

        The owner of a waiting process reads, before it goes on, that all has come and that it still owns the
        process; so this can be taken away from it meanwhile.
        """
        return self.owner is None or not self.at_work

    @property
    def at_work(self) -> bool:
        """Its owner may be in a step of it, or begin one."""
        return self.state != State.WAITING or self.awaiting == 0

    def refresh(self, now: float) -> None:
        """Set `ready` by its rule: it could run now if a worker claimed it."""
        self.ready = not self.paused and (
            self.state in _RUNNABLE or (self.state == State.WAITING and self.awaiting == 0)
        )
        if not self.ready or self.owner is not None:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now

    @property
    def index_changed(self) -> bool:
        """Whether a column that stands in an index has changed since the row was read."""
        return self.indexed != (self.state, self.owner, self.due, self.idle_since)

    def frozen(self) -> ProcessRow:
        """The row as it stands, for the outside."""
        return ProcessRow(
            self.pid,
            self.parent,
            self.root,
            self.class_path,
            self.class_version,
            _STATES[self.state],
            bool(self.paused),
            bool(self.ready),
            self.owner,
            self.epoch,
            self.queue,
            self.priority,
            self.key,
            CONTROLS[self.intent],
            self.intent_reason,
            self.status,
            self.step,
            self.awaiting,
            self.due,
            self.deaths,
            self.exit_status,
            self.exit_message,
            self.created,
            self.updated,
            self.ended,
            _missing(self.signals),
            self.deaths_alone,
        )


def _missing(signals: str | None) -> tuple[str, ...]:
    return () if signals is None else tuple(SignalState.read(signals).missing)


def live_rows() -> Select[Any]:
    """`SELECT` of all that `MutableRow` takes."""
    return select(*COLUMNS)
