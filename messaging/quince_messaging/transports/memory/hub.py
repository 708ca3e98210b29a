"""What the communicators of one name share."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from quince_messaging.contract import DeadLetter
from quince_messaging.errors import DuplicateSubscriber, UnroutableError
from quince_messaging.wire.calls import encode_replies, packed
from quince_messaging.wire.envelope import Address, Reply

Post = Callable[[bytes], bool]
"""Leaves a message for a communicator, on its own loop; False if that is gone."""


class HubConsumer(Protocol):
    """A consumer on the hub; both methods are called under its lock."""

    def reserve(self) -> bool:
        """Take capacity for one task; False if there is none."""

    def post(self, entry: Entry) -> None:
        """Let a task arrive."""


class Entry:
    """A task on a queue of a hub."""

    __slots__ = ("data", "order", "redelivered")

    def __init__(self, order: tuple[int, int], data: bytes) -> None:
        self.order = order
        self.data = data
        self.redelivered = False

    def __lt__(self, other: Entry) -> bool:
        return self.order < other.order


class Hub:
    """What the communicators of one name share. Thread-safe; calls nobody while it holds its lock."""

    _hubs: dict[str, Hub] = {}  # noqa: RUF012 - one table for the process, under _guard
    _guard = threading.Lock()
    _away: set[str] = set()  # noqa: RUF012 - as above

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)
        self._members: dict[str, Post] = {}
        self._servers: dict[str, Post] = {}
        self._queues: dict[str, list[Entry]] = {}
        self._consumers: dict[str, deque[HubConsumer]] = {}
        self.dead: list[DeadLetter] = []

    @classmethod
    def join(cls, key: str, post: Post) -> tuple[Hub, str]:
        with cls._guard:
            hub = cls._hubs.setdefault(key, cls())
            inbox = f"inbox-{next(hub._numbers)}"
            hub._members[inbox] = post
            return hub, inbox

    def leave(self, key: str, inbox: str, identifiers: Sequence[str]) -> None:
        with self._guard, self._lock:
            self._members.pop(inbox, None)
            for identifier in identifiers:
                self._servers.pop(identifier, None)
            if not self._members:
                self._hubs.pop(key, None)

    @classmethod
    def is_away(cls, name: str) -> bool:
        """Whether the broker of this name answers nobody just now."""
        return name in cls._away

    @classmethod
    @contextmanager
    def away(cls, name: str) -> Iterator[None]:
        """In the block, the broker of this name answers nobody, whatever the prefix."""
        cls._away.add(name)
        try:
            yield
        finally:
            cls.back(name)

    @classmethod
    def back(cls, name: str) -> None:
        """It answers again."""
        cls._away.discard(name)

    # Task queue

    def put(self, queue: str, priority: int, payloads: Sequence[bytes]) -> None:
        with self._lock:
            entries = self._queues.setdefault(queue, [])
            for data in payloads:
                heapq.heappush(entries, Entry((-priority, next(self._numbers)), data))
        self.dispatch(queue)

    def requeue(self, queue: str, entry: Entry) -> None:
        entry.redelivered = True
        with self._lock:
            heapq.heappush(self._queues.setdefault(queue, []), entry)
        self.dispatch(queue)

    def take(self, queue: str) -> Entry | None:
        with self._lock:
            entries = self._queues.get(queue)
            return heapq.heappop(entries) if entries else None

    def size(self, queue: str) -> int:
        with self._lock:
            return len(self._queues.get(queue, ()))

    def purge(self, queue: str) -> int:
        with self._lock:
            return len(self._queues.pop(queue, ()))

    def dead_letter(self, queue: str, entry: Entry, reason: str) -> None:
        with self._lock:
            self.dead.append(DeadLetter(queue, reason, time.time(), entry.data, -entry.order[0]))

    def revive(self, queue: str | None) -> int:
        with self._lock:
            chosen = [letter for letter in self.dead if queue in (None, letter.queue)]
            self.dead = [letter for letter in self.dead if queue not in (None, letter.queue)]
        for letter in chosen:
            self.put(letter.queue, letter.priority, [letter.raw])
        return len(chosen)

    def attach(self, queue: str, consumer: HubConsumer) -> None:
        with self._lock:
            ring = self._consumers.setdefault(queue, deque())
            if consumer not in ring:
                ring.append(consumer)
        self.dispatch(queue)

    def detach(self, queue: str, consumer: HubConsumer) -> None:
        with self._lock:
            ring = self._consumers.get(queue)
            if ring is not None and consumer in ring:
                ring.remove(consumer)

    def dispatch(self, queue: str) -> None:
        """Deliver tasks to consumers that have capacity, in turn."""
        with self._lock:
            entries = self._queues.get(queue)
            ring = self._consumers.get(queue)
            if not entries or not ring:
                return
            idle = 0
            while entries and idle < len(ring):
                consumer = ring[0]
                ring.rotate(-1)
                if consumer.reserve():
                    idle = 0
                    consumer.post(heapq.heappop(entries))
                else:
                    idle += 1

    # RPC and broadcast

    def call(self, identifier: str, data: bytes) -> None:
        with self._lock:
            server = self._servers.get(identifier)
        if server is None or not server(data):
            raise UnroutableError(f"nobody listens at {identifier!r}")

    def reply(self, address: Address, reply: Reply) -> None:
        with self._lock:
            post = self._members.get(address.inbox)
        if post is not None:
            for data in encode_replies([packed(reply)]):
                post(data)

    def serve(self, identifier: str, post: Post) -> None:
        with self._lock:
            if identifier in self._servers:
                raise DuplicateSubscriber(f"{identifier!r} has an RPC subscriber already")
            self._servers[identifier] = post

    def unserve(self, identifier: str) -> None:
        with self._lock:
            self._servers.pop(identifier, None)

    def broadcast(self, data: bytes) -> None:
        with self._lock:
            members = list(self._members.values())
        for post in members:
            post(data)
