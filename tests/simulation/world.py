"""What happens when: one heap of events, one clock, and a seed that decides every delay.

Nothing waits for real. Whoever has something to do is put into the heap with a delay drawn from the
seed; the earliest goes next, and the clock jumps to it. So the order of everything is drawn too, and the
same seed gives the same order.
"""

from __future__ import annotations

import hashlib
import heapq
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random

EPOCH = 1_700_000_000.0
"""What a clock on the wall shows when a simulation begins."""


class Struck(Exception):
    """A failure that the simulation has made: no complaint."""


class NoMemory(Struck, MemoryError):
    """One that is no error of anybody's."""


class Actor:
    """An operating-system process of the simulated world: it can be frozen, and it can die.

    Attributes:
        host: Where it runs.
        waits: Called when it blocks for something that does not answer.
        broken: It was frozen, cut off, killed or declared dead at some time: what it does may be stale.
    """

    def __init__(self, name: str, host: str = "h0") -> None:
        self.name = name
        self.host = host
        self.frozen = False
        self.dead = False
        self.broken = False
        self.waits: Callable[[], None] = lambda: None
        self.parked: list[tuple[str, Callable[[], None]]] = []


class World:
    """The clock, the events to come, and the trace of those that were.

    Attributes:
        now: Seconds since the beginning; never goes back.
        stepped: By how many seconds the clock on the wall is wrong.
        trace: Everything that happened, one line each.
        numbers: New ones, for whatever needs an order.
        complaints: What went wrong in an event.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0.0
        self.stepped = 0.0
        self.trace: list[str] = []
        self.complaints: list[str] = []
        self.current: Actor | None = None
        self._heap: list[tuple[float, int, Actor | None, str, Callable[[], None]]] = []
        self.numbers = itertools.count()

    def delay(self, usual: float, rare: float = 0.0) -> float:
        """A random delay: mostly around the usual, now and then up to the rare one."""
        if rare and self.random.random() < 0.02:
            return self.random.random() * rare
        return usual * (0.1 + self.random.random())

    def after(self, seconds: float, actor: Actor | None, what: str, call: Callable[[], None]) -> None:
        """Have something happen. An actor that is dead by then does nothing, a frozen one does it later."""
        heapq.heappush(self._heap, (self.now + seconds, next(self.numbers), actor, what, call))

    def wall(self) -> float:
        """What the clock on the wall shows."""
        return EPOCH + self.now + self.stepped

    def note(self, line: str) -> None:
        """A line of the trace."""
        self.trace.append(f"{self.now:.6f} {line}")

    def run(self, until: Callable[[], bool], limit: float) -> bool:
        """Let things happen until something is true; False if it was not true within `limit` seconds."""
        end = self.now + limit
        while not until():
            if not self._heap or self._heap[0][0] > end:
                return False
            when, _, actor, what, call = heapq.heappop(self._heap)
            self.now = max(self.now, when)
            if actor is not None and actor.dead:
                continue
            if actor is not None and actor.frozen:
                actor.parked.append((what, call))
                continue
            self.trace.append(f"{self.now:.6f} {actor.name if actor else '-'} {what}")
            before, self.current = self.current, actor
            try:
                call()
            finally:
                self.current = before
        return True

    def freeze(self, actor: Actor) -> None:
        actor.frozen = actor.broken = True

    def thaw(self, actor: Actor) -> None:
        actor.frozen = False
        parked, actor.parked = actor.parked, []
        for what, call in parked:
            self.after(self.delay(0.0001), actor, what, call)

    def digest(self) -> str:
        """The trace in a word: the same for two runs in which the same happened."""
        return hashlib.blake2b("\n".join(self.trace).encode(), digest_size=12).hexdigest()

    @contextmanager
    def acting(self, actor: Actor | None) -> Iterator[None]:
        """Inside the block this actor is the one that does things."""
        before, self.current = self.current, actor
        try:
            yield
        finally:
            self.current = before
