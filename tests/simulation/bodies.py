"""What runs in a step host of the simulated world, on a lane and a wire."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Callable, Coroutine, Iterator, Sequence
from signal import Signals
from typing import TYPE_CHECKING, Any, TypeVar, cast
from unittest.mock import patch

import msgspec

from quince.hosts import host, shared_host
from quince.hosts.exclusive_host import Turns
from quince.hosts.host import Facts
from quince.hosts.host import StepHost as Program
from quince.hosts.hosted_step import HostedStep
from quince.hosts.link import _value
from quince.hosts.protocol import Answer, Begin, Call, Done, Frames, ToHost, ToWorker, frame
from quince.hosts.stepper import Stepper
from quince.hosts.template import Ended, Fork
from quince.hosts.who_runs import WhoRuns
from tests.simulation.lane import Lane

if TYPE_CHECKING:
    from tests.simulation.hosts import Pool, SocketPair

T = TypeVar("T")

FORK = 0.002
REAP = 0.001
LOOK_SECONDS = 1.0
NO_PROCESS = 1 << 30
"""More than any process id of this machine."""

Point = Callable[["Body", str], None]
"""Told of where a host is with a step: `begun`, `stepped` (the user's code has run), or `answered`."""


class NoTraces:
    """Steps of the simulation leave nothing behind."""

    found: Sequence[str] = ()

    def look(self, *, others: bool) -> list[str]:
        return []

    @contextlib.contextmanager
    def loading(self) -> Iterator[None]:
        yield


class NoOutput:
    """Nor do they print."""

    @contextlib.contextmanager
    def of(self, *_: object) -> Iterator[None]:
        yield


class NoFinder:
    """No modules of users are imported."""

    def __init__(self, _folders: object) -> None:
        """See there."""

    def install(self) -> None:
        """See there."""


@contextlib.contextmanager
def _around(body: Body) -> Iterator[None]:
    """Inside the block a host is made that runs on the lane and the link of this one."""
    stand_ins = {
        "DrivingLoop": lambda: body.lane,
        "HostLink": lambda *_: body.link,
        "ClassLoader": lambda *_: body.pool.registry,
        "SourceFinder": NoFinder,
        "find_classes_by": lambda _: None,
        "Traces": lambda **_: NoTraces(),
        "SideBySide": lambda *_: NoOutput(),
        "OneAtATime": lambda *_: NoOutput(),
    }
    with contextlib.ExitStack() as stack:
        for name, thing in stand_ins.items():
            stack.enter_context(patch.object(host, name, thing))
        yield


class BodyLink:
    """The host's end. A blocking call is answered where it stands: its worker is not asked when it turns."""

    busy = 0

    def __init__(self, body: Body) -> None:
        self._body = body
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}

    def send(self, message: ToWorker) -> None:
        self._body.to_worker.send([message])
        if isinstance(message, Done):
            self._body.point("answered")

    def flush(self) -> None:
        """Everything is under way already."""

    def look(self) -> None:
        self._body.from_worker.look()

    def call(self, pid: int, verb: str, *given: Any, within: float | None = None) -> Any:
        (call,) = Frames(ToWorker).feed(frame([Call(next(self._numbers), pid, verb, list(given), within)]))
        value = self._body.pool.answer_now(call)
        (answer,) = Frames(ToHost).feed(
            frame([Answer(call.number, msgspec.Raw(msgspec.msgpack.encode(value)))])
        )
        return _value(answer, verb)

    async def ask(self, pid: int, verb: str, *given: Any, within: float | None = None) -> Any:
        number = next(self._numbers)
        answered = self._waiting[number] = self._body.lane.create_future()
        self.send(Call(number, pid, verb, list(given), within))
        return _value(await answered, verb)

    def arrived(self, message: Any) -> None:
        if not isinstance(message, Answer):
            self._body.lane.visit(lambda: self._body.program._on_message(message))
        elif (answered := self._waiting.pop(message.number, None)) is not None and not answered.done():
            answered.set_result(message)


class _Program(Program):
    """What both kinds of hosts are here."""

    def __init__(self, body: Body, facts: Facts) -> None:
        self._body = body
        with _around(body):
            super().__init__(cast(Any, None), body.who_runs, facts)
        self._stepper = BodyStepper(body)

    async def _run(self, begin: Begin, step: HostedStep) -> Done:
        await self._body.reach("begun")
        done = await super()._run(begin, step)
        await self._body.reach("stepped")
        return done

    def _fail(self, error: BaseException) -> None:
        raise error


class Shared(_Program, shared_host.SharedHost):
    """Coroutines of many processes, side by side."""


class Exclusive(_Program):
    """One step at a time, for each a token."""

    def __init__(self, body: Body, facts: Facts, permits: int) -> None:
        super().__init__(body, facts)
        self._turns = Turns(permits, lambda: self._link.look())
        self._turning: asyncio.Task[None] | None = None
        self._stepping: asyncio.Task[None] | None = None
        self._turn = 0

    def serve(self) -> None:
        """Its lane turns without it."""

    async def _outside(self, function: Callable[..., T], *args: Any) -> T:
        return function(*args)

    def _begin(self, begin: Begin) -> None:
        self._turns.add(begin)
        if self._turning is None:
            self._turning = self._loop.create_task(self._take_turns())

    async def _take_turns(self) -> None:
        try:
            while (begin := self._turns.take()) is not None:
                self._turn = begin.pid
                step = self._step(begin, self._steps[begin.pid])
                self._stepping = self._loop.create_task(step, name=f"process {begin.pid}")
                await asyncio.wait([self._stepping])
                self._turn = 0
        finally:
            self._turning = None

    def _driven(self, step: HostedStep, coroutine: Coroutine[Any, Any, T]) -> Coroutine[Any, Any, T]:
        return step.driver.drive(coroutine)

    def _leave(self, pid: int) -> None:
        super()._leave(pid)
        if self._turns.leave(pid):
            del self._steps[pid]

    def _cancel(self, pid: int) -> None:
        if self._stepping is not None and not self._stepping.cancelling():
            self._stepping.cancel("killed")


class BodyStepper(Stepper):
    """A function has the main thread from when its thread begins until it ends."""

    def __init__(self, body: Body) -> None:
        super().__init__(cast(Any, None))
        self._body = body

    async def _called(self, function: Callable[..., Any], *args: Any) -> Any:
        who_runs, turn = self._body.who_runs, getattr(self._body.program, "_turn", 0)
        before = who_runs.enter(turn) if turn else 0
        try:
            return await super()._called(function, *args)
        finally:
            if turn:
                who_runs.leave(before)


class Body:
    """One step host: an operating-system process.

    Attributes:
        lane: Its event loop, and its threads.
        link: Its end of the link.
        who_runs: The page that its worker reads too.
        to_worker, from_worker: Its link.
        running: Whose steps run in it.
    """

    lane: Lane
    link: BodyLink
    who_runs: WhoRuns

    def __init__(self, pool: Pool, pair: SocketPair, fork: Fork, page: int, permits: int | None) -> None:
        machine, facts = pool.machine, msgspec.json.decode(fork.facts, type=Facts)
        self.pool = pool
        self.kind = facts.kind
        self.ospid = NO_PROCESS + fork.number
        self.actor = pair.actor
        self.actor.name = f"{machine.actor.name}.{fork.number}"
        self.actor.waits = machine.cable.mend
        self.lane = Lane(pool.world, self.actor, "loop")
        self.who_runs = WhoRuns(page)
        self._permits = None if permits is None else os.dup(permits)
        self.to_worker, self.from_worker = pair.to_worker, pair.from_worker
        self.link = BodyLink(self)
        self.program: Shared | Exclusive = (
            Shared(self, facts) if self._permits is None else Exclusive(self, facts, self._permits)
        )
        self.from_worker.deliver = self.link.arrived
        self.from_worker.on_closed = self.die_with_worker
        self._reasons: set[str] = set()

    @property
    def running(self) -> list[int]:
        return [pid for pid, step in self.program._steps.items() if step.process is not None]

    def point(self, what: str) -> None:
        if not self.actor.dead:
            self.pool.point(self, what)

    async def reach(self, what: str) -> None:
        """Be so far with a step; whoever dies or hangs there gets no further."""
        self.point(what)
        if self.actor.dead or self.actor.frozen:
            await asyncio.sleep(0)

    def die(self, number: Signals, *, by_worker: bool = False) -> None:
        """It ends now; its worker hears of that, after all that it has said."""
        if not self.actor.dead:
            guilty = 0 if by_worker else self.who_runs.pid
            self.pool.interrupted(self, guilty)
            self.die_with_worker()
            self.pool.world.note(f"{self.actor.name} ends: {number.name}")
            self.pool.tell(REAP, Ended(self.ospid, number))
            self.to_worker.close()

    def die_with_worker(self) -> None:
        """Nobody hears of it."""
        if not self.actor.dead:
            self.actor.dead = True
            self.who_runs.abandon()  # the page stays as it is now
            if self._permits is not None:
                os.close(self._permits)

    def hang(self, seconds: float) -> None:
        """It stands still for so long (a C extension, SIGSTOP) and then goes on as if nothing had been."""
        world = self.pool.world
        world.note(f"{self.actor.name} hangs")
        self.stand_still("it hangs")
        world.after(seconds, None, "host thaws", lambda: self.go_on("it hangs"))

    def stand_still(self, reason: str) -> None:
        """It does nothing until there is no reason any more."""
        self._reasons.add(reason)
        self.pool.world.freeze(self.actor)

    def go_on(self, reason: str) -> None:
        """This is no reason any more to stand still."""
        self._reasons.discard(reason)
        if self.actor.frozen and not (self._reasons or self.actor.dead):
            self.pool.world.thaw(self.actor)
