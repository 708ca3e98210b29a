"""What a store promises of schedules; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records.schedules import DamagedSchedule, Fired, Firing, Schedule, ScheduleRow


class ScheduleContract(Protocol):
    """Schedules: they stand in the store, and any worker fires them."""

    def put_schedule(
        self,
        name: str,
        schedule: Schedule,
        inputs: bytes,
        *,
        moment: float | None,
        next_at: float | None,
        author: str,
        replaces: bool = False,
        planned: float | None = None,
    ) -> Future[ScheduleRow]:
        """Add a schedule.

        Args:
            inputs: Blob, of each process that it makes.
            moment, next_at: When it fires first, without and with its jitter.
            planned: What the clock said when that was found out; None: what it says now.
            replaces: Put it in the place of one of that name, whose history, processes and pause it keeps, if
                that one can be read.

        Raises:
            ScheduleTaken: there is one of that name.
        """

    def hold_schedule(
        self,
        name: str,
        *,
        paused: bool,
        moment: float | None,
        next_at: float | None,
        author: str,
        planned: float | None = None,
    ) -> Future[ScheduleRow]:
        """Pause a schedule, or let it go on from `moment`; nothing changes if it is so already.

        Raises:
            UnknownSchedule: there is none of that name.
        """

    def remove_schedule(self, name: str) -> Future[None]:
        """Remove a schedule, also one that cannot be read. The processes that it has made go on.

        Raises:
            UnknownSchedule: there is none of that name.
        """

    def fire(self, firing: Firing) -> Future[Fired]:
        """Make the processes of a schedule that are due, set when it fires next, and write its history, in
        one transaction. No moment makes a second process. Nothing happens if the schedule is not as it was
        seen.

        Raises:
            UnknownSchedule: (by hand) there is none of that name.
            ScheduleUnreadable: its row is damaged.
            PidTaken: see `forget_pids`.
        """

    def schedule(self, name: str) -> ScheduleRow | None:
        """The schedule of that name; None if there is none.

        Raises:
            ScheduleUnreadable: its row is damaged.
        """

    def schedule_inputs(self, name: str) -> bytes | None:
        """The inputs of the processes of a schedule; None if there is none of that name."""

    def schedules(self) -> Sequence[ScheduleRow]:
        """All schedules that can be read, by name."""

    def damaged_schedules(self) -> Sequence[DamagedSchedule]:
        """All others, by name: of these none is fired, and none keeps the others from it."""

    def due_schedules(self, now: float | None = None) -> Sequence[ScheduleRow]:
        """Those that are to fire by now, for whom something waits for its turn, or which have fired before
        their time, as the clock was set back since.

        Args:
            now: By the clock of the store; read there if not given.
        """
