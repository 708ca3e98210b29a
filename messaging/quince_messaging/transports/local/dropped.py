"""What peers have missed because they did not read, told once when it begins and once when it is over."""

from __future__ import annotations

from quince_messaging.structured_log import StructuredLogger

_log = StructuredLogger(__name__)


class Dropped:
    """Counts the broadcasts that were dropped for each peer."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def dropped(self, peer: str, count: int) -> None:
        """So many were dropped."""
        if peer not in self._counts:
            _log.warning(
                "communicator %(communicator)s does not read: broadcasts to it are dropped (%(count)d now)",
                communicator=peer,
                count=count,
            )
        self._counts[peer] = self._counts.get(peer, 0) + count

    def over(self, peer: str) -> None:
        """It reads again, or has gone."""
        if count := self._counts.pop(peer, 0):
            _log.warning(
                "%(count)d broadcasts to communicator %(communicator)s were dropped while it did not read",
                communicator=peer,
                count=count,
            )

    def all_over(self) -> None:
        """We are going."""
        for peer in list(self._counts):
            self.over(peer)
