"""Waiting for something to become true of processes: pushed by broadcasts, checked in the store."""

from __future__ import annotations

import asyncio
import contextlib
import reprlib
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, SupportsFloat

import kiwipy

from quince.messages import pids_of
from quince.text import words_of
from quince.workspace.interfaces import WatcherOwner
from quince_persistence.contract import StoreContract
from quince_persistence.errors import StoreMoved, StoreUnavailable
from quince_persistence.records import EventRow, ProcessRow, Selection
from quince_persistence.writing.throttled_log import ThrottledLog

_throttled = ThrottledLog("quince")

FIRST_PAUSE = 0.05
LONGEST_PAUSE = 1.0
"""Seconds between reads of the store while no broadcast comes; a lost one costs no more than this."""


class Watcher:
    """One subscription to all changes of state, for every wait of one workspace."""

    def __init__(self, workspace: WatcherOwner) -> None:
        self._workspace = workspace
        self._lock = threading.Lock()
        self._wakers: dict[int, set[Callable[[], object]]] = {}
        self._listeners: list[Callable[[Sequence[int]], object]] = []
        self._subscribed = False

    def wait(
        self,
        pids: Sequence[int],
        until: Callable[[ProcessRow], bool],
        timeout: float | None = None,
        progress: Callable[[Sequence[ProcessRow]], None] | None = None,
    ) -> list[ProcessRow]:
        """Block until `until` holds for every one of `pids`, or the time is over.

        A store that stops to answer in the middle is waited for, and logged once a minute.

        Args:
            timeout: Seconds; None waits for ever.
            progress: Called with the rows after every read of the store.

        Returns:
            The rows as last seen, in the order of `pids`; those that do not exist are left out.

        Raises:
            StoreUnavailable: the store did not answer from the beginning, or when the time was over; or its
                file was moved away.
        """
        poll = _Poll(self._workspace.store, pids, until, timeout, progress)
        changed = threading.Event()
        with self._listening(pids, changed.set):
            while True:
                changed.clear()
                if poll.check():
                    return poll.seen
                poll.waited(changed.wait(poll.pause))

    async def wait_async(
        self,
        pids: Sequence[int],
        until: Callable[[ProcessRow], bool],
        timeout: float | None = None,
        progress: Callable[[Sequence[ProcessRow]], None] | None = None,
    ) -> list[ProcessRow]:
        """`wait` from a coroutine; no thread waits meanwhile. `progress` is called on a thread."""
        store = self._workspace.store
        poll = await asyncio.to_thread(_Poll, store, pids, until, timeout, progress)
        async with self._listening_async(pids) as changed:
            while True:
                changed.clear()
                if await asyncio.to_thread(poll.check):
                    return poll.seen
                await poll.wait_for(changed)

    def follow(self, pid: int, after: int = 0) -> Iterator[EventRow]:
        """The history of a process as it grows, complete and in order, until its end.

        Broadcasts only say when to read; the events come from the store by their sequence, so none is
        missed or doubled if broadcasts are. A store that is away is waited for, as by `wait`.

        Args:
            after: Begin behind the event of this `seq`.
        """
        changed = threading.Event()
        history = _History(self._workspace.store, pid, after)
        with self._listening([pid], changed.set):
            while not history.over:
                changed.clear()
                yield from history.next()
                if not history.over:
                    history.waited(changed.wait(history.pause))

    async def follow_async(
        self, pid: int, after: int = 0, progress: Callable[[Sequence[ProcessRow]], None] | None = None
    ) -> AsyncIterator[EventRow]:
        """`follow` from a coroutine; no thread waits meanwhile. `progress` is called on a thread."""
        history = _History(self._workspace.store, pid, after, progress)
        async with self._listening_async([pid]) as changed:
            while not history.over:
                changed.clear()
                for event in await asyncio.to_thread(history.next):
                    yield event
                if not history.over:
                    await history.wait_for(changed)

    @contextmanager
    def all_changes(self, listener: Callable[[Sequence[int]], object]) -> Iterator[None]:
        """In the block, `listener` is called with the pids of each broadcast of a change, on whatever thread
        that comes. Some may be lost."""
        with self._lock:
            self._listeners.append(listener)
        self.ask()
        try:
            yield
        finally:
            with self._lock:
                self._listeners.remove(listener)

    def ask(self) -> None:
        """Subscribe, if that was not done yet; a broker that is away is not waited for."""
        if not self._subscribed:
            self._workspace.background.post(self._subscribe)

    @asynccontextmanager
    async def _listening_async(self, pids: Sequence[int]) -> AsyncIterator[asyncio.Event]:
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        listening = self._listening(pids, lambda: loop.call_soon_threadsafe(changed.set))
        await asyncio.to_thread(listening.__enter__)
        try:
            yield changed
        finally:
            listening.__exit__(None, None, None)

    @contextmanager
    def _listening(self, pids: Sequence[int], wake: Callable[[], object]) -> Iterator[None]:
        with self._lock:
            for pid in pids:
                self._wakers.setdefault(pid, set()).add(wake)
        self.ask()
        try:
            yield
        finally:
            with self._lock:
                for pid in pids:
                    wakers = self._wakers.get(pid)
                    if wakers is not None:
                        wakers.discard(wake)
                        if not wakers:
                            del self._wakers[pid]

    def _subscribe(self) -> None:
        if not self._subscribed:
            changes = kiwipy.BroadcastFilter(self._on_change, subject="state_changed.*")
            self._workspace.communicator.add_broadcast_subscriber(changes)
            self._subscribed = True

    def _on_change(
        self, _communicator: object, body: Any, sender: Any, _subject: object, _correlation: object
    ) -> None:
        pids = pids_of(body, sender)
        with self._lock:
            wakers = {wake for pid in pids for wake in self._wakers.get(pid, ())}
            listeners = list(self._listeners)
        for wake in wakers:
            wake()
        for listener in listeners:
            listener(pids)


class _Pacing:
    """How long to wait for a broadcast before the next read of the store: longer while none comes.

    Attributes:
        pause: Seconds until the next read if no broadcast comes.
    """

    pause = FIRST_PAUSE
    _answered = False

    def _tolerate(self, away: StoreUnavailable, pid: int) -> None:
        """The store does not answer: read again later, if it ever did and may do so again."""
        if not self._answered or isinstance(away, StoreMoved):
            raise away
        said = words_of(away)
        sentence = "waiting for process %(pid)s: %(error)s; it is tried again"
        _throttled.warn(sentence, pid=pid, error=away, key=said)

    def waited(self, heard: bool) -> None:
        """The pause before the next read is over; `heard`: a broadcast has ended it."""
        self.pause = FIRST_PAUSE if heard else min(max(self.pause, FIRST_PAUSE) * 1.5, LONGEST_PAUSE)

    async def wait_for(self, changed: asyncio.Event) -> None:
        """Wait so long, or until a broadcast has come."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(changed.wait(), self.pause)
        self.waited(changed.is_set())


class _History(_Pacing):
    """The history of one process, read piece by piece.

    Attributes:
        over: The process has ended and its last event was given.
    """

    def __init__(
        self,
        store: StoreContract,
        pid: int,
        after: int,
        progress: Callable[[Sequence[ProcessRow]], None] | None = None,
    ) -> None:
        self._store, self._pid, self._after, self._progress = store, pid, after, progress
        self.over = False

    def next(self) -> Sequence[EventRow]:
        try:
            row = self._store.get(self._pid)  # before the events: its end is then among them
            events = self._store.events(self._pid, after=self._after)
            if self._progress is not None and row is not None:
                self._progress([row])
        except StoreUnavailable as away:
            self._tolerate(away, self._pid)
            return ()
        self._answered = True
        if events:
            self._after = events[-1].seq
        self.over = row is None or row.terminated
        return events


class _Poll(_Pacing):
    """The reads of the store for one wait."""

    def __init__(
        self,
        store: StoreContract,
        pids: Sequence[int],
        until: Callable[[ProcessRow], bool],
        timeout: float | None,
        progress: Callable[[Sequence[ProcessRow]], None] | None,
    ) -> None:
        self._store = store
        self._pids = pids
        self._until = until
        self._progress = progress
        self._missing = list(dict.fromkeys(pids))
        self._rows: dict[int, ProcessRow] = {}
        self._deadline = None if timeout is None else time.monotonic() + _seconds(timeout)

    @property
    def seen(self) -> list[ProcessRow]:
        return [self._rows[pid] for pid in self._pids if pid in self._rows]

    def check(self) -> bool:
        """Read what is missing; True if nothing is, or the time is over."""
        left = None if self._deadline is None else self._deadline - time.monotonic()
        late = left is not None and left <= 0
        away = self._away(self._read)
        if self._progress is not None:  # also while the store is away: it may find that a worker has ended
            away = self._away(self._progress, self.seen) or away
        if away is not None and self._missing:
            if late:
                raise away
            self._tolerate(away, self._missing[0])
        if left is not None:
            self.pause = max(0.0, min(self.pause, left))
        return not self._missing or late

    def _read(self) -> None:
        found = {row.pid: row for row in self._store.select(Selection(pids=self._missing))}
        self._answered = True
        for pid in set(self._missing) - found.keys():  # pruned meanwhile, perhaps
            self._rows.pop(pid, None)
        self._rows.update(found)
        self._missing = [pid for pid in self._missing if pid in found and not self._until(found[pid])]

    def _away(self, call: Callable[..., None], *arguments: object) -> StoreUnavailable | None:
        """Why the store does not answer; None if it does."""
        try:
            call(*arguments)
        except StoreUnavailable as error:
            return error
        return None


def _seconds(timeout: object) -> float:
    """
    Raises:
        ValueError: it is no number of seconds.
    """
    if not isinstance(timeout, SupportsFloat) or timeout != timeout:
        raise ValueError(f"timeout takes a number of seconds, or None, not {reprlib.repr(timeout)}")
    try:
        return float(timeout)
    except OverflowError:
        return float("inf")
