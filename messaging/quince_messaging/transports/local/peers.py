"""The other communicators of the machine: one connection to each.

A new communicator connects to all whose lock files it finds; it has published its own before, so of two that
start at once at least one finds the other (if both do, both connections serve). What is written in one turn
of the event loop goes out in one piece.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from quince_messaging.errors import CommunicatorClosed, MessagingError, UnreadableMessage
from quince_messaging.side_tasks import SideTasks
from quince_messaging.structured_log import StructuredLogger
from quince_messaging.transports.local.connection import PeerConnection
from quince_messaging.transports.local.directory import Directory, is_peer
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
from quince_messaging.transports.local.interests import OwnInterests, PeerInterests
from quince_messaging.transports.local.registration import Registration
from quince_messaging.wire.envelope import Envelope, decode

_log = StructuredLogger(__name__)

DRAIN_PATIENCE = 1.0  # seconds that broadcasts wait for a peer that reads nothing
ROOM_PATIENCE = 5.0  # seconds that a call waits for one
HELLO_PATIENCE = 1.0  # seconds
INQUIRY_PAUSES = (0.0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Peers:
    """Connections to the other communicators. Lives on the event loop."""

    def __init__(
        self,
        directory: Directory,
        registration: Registration,
        *,
        on_envelope: Callable[[str, Envelope], None],
        on_note: Callable[[str, Bell | Nobody], None],
        on_gone: Callable[[str], None],
        release_tasks: Callable[[str], Coroutine[Any, Any, None]],
        on_absent: Callable[[str], Coroutine[Any, Any, None]],
        on_activity: Callable[[], None],
    ) -> None:
        self.name = registration.peer
        self.on_envelope = on_envelope
        self.on_note = on_note
        self._on_gone = on_gone
        self._release_tasks = release_tasks
        self._on_absent = on_absent
        self._on_activity = on_activity
        self._directory = directory
        self._registration = registration
        self._server: asyncio.Server | None = None
        self._connections: dict[str, list[PeerConnection]] = {}
        self._unnamed: set[PeerConnection] = set()
        self.interests = OwnInterests(self._announce, self.spawn)
        self._noted: dict[tuple[str, int], asyncio.Event] = {}
        self._slow: set[str] = set()
        self._dropped = Dropped()
        self.peer_interests = PeerInterests()
        self.side = SideTasks(_log)
        self._reconnecting: set[str] = set()
        self._closed = False

    async def open(self) -> None:
        """Listen, publish the registration, and connect to all who are there."""
        await self.listen(self._registration.listen())
        self._registration.publish()
        await self.connect_to_all()

    async def listen(self, listener: socket.socket) -> None:
        """Accept connections at this socket, and none at the one before it."""
        before, loop = self._server, asyncio.get_running_loop()
        self._server = await loop.create_unix_server(
            lambda: PeerConnection(self), sock=listener, start_serving=False
        )
        if before is not None:
            before.close()
        await self._server.start_serving()

    async def connect_to_all(self) -> None:
        """Connect to all who are there, and say hello again to those who are connected."""
        for connection in self._all_connections():
            self._say_hello(connection)
        if others := self._directory.others(self.name):
            await asyncio.wait([self.spawn(self._connect_or_release(peer)) for peer in others])

    async def close(self) -> None:
        """Stop listening and close the connections, once what was written has left or cannot."""
        self._closed = True
        await self._listen_no_more()
        await self.side.close()
        connections = self._all_connections()
        for connection in connections:
            connection.close()
        if connections:
            await asyncio.wait([asyncio.ensure_future(connection.ended.wait()) for connection in connections])
        self._connections.clear()
        self._unnamed.clear()
        self._dropped.all_over()

    async def _listen_no_more(self) -> None:
        """asyncio leaves a connection that it has just accepted open if the server is closed at once."""
        if self._server is None:
            return
        for listener in self._server.sockets:
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        self._server.close()
        self._server = None

    def descriptors(self) -> list[int]:
        """The sockets, to be released in a forked child."""
        listening = self._server.sockets if self._server is not None else ()
        return [sock.fileno() for sock in listening] + [one.descriptor for one in self._all_connections()]

    def _all_connections(self) -> list[PeerConnection]:
        return [*self._unnamed, *itertools.chain.from_iterable(self._connections.values())]

    def spawn(self, work: Coroutine[Any, Any, object]) -> asyncio.Task[object]:
        """Run something as a task that this object owns, and cancels when it closes."""
        return self.side.spawn("talking to another communicator", work)

    # Sending

    def send(self, peer: str, payload: bytes) -> bool:
        """Send an envelope; False if there is no connection, or too much waits for the peer to read it."""
        connections = self._connections.get(peer)
        return connections is not None and connections[0].send(frame(payload))

    def flush(self, peer: str) -> None:
        """Write now what was sent to it in this turn of the loop: somebody waits for the answer."""
        if connections := self._connections.get(peer):
            connections[0].flush()

    def send_now(self, peer: str, payload: bytes) -> bool:
        """Send answers that the peer has asked for, however much waits; False if it is not connected.

        They were collected for a turn of the loop, so they do not wait for another one.
        """
        connections = self._connections.get(peer)
        return connections is not None and connections[0].send_now(frame(payload))

    async def send_in_time(self, peer: str, payload: bytes) -> bool:
        """Send an envelope, waiting for a peer that reads slowly; False if it is gone, or reads nothing."""
        while not self.send(peer, payload):
            if peer not in self._connections or not await self._connections[peer][0].make_room(ROOM_PATIENCE):
                return False
        return True

    async def send_broadcasts(self, peer: str, payload: bytes, count: int) -> None:
        """Send broadcasts as fast as the peer reads them; those to a peer that reads nothing are dropped."""
        while not self.send(peer, payload):
            connections = self._connections.get(peer)
            if connections is None or connections[0].ended.is_set():
                return
            if connections[0].stalled or not await connections[0].make_room(DRAIN_PATIENCE):
                self._dropped.dropped(peer, count)
                return
        if peer in self._connections and self._connections[peer][0].has_room:
            self._dropped.over(peer)

    def send_note(self, peer: str, note: Note) -> bool:
        """Send a note; False if there is no connection, or too much waits for the peer to read it."""
        connections = self._connections.get(peer)
        return connections is not None and connections[0].send(frame_note(note))

    async def reach(self, peer: str) -> bool:
        """Make sure of a connection to `peer`; False if it is not there."""
        if peer in self._connections:
            return True
        await self._connect_or_release(peer)
        if peer in self._connections:
            return True
        await self._on_absent(peer)
        return False

    def reconnect(self, peer: str) -> None:
        """Connect, in the background, to a peer that is not connected, if it is there."""
        if peer not in self._connections and peer not in self._reconnecting:
            self._reconnecting.add(peer)
            self.spawn(self.reach(peer)).add_done_callback(lambda _: self._reconnecting.discard(peer))

    async def drain(self, peers: Iterable[str]) -> None:
        """Wait a moment for peers that read more slowly than we write; not for those that read nothing."""
        for peer in peers:
            connections = self._connections.get(peer)
            if connections is not None and connections[0].crowded:
                await connections[0].make_room(DRAIN_PATIENCE)

    async def _announce(self, wants: Wants) -> None:
        """Send changed filters to all peers, and wait for those that answer in time."""
        waits = []
        for peer in list(self._connections):
            if not self.send_note(peer, wants):
                self._connections[peer][0].abort("it does not read what we send")
            elif wants.added and peer not in self._slow:
                self._noted[peer, wants.revision] = asyncio.Event()
                waits.append(self._await_noted(peer, wants.revision))
        if waits:
            await asyncio.gather(*waits)

    async def _await_noted(self, peer: str, revision: int) -> None:
        try:
            await asyncio.wait_for(self._noted[peer, revision].wait(), HELLO_PATIENCE)
        except TimeoutError:
            self._slow.add(peer)
        finally:
            del self._noted[peer, revision]

    # Meeting and losing peers

    async def _connect_or_release(self, peer: str) -> None:
        """Release the tasks of a peer that is dead, or else connect to it.

        The kernel closes a dying process's sockets and locks one after the other, and another communicator
        may be releasing its tasks just now: so a lock that is held is tried again, for a while.
        """
        for pause in INQUIRY_PAUSES:
            if await self._release_if_dead(peer):
                return
            if peer in self._connections or await self._connect(peer):
                return
            await asyncio.sleep(pause)
        _log.warning("communicator %(communicator)s holds its lock but cannot be reached", communicator=peer)

    async def _release_if_dead(self, peer: str) -> bool:
        """Whether a peer is gone; if it is dead, its tasks are released first."""
        try:
            with self._directory.release_dead(peer) as dead:
                if dead:
                    await self._release_tasks(peer)
                    _log.info(
                        "communicator %(communicator)s has died; its tasks were released", communicator=peer
                    )
                return dead is not False
        except CommunicatorClosed:
            return True  # this one leaves: another one releases them
        except MessagingError as error:
            _log.warning(
                "the tasks of communicator %(communicator)s could not be released yet: %(error)s",
                communicator=peer,
                error=error,
            )
            return False

    async def _connect(self, peer: str) -> bool:
        address = self._directory.address(peer)
        if address is None:
            return False
        try:
            _, connection = await asyncio.get_running_loop().create_unix_connection(
                lambda: PeerConnection(self), address
            )
            await asyncio.wait_for(connection.greeted.wait(), HELLO_PATIENCE)
        except TimeoutError:
            self._slow.add(peer)  # frozen: it will say hello when it goes on
            return True
        except OSError:
            return False
        return connection.peer is not None

    def connected(self, connection: PeerConnection) -> None:
        """A connection begins."""
        if self._closed and self._server is None:
            connection.close()
            return
        self._unnamed.add(connection)
        self._say_hello(connection)

    def _say_hello(self, connection: PeerConnection) -> None:
        connection.sent_revision = self.interests.revision
        connection.send(frame_note(self.interests.hello(self.name, VERSION)))

    def received(self, connection: PeerConnection, payload: bytes) -> None:
        """A frame arrived. Raises BadFrame."""
        self._on_activity()
        note = read_note(payload)
        if connection.peer is None:
            if not isinstance(note, Hello) or note.version != VERSION or not is_peer(note.peer):
                raise BadFrame("it did not say hello as we do")
            self._greet(connection, note)
            return
        if self._slow:
            self._slow.discard(connection.peer)
        if note is None:
            self._open_envelope(connection.peer, payload)
        elif isinstance(note, Bell | Nobody):
            self.on_note(connection.peer, note)
        elif isinstance(note, Hello):
            self.peer_interests.learn_all(note)
        elif isinstance(note, Wants):
            self.peer_interests.learn(connection.peer, note)
            connection.send(frame_note(Noted(note.revision)))
        elif event := self._noted.get((connection.peer, note.revision)):
            event.set()

    def _open_envelope(self, peer: str, payload: bytes) -> None:
        try:
            envelope = decode(payload)
        except UnreadableMessage as error:
            _log.warning(
                "an unreadable message from communicator %(communicator)s was dropped: %(error)s",
                communicator=peer,
                error=error,
            )
            return
        self.on_envelope(peer, envelope)

    def _greet(self, connection: PeerConnection, hello: Hello) -> None:
        peer = hello.peer
        connection.peer = peer
        self._unnamed.discard(connection)
        self._connections.setdefault(peer, []).append(connection)
        self.peer_interests.learn_all(hello)
        if connection.sent_revision != self.interests.revision:  # they have changed until it answered
            self._say_hello(connection)
        connection.greeted.set()

    def disconnected(self, connection: PeerConnection) -> None:
        """A connection has ended."""
        connection.greeted.set()
        self._unnamed.discard(connection)
        peer = connection.peer
        if self._closed or peer is None or connection not in self._connections.get(peer, ()):
            return
        self._connections[peer].remove(connection)
        if self._connections[peer]:
            return
        del self._connections[peer]
        self.peer_interests.forget(peer)
        self._slow.discard(peer)
        self._dropped.over(peer)
        for (other, _), event in self._noted.items():
            if other == peer:
                event.set()
        self.spawn(self._after_loss(peer))

    async def _after_loss(self, peer: str) -> None:
        self._on_gone(peer)
        await self._connect_or_release(peer)
