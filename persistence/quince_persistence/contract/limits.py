"""What a store promises of limits; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from quince_persistence.records import (
    ProcessRow,
    Woken,
)
from quince_persistence.records.limits import LimitRow, LimitWait


class LimitContract(Protocol):
    """Limits of how many processes are at work at once, or begin in some time."""

    def set_limit(
        self, name: str, *, slots: int | None = None, rate: int | None = None, per: float = 1.0
    ) -> Future[Sequence[Woken]]:
        """Set a limit: for those that hold it already too, who keep it, and count.

        A process that asks for limits (`ProcessOptions.limits`) is ready when it has been granted all of
        them, with the commit of whatever gives one back, the first by priority and pid; it holds them until
        it ends, is paused, or waits to be tried again.

        Args:
            slots: How many may hold it at once; None: any number.
            rate: How many may begin in `per` seconds, evenly; None: any number.

        Returns:
            Those that have become ready by that.
        """

    def remove_limit(self, name: str) -> Future[Sequence[Woken] | None]:
        """Have no such limit any more.

        Returns:
            Those that have become ready by that; None if there was none.
        """

    def limits(self) -> Sequence[LimitRow]:
        """All limits that are set, or asked for by live processes, by name."""

    def limit_users(self, name: str, *, held: bool, most: int = 1000) -> Sequence[ProcessRow]:
        """The processes that hold a limit, by pid; or wait for it (first of all), in the order in which they
        get it."""

    def limit_waits(self, pids: Sequence[int]) -> Mapping[int, LimitWait]:
        """Those of these processes that wait for a limit, with the one that each waits for first of all."""
