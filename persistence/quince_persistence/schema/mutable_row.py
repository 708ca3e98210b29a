"""The row of a process while a transaction changes it, and the one rule for `ready`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Select, select

from quince_persistence.records import NO_OPTIONS, Control, ProcessOptions, ProcessRow, State
from quince_persistence.records.steps import Step
from quince_persistence.schema.kept import KeptWait
from quince_persistence.schema.said import Said
from quince_persistence.schema.signal_state import SignalState
from quince_persistence.schema.tables import processes as p

_UNREADABLE = (msgspec.MsgspecError, KeyError, TypeError, ValueError)
_RUNNABLE = frozenset({State.CREATED.value, State.RUNNING.value})
_STATES = {state.value: state for state in State}
PAUSE_NOW = "pause now"
"""In a column of intents: a pause that is to be applied in the midst of the step."""
CONTROLS: dict[str | None, Control | None] = {
    None: None, PAUSE_NOW: Control.PAUSE, **{verb.value: verb for verb in Control}
}  # fmt: skip
"""What a column of intents holds, as a control."""

WAIT_ANY, WAIT_DUE = "any", "due"
"""In `wait_mode`, which has both, one or none: one of those awaited is enough; the timer ends the wait."""


def wait_mode(how: Step | KeptWait) -> str | None:
    """For the column: how a wait ends, if not with the last thing that is waited for."""
    return " ".join([WAIT_ANY] * how.wait_any + [WAIT_DUE] * how.wait_due) or None


decode_options = msgspec.json.Decoder(ProcessOptions).decode


def readable_options(text: str | None) -> ProcessOptions:
    """Those of a process that ends, or is told of; none if they are damaged."""
    try:
        return NO_OPTIONS if text is None else decode_options(text)
    except (msgspec.MsgspecError, TypeError):
        return NO_OPTIONS


COLUMNS = tuple(p.c)
"""What `MutableRow` takes, in its order."""


class MutableRow(msgspec.Struct, eq=False, gc=False):
    """One row of `processes`, read under its lock, changed in memory, written back once.

    Its first attributes are the columns, in the order of the table.

    Attributes:
        fresh: It is not in the database yet.
        indexed: What it had, when it was read, in columns that stand in an index.
        asked: How it stood with its limits then; see `asking`.
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
    attempt: int = 0
    deadline: float | None = None
    wait_mode: str | None = None
    granted: bool | None = None
    progress: str | None = None
    options: str | None = None
    parts: int = 0
    fresh: bool = False
    indexed: tuple[Any, ...] = ()
    asked: tuple[Any, ...] | None = None

    def __post_init__(self) -> None:
        self.indexed = self._indexed
        if self.granted is not None:
            self.asked = self.asking

    @property
    def terminated(self) -> bool:
        return self.ended is not None

    @property
    def ended_well(self) -> bool:
        return self.state == State.FINISHED and not self.exit_status

    @property
    def pausing(self) -> bool:
        """Its owner is to pause it."""
        return CONTROLS[self.intent] is Control.PAUSE

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

    @property
    def wants_limits(self) -> bool:
        """It is to have the limits that it asks for: not while it is paused, nor while it waits to be tried
        again. (One whose step was stopped in its midst keeps what it has.)"""
        tried_later = self.attempt and self.state == State.WAITING and self.awaiting > 0
        return self.ended is None and not (self.paused and self.owner is None) and not tried_later

    @property
    def asking(self) -> tuple[Any, ...]:
        """What the place depends on that it has among those that wait for limits."""
        return self.granted, self.wants_limits, self.priority, self.queue

    @property
    def limits(self) -> Sequence[str]:
        """The names of the limits that it asks for."""
        return readable_options(self.options).limits

    def refresh(self, now: float) -> None:
        """Set `ready` by its rule: it could run now if a worker claimed it."""
        self.ready = (
            not self.paused
            and (self.state in _RUNNABLE or (self.state == State.WAITING and self.awaiting == 0))
            and (self.granted is None or bool(self.granted))
        )
        if not self.ready or self.owner is not None:
            self.idle_since = None
        elif self.idle_since is None:
            self.idle_since = now

    @property
    def index_changed(self) -> bool:
        """Whether a column that stands in an index has changed since the row was read."""
        return self.indexed != self._indexed

    @property
    def _indexed(self) -> tuple[Any, ...]:
        return (
            self.state, self.owner, self.due, self.idle_since, self.deadline, self.queue, self.priority,
        )  # fmt: skip

    @property
    def damage(self) -> str | None:
        """Why it cannot be read; None if it can."""
        try:
            self._frozen()
        except _UNREADABLE as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())}"
        counts = (self.epoch, self.priority, self.awaiting, self.attempt, self.deaths)
        return (
            None if all(type(count) is int for count in counts) else "a column of numbers has something else"
        )

    def frozen(self) -> ProcessRow:
        """The row as it stands, for the outside; of a damaged one, as its status says, what can be read."""
        try:
            return self._frozen()
        except _UNREADABLE:
            return msgspec.structs.replace(
                self,
                state=self.state if self.state in _STATES else State.CREATED.value,
                intent=self.intent if self.intent in CONTROLS else None,
                signals=None,
                progress=None,
                options=None,
                wait_mode=None,
                status=f"its row in the store is damaged: {self.damage}",
            )._frozen()

    def _frozen(self) -> ProcessRow:
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
            self.intent == PAUSE_NOW,
            self.attempt,
            self.deadline,
            self.wait_mode is not None and WAIT_ANY in self.wait_mode,
            None if self.granted is None else bool(self.granted),
            Said.read(self.progress).progress,
            NO_OPTIONS if self.options is None else decode_options(self.options),
            self.wait_mode is not None and WAIT_DUE in self.wait_mode,
        )


def _missing(signals: str | None) -> tuple[str, ...]:
    return () if signals is None else tuple(SignalState.read(signals).missing)


def live_rows() -> Select[Any]:
    """`SELECT` of all that `MutableRow` takes."""
    return select(*COLUMNS)
