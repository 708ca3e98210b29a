"""The step hosts of the simulated world: actors that die, hang and answer late.

The worker's side is the real one: its pool, its seats, the hosts as it sees them. So is what a host does with
a step; but it runs on a lane, and its link is a wire.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from signal import SIGKILL
from types import SimpleNamespace
from typing import Any, ClassVar, cast
from unittest.mock import patch

from quince.hosts.protocol import Call, ToHost, ToWorker
from quince.hosts.standstill import SILENCE_SECONDS
from quince.hosts.template import Ended, Fork, Forked
from quince.worker import host_pool, placement
from quince.worker import step_host as seen_by_worker
from quince.worker import worker as worker_module
from quince_persistence.errors import StoreUnavailable
from tests.simulation.bodies import FORK, LOOK_SECONDS, Body
from tests.simulation.lane import Lane
from tests.simulation.wires import Wire, WiredLink
from tests.simulation.world import Actor, World


class SocketPair:
    """In the place of both ends of a pair of sockets: a link to a program that is still to be made."""

    made: ClassVar[dict[int, SocketPair]] = {}
    """Those whose program is not made yet, by what stands for the descriptor of its end."""

    def __init__(self, pool: Pool) -> None:
        world, machine = pool.world, pool.machine
        self.actor = Actor("?", machine.actor.host)
        self.to_worker = Wire(world, self.actor, machine.actor, ToWorker)
        self.from_worker = Wire(world, machine.actor, self.actor, ToHost)
        self.body: Body | None = None
        self.number = next(world.numbers)
        self.made[self.number] = self

    def fileno(self) -> int:
        return self.number

    def close(self) -> None:
        """What is sent keeps it open."""


class SeenHost(seen_by_worker.StepHost):
    """A host as its worker sees it; its signals go to an actor."""

    def __init__(self, pair: SocketPair, *args: Any, **options: Any) -> None:
        assert pair.body is not None
        self._number, self._body = pair.number, pair.body
        super().__init__(cast(Any, pair), *args, **options)

    def __hash__(self) -> int:
        return self._number

    def _signal(self, how: object, number: int) -> bool:
        """SIGTERM changes nothing here: a function has run when its thread has begun."""
        if not self.ospid or self._ended is not None:
            return False
        if number is SIGKILL:
            self._body.die(SIGKILL, by_worker=True)
        return True

    def freeze(self) -> bool:
        self._frozen = bool(self.ospid) and self._ended is None
        if self._frozen:
            self._body.stand_still("a pause")
        return self._frozen

    def thaw(self) -> None:
        self._frozen = False
        self._body.go_on("a pause")


class NoTemplate:
    """In the place of the socket to a template: knows to which machine it belongs."""

    def __init__(self, machine: Any) -> None:
        self.machine = machine


class Templates:
    """In the place of those that fork."""

    def __init__(self, template: NoTemplate, *_: object, **__: object) -> None:
        self._pool: Pool = template.machine.hosts

    def fork(self, _root: str | None, fork: Fork, files: Sequence[int]) -> None:
        number, page, _words, *permits = files
        pair = SocketPair.made.pop(number)
        pair.body = Body(self._pool, pair, fork, page, permits[0] if permits else None)
        self._pool.bodies.append(pair.body)
        self._pool.tell(FORK, Forked(fork.number, pair.body.ospid))
        self._pool.watch()

    def know(self, *_: object) -> None:
        """There is nothing to have in common."""

    def warm(self, root: str | None) -> None:
        """See there."""

    def cool(self, root: str | None) -> None:
        """See there."""

    def close(self) -> None:
        """See there."""


class NoWatch:
    """Nobody prints."""

    def __init__(self, *_: object) -> None:
        """See there."""

    async def watch(self) -> None:
        await asyncio.get_running_loop().create_future()

    def host_ended(self, ospid: int) -> None:
        """See there."""


class Pool(host_pool.HostPool):
    """The real one, without a template: what that does, the world does.

    Attributes:
        still: The worker gave no sign of life: its hosts stand still.
    """

    def __init__(self, owner: Any, template: Any, *, checked: bool) -> None:
        self.machine = template.machine
        self.world: World = self.machine.around.world
        self.lane: Lane = self.machine.loop
        self.registry = owner._registry
        self.bodies: list[Body] = []
        self.still = False
        self._until = self.world.now + SILENCE_SECONDS
        self._watched = False
        self.machine.hosts = self
        super().__init__(owner, template, checked=checked)

    def keep(self, descriptor: int) -> None:
        """The lock is the life of the actor here."""

    def alive(self, known: float | None = None) -> None:
        if not self.still:
            self._until = self.world.now + SILENCE_SECONDS
        elif known is not None:
            self.still, self._until = False, self.world.now + SILENCE_SECONDS
            for body in self.living:
                body.go_on("silence of its worker")

    @property
    def living(self) -> list[Body]:
        return [body for body in self.bodies if not body.actor.dead]

    def die_with_worker(self) -> None:
        for body in self.bodies:
            body.die_with_worker()

    # What the world hears of

    def point(self, body: Body, what: str) -> None:
        self.machine.around.at_host(body, what)

    def interrupted(self, body: Body, guilty: int) -> None:
        self.machine.around.host_died(self._owner.id, body.running, guilty)

    # What the template does

    def tell(self, usual: float, what: Forked | Ended) -> None:
        """The worker hears of something from the template."""
        tell = lambda: self.lane.visit(lambda: self._on_told(what))  # noqa: E731
        self.world.after(self.world.delay(usual), self.machine.actor, "told", tell)

    def watch(self) -> None:
        """Look whether the worker gives signs of life, as long as it has hosts."""
        if not self._watched:
            self._watched = True
            self._look_later()

    def _look_later(self) -> None:
        self.world.after(LOOK_SECONDS, None, "template", self._look_at_worker)

    def _look_at_worker(self) -> None:
        if self.world.now > self._until and not self.still:
            self.still = True
            for body in self.living:
                body.stand_still("silence of its worker")
        self._watched = bool(self.living) and not self.machine.actor.dead
        if self._watched:
            self._look_later()

    # What hosts ask

    def answer_now(self, call: Call) -> Any:
        """What a step asks that blocks for the answer: the store answers at once, or when it is back."""
        store, pid, given = self._owner.store, call.pid, call.arguments
        asks: dict[str, Callable[[], Any]] = {
            "pids": lambda: store.allocate_pids(given[0], within=call.within),
            "results": lambda: store.results(given[0], small=given[1]),
            "outputs": lambda: store.outputs(pid, within=call.within),
            "recorded": lambda: store.recorded(pid, given[0]),
            "record_once": lambda: store.record_once(pid, *given).result(0),
            "events": lambda: store.events(pid),
        }
        with self.world.acting(self.machine.actor), _off_loop():
            while True:
                try:
                    return asks[call.verb]()
                except StoreUnavailable as error:
                    if call.within is not None or error.in_doubt:
                        raise
                    self.machine.cable.mend()


@contextlib.contextmanager
def _off_loop() -> Iterator[None]:
    """Whoever calls a store here waits for it."""
    loop = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(loop)


@contextlib.contextmanager
def simulated_hosts(pool: Callable[[], Pool]) -> Iterator[None]:
    """Inside the block workers that have a template have such hosts.

    Args:
        pool: That of the worker that is at work just now.
    """

    def socketpair() -> tuple[SocketPair, SocketPair]:
        pair = SocketPair(pool())
        return pair, pair

    places: list[tuple[Any, str, Any]] = [
        (seen_by_worker, "WorkerLink", WiredLink),
        (seen_by_worker, "memory_kills", lambda: 0),
        (placement, "PARALLEL", 2),
        (host_pool, "socket", SimpleNamespace(socketpair=socketpair)),
        (host_pool, "StepHost", SeenHost),
        (host_pool, "HostTemplates", Templates),
        (host_pool, "OutputWatch", NoWatch),
        (worker_module, "HostPool", Pool),
    ]
    with contextlib.ExitStack() as stack:
        for module, name, thing in places:
            stack.enter_context(patch.object(module, name, thing))
        yield
