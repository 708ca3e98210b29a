"""A step host, as its worker sees it."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from signal import SIGKILL, SIGSTOP, SIGTERM
from typing import Protocol

from quince.hosts.failures import HostDied
from quince.hosts.last_words import WHERE, LastWords
from quince.hosts.link import WorkerLink
from quince.hosts.protocol import (
    Answer,
    Begin,
    Call,
    Done,
    Kind,
    Loaded,
    Order,
    Said,
    Terms,
    Told,
    ToWorker,
    stays,
)
from quince.hosts.template import Ended
from quince.hosts.who_runs import WhoRuns
from quince.os_process import is_stopped
from quince.worker.host_end import BECAME_ANOTHER, HostEnd, end_of
from quince.worker.memory_kills import memory_kills
from quince.worker.process_family import continue_family, stop_family
from quince_messaging.structured_log import StructuredLogger
from quince_persistence.records.steps import Telling

_log = StructuredLogger("quince.worker")

LINK_SECONDS = 1.0
"""Seconds that a host may live whose link is closed."""
TOLD_SECONDS = 3.0
"""Seconds, after it was killed for that, in which its template tells how it has ended, if that lives."""
CLOSED = HostEnd("was closed", of_worker=True)
WITH_TEMPLATE = HostEnd("ended with the template from which it was forked", of_worker=True)
COUNT_SECONDS = 1.0
"""What the kernel has killed for want of memory is counted when a step begins; not more often than so."""
LOOKS, LOOK_SECONDS = 3, 0.05
"""How often, and how many seconds apart, bytes are missed before they are lost."""
CUT = HostEnd(
    "was killed: its link to the worker is cut or garbled, as by code that closes, reads or writes files "
    "that it has not opened (`os.closerange`, `os.dup2`), or that replaces functions of Python's",
    by_last=True,
)


class Guest(Protocol):
    """A process that has its seat in a host."""

    pid: int
    class_path: str

    def done(self, done: Done) -> None:
        """Its step has ended."""

    def taken_back(self) -> None:
        """Its step has not begun there, and never will."""

    def said(self, said: Said) -> None:
        """The host has answered an order."""

    def under_terms(self, terms: Terms) -> None:
        """What holds for its step from now on."""

    def says(self, telling: Telling) -> None:
        """Its step has said something while it runs."""

    def refused(self, reason: str) -> None:
        """The host has ended before it began anything, or could not be made."""

    def died(self, error: HostDied) -> None:
        """The host has ended while its step ran there."""


class StepHost:
    """One step host, from its fork to its end.

    Args:
        serve: Answers a call of the host.
        loaded: Called when it has loaded a class.
        gone: Called when it has ended.
        permits: A semaphore from which it takes one for each step that it begins, one at a time; None: it
            runs coroutines, side by side.

    Attributes:
        root: The folder whose modules come first there.
        who_runs: Whose code runs there just now; it is to be read also when the host has ended.
        words: Where its code stands, if it crashes or is asked.
        kind: What it is for.
        shared: Steps of many processes run there side by side.
        guests: The processes whose steps run there, or wait for their turn, by pid.
        residents: Pids of those that are loaded there.
        began: When the first of its guests began its step (time of the loop), or it became idle.
        classes: When each class that it has loaded was loaded (time of the loop).
        loading: It loads a class of which nobody knows yet where its steps may run; others wait for that.
        ospid: Its process id; 0 until it is forked.
        retired: No more steps are to begin there; it ends when the last one has.
        outdated: Files that it has imported have changed: no more processes are to be loaded there.
        unanswered: How often it was asked whether it hears, since it has answered.
        blocked_by: Pid of a process whose coroutine blocks its loop, by a wait for others; 0: none does.
    """

    def __init__(
        self,
        sock: socket.socket,
        root: str | None,
        kind: Kind,
        *,
        who_runs: WhoRuns,
        words: LastWords,
        permits: int | None,
        serve: Callable[[StepHost, Call], None],
        loaded: Callable[[StepHost, Loaded], None],
        gone: Callable[[StepHost], None],
    ) -> None:
        self.root = root
        self.kind = kind
        self.who_runs = who_runs
        self.words = words
        self._kills_before, self._counted = memory_kills(), float("-inf")
        self.shared = kind is not Kind.ALONE
        self._permits = permits
        self._loop = asyncio.get_running_loop()
        self.began = self._loop.time()
        self.classes: dict[str, float] = {}
        self.loading = False
        self.guests: dict[int, Guest] = {}
        self.residents: set[int] = set()
        self.ospid = 0
        self.retired = False
        self.outdated = False
        self.blocked_by = self.unanswered = 0
        self.over = False
        self._gone = gone
        self._serve = serve
        self._loaded = loaded
        self._link = WorkerLink(sock, self._on_message, self._on_closed)
        self._frozen = False
        self._killed: HostEnd | None = None
        self._ended: HostEnd | None = None
        self._lost_link = False
        self._closing: asyncio.TimerHandle | None = None
        self._looking: asyncio.TimerHandle | None = None

    @property
    def usable(self) -> bool:
        """Processes may be loaded there."""
        return not (self.retired or self.outdated or self.blocked_by or self.over or self.frozen)

    def born(self, ospid: int) -> None:
        """It has been forked."""
        self.ospid = ospid
        if self.over:
            self._signal(os.killpg, SIGKILL)

    def begin(self, guest: Guest, begin: Begin) -> None:
        """Run a step of a process there."""
        if not self.guests:
            self.began = now = self._loop.time()
            if now > self._counted + COUNT_SECONDS:
                self._kills_before, self._counted = memory_kills(), now
        self.guests[guest.pid] = guest
        self.residents.add(guest.pid)
        self._link.send(begin)
        if self._permits is not None:
            os.eventfd_write(self._permits, 1)

    def take_back(self) -> list[Guest]:
        """Those whose steps have not begun there and never will."""
        count = self._take_permits() if self._link.flush() else 0
        taken = [self.guests.pop(pid) for pid in list(self.guests)[len(self.guests) - count :]]
        for guest in taken:
            self.forget(guest.pid)
        self._link.flush()
        return taken

    def order(self, pid: int, verb: str) -> None:
        """Tell it something about a process; see `quince.hosts.host`."""
        self._link.send(Order(pid, verb))

    def retire_outdated(self) -> None:
        """Load no more processes there. Those that are there go on, until they wait or end; so does it."""
        self.outdated = True
        self._close_if_left()

    def retire(self) -> None:
        """Begin nothing there any more. What runs there ends there."""
        self.retired = True
        self._close_if_left()

    def _close_if_left(self) -> None:
        if not self.guests and (self.retired or (self.outdated and not self.residents)) and not self.over:
            self.close()

    def answer(self, answer: object) -> None:
        """Answer a call."""
        self._link.send(answer)  # type: ignore[arg-type]

    def forget(self, pid: int) -> None:
        """A process does not go on there."""
        if pid in self.residents:
            self.residents.discard(pid)
            self.order(pid, "leave")
            self._close_if_left()

    def goes_on(self, pid: int) -> None:
        """A step does not block it any more."""
        if self.blocked_by == pid:
            self.blocked_by = 0

    def interrupt(self) -> bool:
        """SIGTERM, now; what has been sent to it goes first. Where a process has the host to itself, what it
        has started there gets it too. False: the host is not there, yet or any more."""
        self._link.flush()
        return self._signal(os.kill if self.shared else os.killpg, SIGTERM)

    def nudge(self) -> None:
        """Have it see what has been sent to it, whatever its code does."""
        self._link.flush()
        self._signal(os.kill, SIGTERM)

    def ask_where(self) -> None:
        """Have it write down where its main thread stands, whatever that does; see `words`."""
        self._signal(os.kill, WHERE)

    def ask_whether_it_hears(self) -> None:
        """Have its event loop answer, which sets `unanswered` to 0."""
        if not self.unanswered:
            self.order(0, "hears")
        self.unanswered += 1

    def _signal(self, how: Callable[[int, int], None], number: int) -> bool:
        if not self.ospid or self._ended is not None:
            return False
        with suppress(ProcessLookupError):
            how(self.ospid, number)
        return True

    def freeze(self) -> bool:
        """Stop it, with all that its steps have started, until `thaw`. False: it is not there."""
        self._frozen = self._signal(os.killpg, SIGSTOP)
        if self._frozen:
            stop_family(self.ospid)
        return self._frozen

    @property
    def frozen(self) -> bool:
        """It stands still since `freeze`."""
        return self._frozen and not self.over

    @property
    def stopped(self) -> bool:
        """Its step, or somebody outside, has stopped it (SIGSTOP)."""
        return bool(self.ospid) and not self._frozen and is_stopped(self.ospid)

    def thaw(self) -> None:
        """Let it go on, if it was stopped."""
        if self._frozen and not self.over:
            continue_family(self.ospid)
        self._frozen = False

    def kill(self, story: str) -> None:
        """End it at once, with its group. None of its guests is to blame for that.

        Args:
            story: How it has ended, for them; goes on after "its step host".
        """
        self.retired = True
        self._killed = HostEnd(story, of_worker=True)
        if not self._signal(os.killpg, SIGKILL):
            self.close()

    def close(self, end: HostEnd = CLOSED) -> None:
        """It is needed no more: it ends now."""
        self.retired = True
        self._signal(os.killpg, SIGKILL)
        self._link.close()
        self._end(end)

    def _retire(self, left: Sequence[str]) -> None:
        """A step has left something behind there: nothing begins there any more."""
        if not self.retired:
            _log.debug(
                "step host %(ospid)d is retired; a step has left %(reason)s",
                ospid=self.ospid,
                reason=", ".join(left),
            )
        self.retired = True
        if not self.shared:  # whoever is still there waits for a turn that does not come
            waiting, self.guests = list(self.guests.values()), {}
            for guest in waiting:
                guest.taken_back()

    def died(self, ended: Ended) -> None:
        """It has ended so, as its template has it."""
        if self.over:  # it was closed before it was there
            return
        words, lacked_memory = self.words.new(), memory_kills() > self._kills_before
        end = end_of(
            ended.status, ended.memory, words=words, lacked_memory=lacked_memory,
            other_program=ended.other_program, out_of_time=ended.out_of_time,
        )  # fmt: skip
        if self._lost_link and ended.status == SIGKILL:
            end = HostEnd(BECAME_ANOTHER, by_last=True) if ended.other_program else CUT
        self.ended(end)

    def _look_at_link(self, lost: int = 0) -> None:
        """What was sent to the host, and is read, has been read by it; or else by users' code."""
        self._looking = None
        if self.over or self.who_runs.received == self._link.sent or not self._link.all_is_read:
            return
        if lost < LOOKS:
            self._looking = self._loop.call_later(LOOK_SECONDS, self._look_at_link, lost + 1)
        else:
            self.close(CUT)

    def ended(self, end: HostEnd) -> None:
        """It has ended so."""
        self._ended = end
        if self._closing is not None:
            self._end(end)

    # What it says

    def _on_message(self, message: ToWorker) -> None:
        if isinstance(message, Call):
            if message.pid and message.pid not in self.residents:
                self.answer(Answer(message.number, error=f"process {message.pid} is not run here"))
            else:
                self._serve(self, message)
        elif isinstance(message, Loaded):
            self.classes[message.class_path] = self._loop.time()
            self._loaded(self, message)
        elif isinstance(message, Done):
            guest = self.guests.pop(message.pid, None)
            self.goes_on(message.pid)
            if message.failure == "NotBegun":
                self.forget(message.pid)
            self.began, self.loading = self._loop.time(), False
            if not stays(message.step):
                self.residents.discard(message.pid)  # the host has dropped it
            if guest is not None:
                guest.done(message)
            if self._looking is None:
                self._look_at_link()
            if message.left:
                self._retire(message.left)
            self._close_if_left()
        elif isinstance(message, Said) and message.verb == "hears":
            self.unanswered = 0
        elif isinstance(message, Told):
            if (guest := self.guests.get(message.pid)) is not None:
                guest.says(message.telling)
        elif isinstance(message, Terms):
            if (guest := self.guests.get(message.pid)) is not None:
                guest.under_terms(message)
        elif (guest := self.guests.get(message.pid)) is not None:
            if message.verb == "goes on":
                self.goes_on(message.pid)
            guest.said(message)

    def _on_closed(self, garbled: bool) -> None:
        """How it has ended is told by the template; but a host may have lost its socket and live on."""
        self.retired = True
        if garbled:
            self._signal(os.killpg, SIGKILL)
            self._end(CUT)
            return
        if self._ended is not None:
            self._end(self._ended)
        else:
            self._closing = self._loop.call_later(LINK_SECONDS, self._lost)

    def _lost(self) -> None:
        """It lives on without its socket; or what it has left keeps its template from telling of its end; or
        its template has died with it."""
        self._lost_link = True
        self._signal(os.killpg, SIGKILL)
        self._closing = self._loop.call_later(TOLD_SECONDS, self._end, WITH_TEMPLATE)

    def _end(self, end: HostEnd) -> None:
        if self.over:
            return
        self.over = True
        end = self._killed or end
        if self._closing is not None:
            self._closing.cancel()
        not_begun = self._take_permits() if self.ospid else len(self.guests)
        guests, self.guests = list(self.guests.values()), {}
        begun = guests[: len(guests) - not_begun]
        at_work = self.who_runs.pid
        if not at_work and end.by_last and len(begun) == 1:
            at_work = self.who_runs.last
        sure = self.kind is not Kind.THREADS and not (end is CUT and len(begun) > 1)
        for guest in begun:
            own = not end.of_worker and guest.pid == at_work
            died = HostDied(end.story, end.words, own=own, sure=sure, lacked_memory=end.lacked_memory)
            guest.died(died)
        nobody = f"no step host lives until it begins the step; the last one {end.story}"
        for guest in guests[len(begun) :]:
            guest.taken_back() if begun else guest.refused(nobody)
        self.words.close()
        if self._permits is not None:
            os.close(self._permits)
            self._permits = None
        self._gone(self)

    def _take_permits(self) -> int:
        count = 0
        if self._permits is not None:
            with suppress(BlockingIOError):
                while True:
                    count += os.eventfd_read(self._permits)
        return count
