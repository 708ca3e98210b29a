"""Restoring the files of a communicator that somebody has removed while it runs.

Removing `peers/` under running communicators breaks no connection that they have, but nobody new finds them.
Nothing polls for that: a communicator that does anything, or receives anything, checks that its lock file is
there, restores it if not, and says hello to the others; then all go on as before. Only one that does nothing
at all does not notice; those that look for it in vain log that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from quince_messaging.errors import MessagingError
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.directory import Directory
from quince_messaging.transports.local.group_commit import GroupCommit
from quince_messaging.transports.local.peers import Peers
from quince_messaging.transports.local.registration import Registration

_log = StructuredLogger(__name__)

BETWEEN_CHECKS = 0.5  # seconds
BETWEEN_TRIES = 10.0  # seconds


class RegistrationWatch:
    """Keeps the files of one communicator in place.

    Args:
        shared: Whether the task file is the one that the folder holds; otherwise all of it was removed.
        on_restored: Called when they were restored: bells may have been missed.
    """

    def __init__(
        self,
        directory: Directory,
        registration: Registration,
        peers: Peers,
        group_commit: GroupCommit,
        *,
        shared: Callable[[], bool],
        on_restored: Callable[[], None],
    ) -> None:
        self._directory = directory
        self._registration = registration
        self._peers = peers
        self._group_commit = group_commit
        self._shared = shared
        self._on_restored = on_restored
        self._busy = False
        self._stopped = False
        self._timer: asyncio.TimerHandle | None = None
        self._asked = False
        self._reported: set[str] = set()

    def check(self) -> None:
        """Call it when anything is done here, or received: restores the files if they are gone.

        It looks twice a second at most, and once more after the last call.
        """
        if self._timer is not None:
            self._asked = True
            return
        self._timer = asyncio.get_running_loop().call_later(BETWEEN_CHECKS, self._check_again)
        if not (self._registration.in_place() or self._busy or self._stopped) and self._shared():
            self._busy = True
            self._peers.spawn(self._restore())

    def _check_again(self) -> None:
        self._timer = None
        if self._asked and not self._stopped:
            self._asked = False
            self.check()

    def stop(self) -> None:
        """Check no more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    async def _restore(self) -> None:
        folder = self._directory.peers
        try:
            await self._peers.listen(self._registration.restore())
            self._registration.publish()
        except Exception as error:
            _log.warning(
                "%(file)s was removed while it was in use, and the files of communicator %(communicator)s in "
                "it cannot be restored (%(error)s): nobody new finds it; see to the folder, or restart the "
                "program",
                communicator=self._peers.name,
                file=folder,
                error=error,
            )
            asyncio.get_running_loop().call_later(BETWEEN_TRIES, self._try_again)
            return
        self._busy = False
        _log.warning(
            "%(file)s was removed, or emptied, while it was in use; the files of communicator "
            "%(communicator)s were restored",
            communicator=self._peers.name,
            file=folder,
        )
        self._on_restored()
        await self._peers.connect_to_all()

    def _try_again(self) -> None:
        self._busy = False

    async def report_absent(self, peer: str) -> None:
        """Log, once, that a communicator is looked for and is not in the folder, unless it has left in order.

        One that leaves, or is dead, is deleted from the task file before its lock file is removed.
        """
        if peer in self._reported or self._directory.address(peer) is not None:
            return
        try:
            registered = await self._group_commit.run(lambda file: file.is_registered(peer))
        except MessagingError:
            return
        if registered and peer not in self._reported:
            self._reported.add(peer)
            _log.warning(
                "communicator %(communicator)s is registered in %(tasks)s and cannot be found in %(file)s, "
                "which was removed, or emptied, while it ran; it comes back as soon as it sends or receives "
                "anything, or else restart its program",
                communicator=peer,
                tasks=self._directory.tasks,
                file=self._directory.peers,
            )
