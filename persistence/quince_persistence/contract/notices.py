"""What a store promises of notices; a part of `StoreContract`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from quince_persistence.records.notices import Happening, NoticeRow, ReceiverRow, Sent


class NoticeContract(Protocol):
    """Who is told of what: written by the transaction in which it happens, and kept until it was sent."""

    def want_notices(
        self, receivers: Mapping[str, Collection[Happening]], *, keep: float, most: int
    ) -> Future[None]:
        """Have these told of that, from now on; a receiver that nobody has named for a day is told no more.

        Args:
            keep: Seconds after which a notice that could not be sent is dropped.
            most: As many are kept for each receiver, the newest ones.
        """

    def add_notice(self, name: str, event: Happening, body: Mapping[str, Any]) -> Future[None]:
        """Write down that something has happened, for all who want to be told of such things.

        Args:
            name: Of what has happened: what is there already under this name is not written twice.
        """

    def take_notices(
        self, receivers: Collection[str], owner: str, *, most: int, hold: float
    ) -> Future[Sequence[NoticeRow]]:
        """Take notices that are due, the oldest first, to send them: nobody else gets them for so many
        seconds. Who has not said by then what became of them (`settle_notices`) is taken for dead.

        Args:
            most: So many for each receiver.
            hold: Seconds.
        """

    def settle_notices(self, sent: Sequence[Sent], owner: str) -> Future[None]:
        """Forget those that were sent, and note why others were not. What somebody else has taken meanwhile
        is his."""

    def notices_due(self, receivers: Collection[str]) -> bool:
        """Whether there is something to take."""

    def receivers(self) -> Sequence[ReceiverRow]:
        """All receivers, and how much is still to be sent to them, by name."""
