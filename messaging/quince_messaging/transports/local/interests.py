"""Which broadcasts a communicator wants, and which its peers want: filters, numbered by revisions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from quince_messaging.contract import SubjectFilter
from quince_messaging.transports.local.frames import Hello, Wants
from quince_messaging.wire.filters import Subscriptions


class OwnInterests:
    """The filters of this communicator. Changes of one turn of the event loop are announced together.

    Args:
        announce: Sends changes to the peers, and waits until those that answer know them.
        spawn: Runs a coroutine as a task of the owner.

    Attributes:
        revision: Counts the announcements.
    """

    def __init__(
        self,
        announce: Callable[[Wants], Coroutine[Any, Any, None]],
        spawn: Callable[[Coroutine[Any, Any, object]], asyncio.Task[object]],
    ) -> None:
        self.revision = 0
        self._announce_changes = announce
        self._spawn = spawn
        self._counts: dict[SubjectFilter, int] = {}
        self._added: list[SubjectFilter] = []
        self._removed: list[SubjectFilter] = []
        self._collecting = False
        self._announcement: asyncio.Task[object] | None = None

    def hello(self, peer: str, version: int) -> Hello:
        """What a new peer is told."""
        return Hello(version, peer, self.revision, list(self._counts))

    async def add(self, wanted: SubjectFilter) -> None:
        """Want matching broadcasts of every peer; returns when the peers that answer know it."""
        self._counts[wanted] = self._counts.get(wanted, 0) + 1
        if self._counts[wanted] == 1:
            self._added.append(wanted)
            self._announce_soon()
        if self._announcement is not None:
            await asyncio.shield(self._announcement)

    def remove(self, wanted: SubjectFilter) -> None:
        """Take back one `add`; the peers learn it in their time."""
        self._counts[wanted] -= 1
        if self._counts[wanted]:
            return
        del self._counts[wanted]
        if wanted in self._added:
            self._added.remove(wanted)
            return
        self._removed.append(wanted)
        self._announce_soon()

    def _announce_soon(self) -> None:
        if not self._collecting:
            self._collecting = True
            self._announcement = self._spawn(self._announce())

    async def _announce(self) -> None:
        added, removed, self._collecting = self._added, self._removed, False
        self._added, self._removed = [], []
        self.revision += 1
        await self._announce_changes(Wants(self.revision, added, removed))


class PeerInterests:
    """The filters of the other communicators, as they have announced them."""

    def __init__(self) -> None:
        self._filters: Subscriptions[str] = Subscriptions()
        self._ids: dict[str, dict[SubjectFilter, str]] = {}
        self._revisions: dict[str, int] = {}

    def wanting(self, sender: Any, subject: str | None) -> set[str]:
        """The peers that want a broadcast of this sender and subject."""
        return set(self._filters.matching(sender, subject))

    def learn(self, peer: str, wants: Wants) -> None:
        """Note what has changed."""
        known = self._ids.setdefault(peer, {})
        self._remove(known, wants.removed)
        for wanted in wants.added:
            if wanted not in known:
                known[wanted] = self._filters.add(peer, wanted)
        self._revisions[peer] = wants.revision

    def learn_all(self, hello: Hello) -> None:
        """Note all filters of a peer, unless newer ones are known."""
        if hello.revision >= self._revisions.get(hello.peer, -1):
            stale = [known for known in self._ids.get(hello.peer, {}) if known not in hello.filters]
            self.learn(hello.peer, Wants(hello.revision, hello.filters, stale))

    def forget(self, peer: str) -> None:
        """The peer is not connected any more."""
        known = self._ids.pop(peer, {})
        self._remove(known, list(known))
        self._revisions.pop(peer, None)

    def _remove(self, known: dict[SubjectFilter, str], removed: Iterable[SubjectFilter]) -> None:
        for wanted in removed:
            if wanted in known:
                self._filters.remove(known.pop(wanted))
