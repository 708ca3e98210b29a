"""A process in a list, and pages of such lists."""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from quince.monitor import words
from quince.monitor.words import Shown
from quince_persistence.contract import StoreContract
from quince_persistence.records import ProcessRow, Progress, State
from quince_persistence.records.limits import LimitWait


@dataclass(frozen=True, slots=True)
class Row:
    """A process as it stood when it was read.

    Attributes:
        row: What the store has of it.
        seen: When it was read, in seconds since the epoch.
        started: When a worker first took it up; None: none has.
        worker: The name of the worker that holds it; None: none does.
        limit: The limit that it waits for, with how many before it; None: it waits for none.
    """

    row: ProcessRow
    seen: float
    started: float | None = None
    worker: str | None = None
    limit: LimitWait | None = None

    @property
    def pid(self) -> int:
        return self.row.pid

    @property
    def parent(self) -> int | None:
        return self.row.parent

    @property
    def class_path(self) -> str:
        return self.row.class_path

    @property
    def name(self) -> str:
        """The class without its module."""
        return words.class_name(self.row)

    @property
    def state(self) -> State:
        """As it is to be understood: what a worker is at work on runs."""
        return words.actual_state(self.row)

    @property
    def shown(self) -> Shown:
        """What it is at a glance: its state, `paused`, or `failed`."""
        return words.shown(self.row)

    @property
    def coming(self) -> str | None:
        """The control that is under way: `pausing`, `killing`."""
        return words.coming(self.row)

    @property
    def terminated(self) -> bool:
        return self.row.terminated

    @property
    def step(self) -> str | None:
        """The step it is in, or that comes next, or in which it did not end well."""
        return self.row.step

    @property
    def doing(self) -> str:
        """One phrase: its step, how far that is, what it waits for."""
        if self.limit is not None and self.row.waits_for_limits:
            return words.step_text(self.row, self.limit)
        return words.doing(self.row)

    @property
    def progress(self) -> Progress | None:
        """How far its step says that it is."""
        return self.row.progress

    @property
    def exit(self) -> str:
        """Exit status with message, of what has ended; else empty."""
        return words.exit_words(self.row)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.row.options.labels

    @property
    def age(self) -> float:
        """Seconds since it was made."""
        return self.seen - self.row.created

    @property
    def took(self) -> float | None:
        """Seconds from its start to its end, or until now; None before its start."""
        return None if self.started is None else (self.row.ended or self.seen) - self.started

    @property
    def queued(self) -> float:
        """Seconds for which it has waited for a worker before its start, or to its end without one."""
        return (self.started or self.row.ended or self.seen) - self.row.created

    @property
    def unchanged(self) -> float:
        """Seconds since anything was written of it: for so long it is in its step, or waits."""
        return self.seen - self.row.updated


def rows_of(store: StoreContract, found: Sequence[ProcessRow]) -> list[Row]:
    """Rows of the store with what else is to be seen of them."""
    seen = time.time()
    if not found:
        return []
    started = store.started([row.pid for row in found])
    limited = [row.pid for row in found if row.waits_for_limits]
    waits = store.limit_waits(limited) if limited else {}
    names: dict[str, str] = {}
    if any(row.owner is not None for row in found):
        names = {worker.id: worker.name for worker in store.workers()}
    return [
        Row(
            row,
            seen,
            started.get(row.pid),
            None if row.owner is None else names.get(row.owner, row.owner),
            waits.get(row.pid),
        )
        for row in found
    ]


class Order(enum.StrEnum):
    """In which order a list is given."""

    LIVE = "live"
    """What lives, the newest first; then what has ended, the newest first."""
    NEWEST = "newest"
    """The newest first, by pid."""


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a list.

    Attributes:
        rows: In their order.
        next: Where the next page begins (`after=` of `Monitor.processes`); None: this is the last one. A page
            with few rows, or none, may have a next one.
        missing: pids that were named and that are not there.
    """

    rows: Sequence[Row]
    next: str | None = None
    missing: Sequence[int] = ()
