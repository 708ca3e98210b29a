"""A process whose steps run in step hosts, as its worker sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

from quince.hosts.failures import (
    AwaitsAgain,
    CannotGoOn,
    EngineFailed,
    Fenced,
    HostDied,
    Restored,
    Stopped,
    Unmet,
)
from quince.hosts.protocol import Begin, Done, Said, Terms
from quince.worker.paused_workers import holds_lock
from quince.worker.seats import claim_after
from quince.worker.step_host import StepHost
from quince.worker.step_limit import StepLimit
from quince.worker.step_stopper import stop_by_force, stop_step
from quince_persistence.records import Claim, Result, State
from quince_persistence.records.steps import Step, Telling

MOST_TRIES, TRY_SECONDS = 40, 0.005
"""How often, and after how many seconds each time, a step is stopped that has locked a file."""
LAST_SECONDS = 1.0
"""Seconds, beyond the grace, that a worker waits for the end of a step that it has cut off."""


class Pool(Protocol):
    """What has hosts."""

    def place(self, seat: HostedSeat, now: StepHost | None) -> StepHost:
        """A host for the next step of a process."""

    def heard(self, seat: HostedSeat, host: StepHost, done: Done) -> None:
        """A host has told of the end of a step, or why it has begun none."""

    async def is_edited(self, seat: HostedSeat) -> bool:
        """A class that could be loaded before has files that were changed not long ago."""

    def goes_on(self, pid: int) -> None:
        """A step waits inside no more."""

    def says(self, telling: Telling) -> None:
        """A step has said something while it runs."""


class HostedSeat:
    """See `Seat`.

    Args:
        root: The folder whose modules come first where it is run; None: the workspace's.
        grace: Seconds from the signal that stops a step until its host is killed.

    Attributes:
        alone: Its next step is to have a host to itself, wherever its class belongs.
    """

    def __init__(self, pool: Pool, claim: Claim, root: str | None, grace: float) -> None:
        self.pid = claim.row.pid
        self.class_path = claim.row.class_path
        self.root = root
        self.alone = claim.row.deaths_alone > 0
        self._pool = pool
        self._grace = grace
        self._claim = claim
        self._host: StepHost | None = None
        self._stepping: asyncio.Future[Done | None] | None = None
        self._answer: asyncio.Future[bool] | None = None
        self._asked = 0
        self._stopping = False
        self._waited = False
        self._halted = False
        self._deaths = 0
        self._stopper: asyncio.Task[None] | None = None
        self._time = StepLimit(self._time_over)
        self.on_failure: str | None = None
        self.span: str | None = None
        self._terms: Terms | None = None
        self._overrun: Terms | None = None

    async def step(self, results: Sequence[Result] = ()) -> Step:
        loop = asyncio.get_running_loop()
        self.on_failure = None
        while True:
            host = self._pool.place(self, self._host)
            if host is not self._host:
                self.leave()
                self._host = host
            claim = None if self.pid in host.residents else self._claim
            self._stepping = loop.create_future()
            overrun = self._overrun
            host.begin(
                self,
                Begin(self.pid, claim, results, self._stopping, self._waited, self.alone, overrun, self.span),
            )
            try:
                done = await self._stepping
            except asyncio.CancelledError:
                await self._cut_off()
                raise
            finally:
                self._over(host)
            if done is not None:
                self._pool.heard(self, host, done)
                ended_late = done.failure == "Stopped" and self._overrun is not overrun
                if done.failure not in ("Outdated", "Misplaced") and not ended_late:
                    break
            self._host = None
            if self._halted:
                raise Stopped
        self.alone, self._overrun, self._deaths = False, None, 0
        if done.step is None:
            self._host = None
            if done.importing and not done.passing and await self._pool.is_edited(self):
                done.passing, done.reason = True, f"{done.reason} (somebody is editing it)"
            raise _failure(done)
        row = self._claim.row
        if (done.step.pid, done.step.owner, done.step.epoch) != (row.pid, row.owner, row.epoch):
            raise EngineFailed("its step host has told of another process", passing=True)
        self._waited = done.step.state is State.WAITING
        self._claim = claim_after(done.step, self._claim)
        return done.step

    @property
    def _runs(self) -> bool:
        return self._stepping is not None

    @property
    def has_run(self) -> bool:
        """Steps of it have run, here or elsewhere."""
        return self._claim.checkpoint is not None

    def _over(self, host: StepHost) -> None:
        """Its step is not to be waited for any more."""
        self._stepping = None
        self._asked = 0
        self._time.clear()
        self._settle(False)
        if self._stopper is not None:
            self._stopper.cancel()
            self._stopper = None
        host.thaw()

    def stop(self, stopping: bool) -> None:
        self._stopping = stopping
        if self._stepping is not None and self._host is not None:
            self._host.order(self.pid, "stop" if stopping else "go")

    # Stopping it

    def kill(self, *, force: bool) -> None:
        host = self._host
        if self._stepping is None or host is None:
            return
        if force:
            self._halted = True
            if self._has_begun(host):
                self._stop_by(host, stop_by_force(host, self.pid))
        elif not self._halted:
            self._halted = True
            self._stop(host, "kill")

    def _time_over(self) -> None:
        """It has had its time, and is stopped. One that had to be ended for that has failed, too: the next
        host is told so."""
        if self._stepping is not None and self._host is not None and not self._halted:
            self._overrun = self._terms
            self._stop(self._host, "timeout")

    async def _cut_off(self) -> None:
        """This worker does not go on with it: its step is stopped, and waited for."""
        host, over = self._host, self._stepping
        if host is None or over is None:
            return
        self._stepping = asyncio.get_running_loop().create_future()
        self._stop(host, "cut")
        self._stepping.add_done_callback(lambda over: over.cancelled() or over.exception())
        await asyncio.wait([self._stepping], timeout=self._grace + LAST_SECONDS)

    def _stop(self, host: StepHost, how: str) -> None:
        if self._has_begun(host):
            self._stop_by(host, stop_step(host, self.pid, how, self._grace))

    def _stop_by(self, host: StepHost, stopping: Coroutine[Any, Any, None]) -> None:
        host.retired = host.retired or not host.shared  # what is interrupted there may leave anything behind
        if self._stopper is not None:
            self._stopper.cancel()
        self._stopper = asyncio.get_running_loop().create_task(stopping)

    def _has_begun(self, host: StepHost) -> bool:
        """Whether its step runs. If it only waits for its turn it is taken back; so are those behind it."""
        for guest in host.take_back():
            guest.taken_back()
        return self.pid in host.guests

    # Pausing it

    async def suspend(self, *, now: bool) -> bool:
        host = self._host
        if self._stepping is None or host is None:
            return False
        if not self._has_begun(host):
            self._halted = True
            return False
        if now and not host.shared:
            if frozen := await self._freeze(host):
                self._time.hold()
            return frozen
        self._settle(False)
        self._answer = asyncio.get_running_loop().create_future()
        self._asked += 1
        host.order(self.pid, "pause" if now else "suspend")
        suspended = await self._answer
        if suspended:
            self._time.hold()
        return suspended

    async def _freeze(self, host: StepHost) -> bool:
        """Stop it; not in the midst of a commit, though, for which all others would wait."""
        frozen = host.freeze()
        for _ in range(MOST_TRIES):
            if not (frozen and holds_lock(host.ospid)):
                break
            host.thaw()
            await asyncio.sleep(TRY_SECONDS)
            frozen = self._runs and host.freeze()
        return frozen

    def resume(self) -> None:
        self._settle(False)
        self._time.go_on()
        if self._stepping is not None and self._host is not None:
            self._host.order(self.pid, "play")
            self._host.thaw()

    def leave(self) -> None:
        if self._host is not None:
            self._host.forget(self.pid)
            self._host = None

    # Guest

    def done(self, done: Done) -> None:
        if done.failure == "NotBegun":
            self.taken_back()
        elif self._stepping is not None and not self._stepping.done():
            self._stepping.set_result(done)

    def under_terms(self, terms: Terms) -> None:
        """What holds for its step from now on."""
        if self._stepping is None:
            return
        self._terms, self.on_failure = terms, terms.on_failure
        self._time.set(terms.seconds)
        if terms.seconds is None and self._stopper is not None and not self._halted:
            self._overrun = None
            self._stopper.cancel()
            self._stopper = None

    def taken_back(self) -> None:
        """Its step has not begun where it waited for its turn."""
        if self._stepping is not None and not self._stepping.done():
            self._stepping.set_result(None)

    def said(self, said: Said) -> None:
        if said.verb == "goes on":
            self._pool.goes_on(self.pid)
        elif said.verb in ("pause", "suspend"):
            self._asked = max(0, self._asked - 1)
            if not self._asked:  # else it answers what was asked before the last play
                self._settle(said.value)

    def says(self, telling: Telling) -> None:
        row = self._claim.row
        if (telling.pid, telling.owner, telling.epoch) == (row.pid, row.owner, row.epoch):
            self._pool.says(telling)

    def refused(self, reason: str) -> None:
        self._fail(CannotGoOn(reason, passing=True))

    def died(self, error: HostDied) -> None:
        self._deaths += 1
        self.alone = error.own or not error.sure or self._deaths > 1
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._host = None
        if self._stepping is None or self._stepping.done():
            return
        if isinstance(error, HostDied) and self._overrun is not None and not self._halted:
            self._stepping.set_result(None)  # it was ended for that
        else:
            self._stepping.set_exception(Stopped() if self._halted else error)

    def _settle(self, suspended: bool) -> None:
        answer, self._answer = self._answer, None
        if answer is not None and not answer.done():
            answer.set_result(suspended)


def _failure(done: Done) -> Exception:
    match done.failure:
        case "CannotGoOn":
            return CannotGoOn(
                done.reason, passing=done.passing, loading=done.loading, importing=done.importing
            )
        case "Fenced":
            return Fenced()
        case "Restored":
            return Restored()
        case "AwaitsAgain":
            return AwaitsAgain()
        case "Stopped":
            return Stopped()
        case "Unmet":
            return Unmet(done.reason)
    return EngineFailed(done.reason, passing=done.passing)
