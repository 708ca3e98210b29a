"""What a store promises of its upkeep; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records import (
    Claim,
)
from quince_persistence.records.pruning import Pruned


class UpkeepContract(Protocol):
    """The store as a whole: whether it is well, and how it is copied and cleared."""

    def try_write(self, *, within: float) -> None:
        """Make a write that changes nothing, to see whether the database takes any. Blocks.

        Raises:
            StoreUnavailable: it takes none, or does not answer within so many seconds.
        """

    def clock(self) -> float:
        """The time by the clock that stamps rows and heartbeats."""

    def damage(self) -> Sequence[str]:
        """What is damaged, a sentence each: parts of large values that are missing, and what it finds
        in its own file (SQLite)."""

    def live(self) -> Iterator[Claim]:
        """Every process that has not terminated, with inputs and checkpoint, by pid. Claims nothing."""

    def copy_to(
        self, url: str, *, alive: float, author: str, pause: bool = True
    ) -> Future[Mapping[str, int]]:
        """Copy everything into another store, whole or not at all: processes in every state with their
        inputs, checkpoints, outputs, timers, signals and history, under their pids.

        Args:
            url: An empty database, or a store without processes.
            alive: Seconds within which a worker's last heartbeat says that it lives.
            author: Who asks, for the history.
            pause: Pause here what has not terminated, since it goes on there.

        Returns:
            How many rows of each table were copied.

        Raises:
            InvalidUrl: that is not a URL of a store.
            CopyRefused: (also by the future) it is this store, workers are at work here, or processes are
                there.
        """

    def prune(
        self,
        roots: Sequence[int],
        *,
        before: float,
        failed_before: float,
        gone: Iterable[int] = (),
        dry: bool = False,
    ) -> Future[Pruned]:
        """Delete trees that have ended: each with all that there is of it, in every table, or not at all. Its
        keys are free again; large parts of values that nobody else uses go with a sweep (or `drop_unused`).

        A tree stays if something of it lives or has ended later than it says below; if a process that lives
        awaits, or was given, one of it (`refers`); if one that stays has its outputs from it, or repeats it
        (`ProcessOptions.cached_from`, `restart_of`); or if it is the last of a schedule.

        Args:
            roots: Processes without a parent. What is not there is left out.
            before: All of a tree must have ended by then, if its root has ended well.
            failed_before: All of it must have ended by then, if its root has not.
            gone: Roots that count as if they had been deleted.
            dry: Delete nothing.
        """

    def pruned_to(self) -> int:
        """The greatest pid that was pruned; 0: none was."""

    def drop_unused(self) -> Future[None]:
        """Drop all large parts of values that nobody uses any more, as sweeps do with some at a time."""

    def vacuum(self) -> tuple[int, int]:
        """Give the room that deleted rows have left back: to the disk (SQLite, which takes no writes
        meanwhile, and needs as much room again), or to the tables (PostgreSQL). Blocks.

        Returns:
            How many bytes the database took before and takes now.

        Raises:
            StoreFull: there is not the room for it.
            StoreBusy: somebody reads or writes all the time.
        """
