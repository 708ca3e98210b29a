"""The other communicators of the machine: one connection to each, and what it wants to hear.

The newcomer connects to everybody whose lock file it finds; it has published its own before, so of
two that start at once at least one finds the other (if both do, both connections serve). What is
written in one turn of the event loop goes out in one piece.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from quince_messaging.contract import SubjectFilter
from quince_messaging.errors import MessagingError, UnreadableMessage
from quince_messaging.side_tasks import SideTasks
from quince_messaging.transports.local.connection import PeerConnection
from quince_messaging.transports.local.directory import Directory, Seat, is_peer
from quince_messaging.transports.local.dropped import Dropped
from quince_messaging.transports.local.frames import (
    VERSION,
    BadFrame,
    Bell,
    Hello,
    Nobody,
    Note,
    Noted,
    Wants,
    frame,
    frame_note,
    read_note,
)
from quince_messaging.wire.envelope import Envelope, decode
from quince_messaging.wire.filters import Subscriptions

_log = logging.getLogger(__name__)

DRAIN_PATIENCE = 1.0  # seconds that broadcasts wait for a peer that reads nothing
ROOM_PATIENCE = 5.0  # seconds that a call waits for one
HELLO_PATIENCE = 1.0  # seconds
INQUIRY_PAUSES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Peers:
    """Connections to the other communicators. Lives on the event loop."""

    def __init__(
        self,
        directory: Directory,
        seat: Seat,
        *,
        on_envelope: Callable[[str, Envelope], None],
        on_note: Callable[[str, Bell | Nobody], None],
        on_gone: Callable[[str], None],
        hand_back: Callable[[str], Coroutine[Any, Any, None]],
        on_absent: Callable[[str], Coroutine[Any, Any, None]],
        look: Callable[[], None],
    ) -> None:
        self.name = seat.peer
        self.on_envelope = on_envelope
        self.on_note = on_note
        self._on_gone = on_gone
        self._hand_back = hand_back
        self._on_absent = on_absent
        self._look = look
        self._directory = directory
        self._seat = seat
        self._server: asyncio.Server | None = None
        self._links: dict[str, list[PeerConnection]] = {}
        self._unnamed: set[PeerConnection] = set()
        self._own: dict[SubjectFilter, int] = {}
        self._added: list[SubjectFilter] = []
        self._removed: list[SubjectFilter] = []
        self._collecting = False
        self._announcement: asyncio.Task[object] | None = None
        self._revision = 0
        self._noted: dict[tuple[str, int], asyncio.Event] = {}
        self._sluggish: set[str] = set()
        self._missed = Dropped()
        self._theirs: Subscriptions[str] = Subscriptions()
        self._their_ids: dict[str, dict[SubjectFilter, str]] = {}
        self._their_revision: dict[str, int] = {}
        self.side = SideTasks(_log)
        self._sought: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen, be seen, and know everybody who is there."""
        await self.listen(self._seat.listen())
        self._seat.publish()
        await self.meet_everybody()

    async def listen(self, listener: socket.socket) -> None:
        """Take connections there, and where it was before no more."""
        before, loop = self._server, asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: PeerConnection(self), sock=listener, start_serving=False
        )
        if before is not None:
            before.close()
        await self._server.start_serving()

    async def meet_everybody(self) -> None:
        """Connect to those who are there, and say hello again to those who are connected."""
        for link in self._all_links():
            self._say_hello(link)
        if others := self._directory.others(self.name):
            await asyncio.wait([self.errand(self._meet(peer)) for peer in others])

    async def close(self) -> None:
        """Stop listening and hang up, once what was written has left or cannot."""
        self._closed = True
        await self._listen_no_more()
        await self.side.close()
        links = self._all_links()
        for link in links:
            link.hang_up()
        if links:
            await asyncio.wait([asyncio.ensure_future(link.ended.wait()) for link in links])
        self._links.clear()
        self._unnamed.clear()
        self._missed.all_over()

    async def _listen_no_more(self) -> None:
        """asyncio leaves whom it has just accepted with an open socket if the server is closed at once."""
        if self._server is None:
            return
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()
        self._server = None

    def descriptors(self) -> list[int]:
        """The sockets, for a forked child to let go of."""
        listening = self._server.sockets if self._server is not None else ()
        return [sock.fileno() for sock in listening] + [link.descriptor for link in self._all_links()]

    def _all_links(self) -> list[PeerConnection]:
        return [*self._unnamed, *(link for links in self._links.values() for link in links)]

    def errand(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something beside, owned (and at the end cancelled) by this object."""
        return self.side.spawn("an errand to another communicator", work)

    # Sending

    def send(self, peer: str, payload: bytes) -> bool:
        """Send an envelope; False if there is no connection or too much waits for the peer to read it."""
        links = self._links.get(peer)
        return links is not None and links[0].send(frame(payload))

    def flush(self, peer: str) -> None:
        """Write what was sent to it in this turn of the loop: somebody waits for the answer."""
        if links := self._links.get(peer):
            links[0].flush()

    def send_now(self, peer: str, payload: bytes) -> bool:
        """Send answers that the peer has asked for, however much waits; False if it is not there.

        They were collected for a turn of the loop, so they do not wait for another one.
        """
        links = self._links.get(peer)
        return links is not None and links[0].send_now(frame(payload))

    async def send_in_time(self, peer: str, payload: bytes) -> bool:
        """As `send`, but wait for room if the peer reads slowly."""
        while not self.send(peer, payload):
            if peer not in self._links or not await self._links[peer][0].make_room(ROOM_PATIENCE):
                return False
        return True

    async def tell(self, peer: str, payload: bytes, count: int) -> None:
        """Send broadcasts, as fast as the peer reads them; to one that does not read they are dropped."""
        while not self.send(peer, payload):
            links = self._links.get(peer)
            if links is None or links[0].ended.is_set():
                return
            if links[0].stuck or not await links[0].make_room(DRAIN_PATIENCE):
                self._missed.dropped(peer, count)
                return
        if peer in self._links and self._links[peer][0].roomy:
            self._missed.over(peer)

    def send_note(self, peer: str, note: Note) -> bool:
        """Send a note; False as with `send`."""
        links = self._links.get(peer)
        return links is not None and links[0].send(frame_note(note))

    def wanting(self, sender: Any, subject: str | None) -> set[str]:
        """The peers that want a broadcast of this sender and subject."""
        return set(self._theirs.matching(sender, subject))

    async def reach(self, peer: str) -> bool:
        """Make sure of a connection to `peer`; False if it is not there."""
        if peer in self._links:
            return True
        await self._meet(peer)
        if peer in self._links:
            return True
        await self._on_absent(peer)
        return False

    def seek(self, peer: str) -> None:
        """Have somebody connected who is not, if it is there."""
        if peer not in self._links and peer not in self._sought:
            self._sought.add(peer)
            self.errand(self.reach(peer)).add_done_callback(lambda _: self._sought.discard(peer))

    async def drain(self, peers: Iterable[str]) -> None:
        """Wait a moment for peers that read more slowly than we write; not for those that do not read."""
        for peer in peers:
            links = self._links.get(peer)
            if links is not None and links[0].crowded:
                await links[0].make_room(DRAIN_PATIENCE)

    # Own filters

    async def want(self, wanted: SubjectFilter) -> None:
        """Hear matching broadcasts of every peer; returns when those that answer know it."""
        self._own[wanted] = self._own.get(wanted, 0) + 1
        if self._own[wanted] == 1:
            self._added.append(wanted)
            self._announce_soon()
        if self._announcement is not None:
            await asyncio.shield(self._announcement)

    def unwant(self, wanted: SubjectFilter) -> None:
        """Take back one `want`; the peers learn it in their time."""
        self._own[wanted] -= 1
        if self._own[wanted]:
            return
        del self._own[wanted]
        if wanted in self._added:
            self._added.remove(wanted)
            return
        self._removed.append(wanted)
        self._announce_soon()

    def _announce_soon(self) -> None:
        if not self._collecting:
            self._collecting = True
            self._announcement = self.errand(self._announce())

    async def _announce(self) -> None:
        """Tell everybody what has changed in this turn of the loop, and wait until they know."""
        added, removed, self._collecting = self._added, self._removed, False
        self._added, self._removed = [], []
        self._revision += 1
        revision = self._revision
        waits = []
        for peer in list(self._links):
            if not self.send_note(peer, Wants(revision, added, removed)):
                self._links[peer][0].abort("it does not read what we send")
            elif added and peer not in self._sluggish:
                self._noted[peer, revision] = asyncio.Event()
                waits.append(self._await_noted(peer, revision))
        if waits:
            await asyncio.gather(*waits)

    async def _await_noted(self, peer: str, revision: int) -> None:
        try:
            await asyncio.wait_for(self._noted[peer, revision].wait(), HELLO_PATIENCE)
        except TimeoutError:
            self._sluggish.add(peer)
        finally:
            del self._noted[peer, revision]

    # Meeting and losing peers

    async def _meet(self, peer: str) -> None:
        """Bury it if it is dead, else connect to it.

        The kernel closes a dying process's sockets and locks one after the other, and somebody else
        may be burying it just now: so a lock that is held is asked again, for a while.
        """
        for pause in INQUIRY_PAUSES:
            if await self._bury(peer):
                return
            if peer in self._links or await self._connect(peer):
                return
            await asyncio.sleep(pause)
        _log.warning(
            "communicator %s holds its lock but cannot be reached", peer, extra={"communicator": peer}
        )

    async def _bury(self, peer: str) -> bool:
        """Whether it is gone; if it is dead, its tasks are handed back first."""
        try:
            with self._directory.bury(peer) as dead:
                if dead:
                    await self._hand_back(peer)
                    _log.info(
                        "communicator %s has died; its tasks were handed back",
                        peer,
                        extra={"communicator": peer},
                    )
                return dead is not False
        except MessagingError as error:
            _log.warning(
                "the tasks of communicator %s could not be handed back yet: %s",
                peer,
                error,
                extra={"communicator": peer, "error": type(error).__name__},
            )
            return False

    async def _connect(self, peer: str) -> bool:
        address = self._directory.address(peer)
        if address is None:
            return False
        try:
            _, link = await asyncio.get_running_loop().create_unix_connection(
                lambda: PeerConnection(self), address
            )
            await asyncio.wait_for(link.settled.wait(), HELLO_PATIENCE)
        except TimeoutError:
            self._sluggish.add(peer)  # frozen: it will say hello when it goes on
            return True
        except OSError:
            return False
        return link.peer is not None

    def made(self, link: PeerConnection) -> None:
        """A connection begins."""
        if self._closed and self._server is None:
            link.hang_up()
            return
        self._unnamed.add(link)
        self._say_hello(link)

    def _say_hello(self, link: PeerConnection) -> None:
        link.told = self._revision
        link.send(frame_note(Hello(VERSION, self.name, self._revision, list(self._own))))

    def heard(self, link: PeerConnection, payload: bytes) -> None:
        """A frame arrived. Raises BadFrame."""
        self._look()
        note = read_note(payload)
        if link.peer is None:
            if not isinstance(note, Hello) or note.version != VERSION or not is_peer(note.peer):
                raise BadFrame("it did not say hello as we do")
            self._greet(link, note)
            return
        if self._sluggish:
            self._sluggish.discard(link.peer)
        if note is None:
            self._open_envelope(link.peer, payload)
        elif isinstance(note, Bell | Nobody):
            self.on_note(link.peer, note)
        elif isinstance(note, Hello):
            self._learn_all(note)
        elif isinstance(note, Wants):
            self._learn(link.peer, note.revision, note.added, note.removed)
            link.send(frame_note(Noted(note.revision)))
        elif event := self._noted.get((link.peer, note.revision)):
            event.set()

    def _open_envelope(self, peer: str, payload: bytes) -> None:
        try:
            envelope = decode(payload)
        except UnreadableMessage as error:
            _log.warning(
                "an unreadable message from communicator %s was dropped: %s",
                peer,
                error,
                extra={"communicator": peer, "error": type(error).__name__},
            )
            return
        self.on_envelope(peer, envelope)

    def _greet(self, link: PeerConnection, hello: Hello) -> None:
        peer = hello.peer
        link.peer = peer
        self._unnamed.discard(link)
        self._links.setdefault(peer, []).append(link)
        self._learn_all(hello)
        if link.told != self._revision:  # it was slow to answer, and our filters have changed meanwhile
            self._say_hello(link)
        link.settled.set()

    def _learn_all(self, hello: Hello) -> None:
        if hello.revision >= self._their_revision.get(hello.peer, -1):
            stale = [known for known in self._their_ids.get(hello.peer, {}) if known not in hello.filters]
            self._learn(hello.peer, hello.revision, hello.filters, stale)

    def _learn(
        self, peer: str, revision: int, added: Iterable[SubjectFilter], removed: Iterable[SubjectFilter]
    ) -> None:
        known = self._their_ids.setdefault(peer, {})
        for wanted in removed:
            if wanted in known:
                self._theirs.remove(known.pop(wanted))
        for wanted in added:
            if wanted not in known:
                known[wanted] = self._theirs.add(peer, wanted)
        self._their_revision[peer] = revision

    def lost(self, link: PeerConnection) -> None:
        """A connection has ended."""
        link.settled.set()
        self._unnamed.discard(link)
        peer = link.peer
        if self._closed or peer is None or link not in self._links.get(peer, ()):
            return
        self._links[peer].remove(link)
        if self._links[peer]:
            return
        del self._links[peer]
        self._learn(peer, -1, (), list(self._their_ids.get(peer, {})))
        del self._their_ids[peer], self._their_revision[peer]
        self._sluggish.discard(peer)
        self._missed.over(peer)
        for (other, _), event in self._noted.items():
            if other == peer:
                event.set()
        self.errand(self._inquire(peer))

    async def _inquire(self, peer: str) -> None:
        self._on_gone(peer)
        await self._meet(peer)
