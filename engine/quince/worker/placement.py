"""In which step host the next step of a process runs, and how many hosts there are."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from quince.hosts.protocol import Kind
from quince.worker.host_end import HostEnd
from quince.worker.step_host import CLOSED, StepHost

QUICK_SECONDS = 0.01
"""Steps that take longer, as a rule, do not wait behind each other: each gets a host."""
LATE_SECONDS = 0.03
"""So long a step runs before those behind it get another host."""
START_SECONDS = 0.5
"""So long nobody's code may run in a host before those that wait there get another one."""
LONGEST_QUEUE = 32
NEAR = 8
"""So many more quick steps may be before one in the host where its process is loaded than elsewhere."""
PARALLEL = len(os.sched_getaffinity(0))
"""So many hosts there are before a step waits behind another one."""

IDLE_SECONDS = 10.0
"""Seconds that a host without work is kept; so many as there are processors are kept for ever."""

NewHost = Callable[[str | None, Kind], StepHost]


class Placed(Protocol):
    """A process that is to have a place."""

    class_path: str
    root: str | None
    alone: bool


@dataclass(slots=True)
class KnownClass:
    """What the steps of a process class are like.

    Attributes:
        kind: Of the hosts into which it belongs; None: nobody has loaded it yet.
        seconds: How long a step takes, the last ones above all.
        loader: The host that loads it first.
    """

    kind: Kind | None = None
    seconds: float = 0.0
    loader: StepHost | None = None


class Placement:
    """Finds a host for each step.

    A step that may block has a host to itself. While steps are quick, some wait behind others for their turn,
    since that costs less than a host for each; as soon as one takes longer, those behind it go elsewhere.
    Others share a host. What a class needs is known when one host has loaded it: until then the others wait.

    Args:
        new: Makes a host: for a root, of a kind.
    """

    def __init__(self, new: NewHost) -> None:
        self._new = new
        self._loop = asyncio.get_running_loop()
        self._classes: defaultdict[str, KnownClass] = defaultdict(KnownClass)
        self._hosts: defaultdict[tuple[str | None, Kind], list[StepHost]] = defaultdict(list)
        self._late_look: asyncio.TimerHandle | None = None
        self._idle_look: asyncio.TimerHandle | None = None

    def __iter__(self) -> Iterator[StepHost]:
        return iter([host for hosts in self._hosts.values() for host in hosts])

    def discard(self, host: StepHost) -> None:
        """A host has ended."""
        hosts = self._hosts[host.root, host.kind]
        if host in hosts:
            hosts.remove(host)

    def any_of(self, root: str | None) -> bool:
        """Whether there is one for this root."""
        return any(self._hosts[root, kind] for kind in Kind)

    def close(self, end: HostEnd = CLOSED) -> None:
        """End those that there are; so, as far as their processes are concerned."""
        for host in self:
            host.close(end)

    def place(self, process: Placed, now: StepHost | None) -> StepHost:
        """A host for the next step of a process.

        Args:
            now: Where it is loaded.
        """
        known = self._classes[process.class_path]
        if process.alone:
            return self._exclusive(process.root, known, now)
        if known.kind is None:
            return self._loader(process, known)
        if known.kind is Kind.ALONE:
            return self._exclusive(process.root, known, now)
        return self._shared(process.root, known.kind, now)

    def loaded(self, host: StepHost, path: str, kind: Kind) -> None:
        """A host has loaded a class. Who waits behind that finds a place now."""
        self.belongs(path, kind)
        if self._classes[path].loader is host:
            self._classes[path].loader = None
            host.loading = False
            for guest in host.take_back():
                guest.taken_back()

    def belongs(self, path: str, kind: Kind) -> None:
        """The processes of a class belong into hosts of this kind."""
        self._classes[path].kind = kind

    def knows(self, path: str) -> bool:
        """The class has been loaded here before."""
        return path in self._classes and self._classes[path].kind is not None

    def ran(self, process: Placed, seconds: float) -> None:
        """A step of a process has run."""
        known = self._classes[process.class_path]
        known.seconds += (seconds - known.seconds) / 4

    # Of each kind

    def _loader(self, process: Placed, known: KnownClass) -> StepHost:
        host = known.loader
        if host is None or host.over or host.retired or host.frozen or not host.guests:
            host = self._idle(process.root) or self._make(process.root, Kind.ALONE)
            host.loading = True
            known.loader = host
        return host

    def _shared(self, root: str | None, kind: Kind, now: StepHost | None) -> StepHost:
        if now is not None and now.kind is kind and not (now.retired or now.over or now.blocked_by):
            return now
        usable = (host for host in self._hosts[root, kind] if host.usable)
        host = min(usable, key=lambda host: len(host.guests), default=None)
        return host or self._make(root, kind)

    def _exclusive(self, root: str | None, known: KnownClass, now: StepHost | None) -> StepHost:
        here = now if now is not None and not (now.shared or now.retired or now.over) else None
        if here is not None and not here.guests:
            return here
        idle = self._idle(root)
        hosts = [host for host in self._hosts[root, Kind.ALONE] if host.usable]
        queues = [host for host in hosts if self._may_queue(host)] if known.seconds < QUICK_SECONDS else []
        best = idle or min(queues, key=lambda host: len(host.guests), default=None)
        if here is not None and here in queues and best and len(here.guests) <= len(best.guests) + NEAR:
            return self._behind_others(here)  # to wait there costs less than to load it elsewhere
        if idle is not None:
            return idle
        if len(hosts) < PARALLEL or best is None:
            return self._make(root, Kind.ALONE)
        return self._behind_others(best)

    def _behind_others(self, host: StepHost) -> StepHost:
        if self._late_look is None:
            self._late_look = self._loop.call_later(LATE_SECONDS, self._take_back_late)
        return host

    def _idle(self, root: str | None) -> StepHost | None:
        """The one that has worked last."""
        idle = (host for host in self._hosts[root, Kind.ALONE] if host.usable and not host.guests)
        return max(idle, key=lambda host: host.began, default=None)

    def _may_queue(self, host: StepHost) -> bool:
        return not host.loading and len(host.guests) < LONGEST_QUEUE and not self._is_late(host)

    def _make(self, root: str | None, kind: Kind) -> StepHost:
        host = self._new(root, kind)
        self._hosts[root, kind].append(host)
        if self._idle_look is None:
            self._idle_look = self._loop.call_later(IDLE_SECONDS, self._close_idle)
        return host

    # Looking after them

    def _is_late(self, host: StepHost) -> bool:
        """What runs there takes long, or nothing runs though it should."""
        running = host.who_runs.now()
        if running is not None:
            return time.monotonic() - running.since > LATE_SECONDS
        return self._loop.time() - host.began > START_SECONDS

    def _take_back_late(self) -> None:
        """Who waits behind a step that takes long gets another host."""
        self._late_look = None
        for host in self:
            if not host.shared and not host.loading and len(host.guests) > 1 and self._is_late(host):
                for guest in host.take_back():
                    guest.taken_back()
        if any(not host.shared and len(host.guests) > 1 for host in self):
            self._late_look = self._loop.call_later(LATE_SECONDS, self._take_back_late)

    def _close_idle(self) -> None:
        """End hosts that have had nothing to do for a while."""
        self._idle_look = None
        now = self._loop.time()
        idle = sorted((host for host in self if not host.guests), key=lambda host: host.began, reverse=True)
        for host in idle[PARALLEL:]:
            if now - host.began > IDLE_SECONDS:
                host.close()
        if any(True for _ in self):
            self._idle_look = self._loop.call_later(IDLE_SECONDS, self._close_idle)
