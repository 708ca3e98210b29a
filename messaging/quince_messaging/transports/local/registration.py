"""The place of a communicator in the folder, put back if somebody has removed it.

Removing `peers/` under those who run breaks no connection that they have, but nobody new would find them.
Nobody polls for that: whoever does anything, or hears anything, looks whether its lock file is there. One
that puts it back tells the others, and all go on as if nothing had been. Only one that does nothing at all
does not see it; those who look for it in vain say so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from quince_messaging.errors import MessagingError
from quince_messaging.transports.local.directory import Directory, Seat
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.peers import Peers

_log = logging.getLogger(__name__)

BETWEEN_LOOKS = 0.5  # seconds
BETWEEN_TRIES = 10.0  # seconds


class Registration:
    """Looks after the seat of one communicator.

    Args:
        shared: Whether the task file is the one that the folder holds; otherwise all of it was removed.
        on_back: Called when the seat was put back: bells may have been missed.
    """

    def __init__(
        self,
        directory: Directory,
        seat: Seat,
        peers: Peers,
        committer: GroupCommit,
        *,
        shared: Callable[[], bool],
        on_back: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._seat = seat
        self._peers = peers
        self._committer = committer
        self._shared = shared
        self._on_back = on_back
        self._busy = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False
        self._missed: set[str] = set()

    def look(self) -> None:
        """Something is done here, or heard: see that the seat is there, and have it put back if not.

        Those who do much look twice a second, and once more when they have fallen silent.
        """
        if self._timer is not None:
            self._asked = True
            return
        self._timer = asyncio.get_running_loop().call_later(BETWEEN_LOOKS, self._look_again)
        if not (self._seat.in_place() or self._busy or self._stopped) and self._shared():
            self._busy = True
            self._peers.errand(self._return())

    def _look_again(self) -> None:
        self._timer = None
        if self._asked and not self._stopped:
            self._asked = False
            self.look()

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def _return(self) -> None:
        folder = self._directory.peers
        try:
            await self._peers.listen(self._seat.put_back())
            self._seat.publish()
        except Exception as error:
            _log.warning(
                "%s was removed while it was in use, and the place of communicator %s in it cannot be "
                "put back (%s): nobody new finds it; see to the folder, or restart the program",
                folder,
                self._peers.name,
                error,
                extra={"communicator": self._peers.name, "file": str(folder), "error": type(error).__name__},
            )
            asyncio.get_running_loop().call_later(BETWEEN_TRIES, self._try_again)
            return
        self._busy = False
        _log.warning(
            "%s was removed, or emptied, while it was in use; the place of communicator %s was put back",
            folder,
            self._peers.name,
            extra={"communicator": self._peers.name, "file": str(folder)},
        )
        self._on_back()
        await self._peers.meet_everybody()

    def _try_again(self) -> None:
        self._busy = False

    async def absent(self, peer: str) -> None:
        """Somebody is looked for who is not in the folder: say so once, unless it has left in order.

        Those who leave, or are buried, are struck from the task file before their lock files go.
        """
        if peer in self._missed or self._directory.address(peer) is not None:
            return
        try:
            registered = await self._committer.run(lambda file: file.is_registered(peer))
        except MessagingError:
            return
        if registered and peer not in self._missed:
            self._missed.add(peer)
            _log.warning(
                "communicator %s is registered in %s and cannot be found in %s, which was removed, or "
                "emptied, while it ran; it comes back as soon as it sends or receives anything, or else "
                "restart its program",
                peer,
                self._directory.tasks,
                self._directory.peers,
                extra={"communicator": peer, "file": str(self._directory.peers)},
            )
