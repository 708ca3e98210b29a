"""The workers of the simulated world: real ones, on lanes, with a store and a broker of that world."""

from __future__ import annotations

import asyncio
import itertools
from asyncio import CancelledError
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from signal import SIGSEGV
from typing import Any, cast
from unittest.mock import patch

import quince_messaging
from quince.recovery import sweeper as recovery
from quince.recovery.lease import Lease
from quince.settings import HEARTBEAT_SECONDS, MESSAGES, STATE
from quince.worker import registration
from quince.worker import worker as worker_module
from quince.worker.stale_code import StaleCode
from quince.worker.worker import Worker
from quince.workspace.class_loader import ClassLoader
from quince.workspace.location import Location
from quince_messaging.errors import MessagingError
from quince_messaging.uri import folder_uri
from quince_persistence.databases.sqlite_url import file_url
from quince_persistence.errors import PersistenceError
from quince_persistence.records.workers import WorkerRow
from tests.simulation.bodies import Body
from tests.simulation.flows import KINDS
from tests.simulation.hosts import NoTemplate, Pool, simulated_hosts
from tests.simulation.lane import Lane
from tests.simulation.network import FaultyTransport, LaneCommunicator, Link, Weather, at_once
from tests.simulation.stores import Archive, Cable, SteppedStore, Witness
from tests.simulation.world import Actor, World

_STATE = Path.cwd() / STATE
PLACE = Location(Path.cwd(), file_url(_STATE / "quince.db"), folder_uri(_STATE / MESSAGES))
"""Simulated: nothing of it is there."""
REGISTRY = ClassLoader(Path.cwd())
for _kind in KINDS.values():
    REGISTRY.name_of(_kind)  # or the first simulation would import it, and the next ones not
DEATH_SECONDS = 3.0


@dataclass(frozen=True)
class Surroundings:
    """What all actors of one simulation share.

    Attributes:
        at_host: Told of where a step host is with a step.
        host_died: Told of a step host that has died: its worker's id, whose steps ran in it, whose code did.
        hosted: Steps run in step hosts; else in the program of the worker.
        place: Where all of them are.
    """

    world: World
    archive: Archive
    weather: Weather
    witness: Witness
    at_host: Callable[[Body, str], None]
    host_died: Callable[[str, list[int], int], None]
    hosted: bool
    place: Location
    hub: str = "simulation"


class Machine:
    """One operating-system process with one worker in it."""

    def __init__(self, around: Surroundings, name: str, host: str) -> None:
        self.around = around
        self.actor = Actor(name, host)
        self.cable = Cable()
        self.actor.waits = self.cable.mend
        self.link = Link(around.world, around.weather)
        self.store = SteppedStore(around.archive, around.world, self.actor, self.cable, around.witness)
        self.loop = Lane(around.world, self.actor, "loop")
        self.hidden = Lane(around.world, self.actor, "messages")
        self.transport = FaultyTransport(around.hub, self.actor, self.hidden, self.link)
        random = around.world.random
        with around.world.acting(self.actor):
            self.worker = Worker(
                around.place,
                name=name,
                slots=random.choice((1, 2, 4)),
                linger=random.choice((0.0, 0.5, 2.0)),
                registry=REGISTRY,
                checked=random.random() < 0.3,
                template=cast(Any, NoTemplate(self)) if around.hosted else None,
            )
        self.work: asyncio.Task[None] | None = None
        self.hosts: Pool | None = None

    def start(self, ended: Callable[[asyncio.Task[Any]], None]) -> None:
        self.work = self.loop.create_task(self.worker.run())
        self.work.add_done_callback(ended)

    @property
    def bodies(self) -> list[Body]:
        """Its step hosts that live."""
        return [] if self.hosts is None else self.hosts.living

    def die(self) -> None:
        """Nothing of it is run any more, nor of its step hosts."""
        self.actor.dead = True
        for body in self.bodies:
            body.die_with_worker()

    def open_store(self) -> SteppedStore:
        self.store.open()
        return self.store

    def connect(self) -> LaneCommunicator:
        return LaneCommunicator(self.transport, self.hidden)


class SteppedLease(Lease):
    """A lease whose lock is the life of the actor, and whose thread is an event of the world."""

    def __init__(self, machine: Machine, *args: Any) -> None:
        super().__init__(*args)
        self._machine = machine

    def __enter__(self) -> Lease:
        self._next()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stop.set()

    def _next(self) -> None:
        self._machine.around.world.after(HEARTBEAT_SECONDS, self._machine.actor, "heartbeat", self._tick)

    def _tick(self) -> None:
        if not self._stop.is_set():
            self.beat()
            self._next()


class Fleet:
    """All workers that were ever started.

    Attributes:
        machines: The newest last; those that have died stay.
    """

    def __init__(self, around: Surroundings) -> None:
        self.around = around
        self.machines: list[Machine] = []
        self.closing = False
        self._numbers = itertools.count(1)

    @property
    def alive(self) -> list[Machine]:
        return [machine for machine in self.machines if not machine.actor.dead]

    def start(self) -> Machine:
        """Start a worker, on one of two hosts."""
        number = next(self._numbers)
        host = self.around.world.random.choice(("h1", "h2"))
        machine = Machine(self.around, f"w{number}", host)
        self.machines.append(machine)
        machine.start(lambda done: self._ended(machine, done))
        return machine

    def kill(self, machine: Machine) -> None:
        """Signal 9: nothing of it is run any more. The broker finds out; another worker comes."""
        machine.actor.broken = True
        machine.die()
        self._replace(machine)

    def kill_actor(self, actor: Actor) -> None:
        """The same, for the worker that this is."""
        self.kill(next(machine for machine in self.machines if machine.actor is actor))

    def explode(self, worker_id: str) -> None:
        """A process has done that to its step host; or, without one, to its worker."""
        machine = next(machine for machine in self.machines if machine.worker.id == worker_id)
        for body in machine.bodies:
            if body.actor is self.around.world.current:
                body.die(SIGSEGV)
                return
        self.around.world.note(f"{machine.actor.name} is blown up")
        self.kill(machine)

    def stop(self, machine: Machine) -> None:
        """SIGTERM."""
        with self.around.world.acting(machine.actor):
            machine.worker.stop()

    def leave(self, machine: Machine) -> None:
        """A second signal."""
        machine.actor.broken = True
        with self.around.world.acting(machine.actor):
            machine.worker.leave()

    def rush(self) -> None:
        """All workers look at the same time for what is due."""
        for machine in self.alive:
            if not machine.actor.frozen and hasattr(machine.worker, "sweeper"):
                with self.around.world.acting(machine.actor):
                    machine.loop.create_task(_look(machine.worker))

    def is_dead(self, row: WorkerRow) -> bool:
        """In the place of `lease.is_dead`: what the lock of a worker of the same host tells."""
        asking = self.around.world.current
        owner = next((m for m in self.machines if m.worker.id == row.id), None)
        return asking is not None and row.host == asking.host and (owner is None or owner.actor.dead)

    def bury(self) -> None:
        """The end of the world."""
        for machine in self.machines:
            machine.cable.gone = True
            machine.die()
            bodies = machine.hosts.bodies if machine.hosts is not None else []
            for lane in (machine.loop, machine.hidden, *(body.lane for body in bodies)):
                lane.bury()
            self._hung_up(machine)

    def _ended(self, machine: Machine, done: asyncio.Task[Any]) -> None:
        error = None if done.cancelled() else done.exception()
        machine.die()
        if error is not None:
            machine.actor.broken = True
            self.around.world.note(f"{machine.actor.name} failed: {error!r}")
            if not isinstance(error, (PersistenceError, MessagingError)):
                self.around.world.complaints.append(f"{machine.actor.name} failed: {error!r}")
        self._replace(machine)

    def _replace(self, machine: Machine) -> None:
        world = self.around.world
        world.after(world.delay(0.02), None, "broker", lambda: self._hung_up(machine))
        if not self.closing:
            world.after(0.1 + world.delay(0.5), None, "supervisor", self._start_unless_closing)

    def _hung_up(self, machine: Machine) -> None:
        """The broker notices that nobody is there any more."""
        answering = getattr(machine.transport, "_answering", None)  # there is none before it was opened
        if answering is not None:
            answering._working.clear()  # the dead answer nothing, and are not waited for
        at_once(machine.transport.close())

    def _start_unless_closing(self) -> None:
        if not self.closing:
            self.start()

    def _machine(self) -> Machine:
        actor = self.around.world.current
        return next(machine for machine in self.machines if machine.actor is actor)

    @contextmanager
    def installed(self) -> Iterator[None]:
        """Inside the block workers find the simulated world around them."""
        world = self.around.world
        ids = (f"h0:{number}:sim" for number in itertools.count(1))
        places: list[tuple[Any, str, Any]] = [
            (worker_module, "open_store", lambda location: self._machine().open_store()),
            (worker_module, "new_worker_id", lambda: _in_host(world, next(ids))),
            (registration, "host_name", lambda: world.current.host if world.current else "h0"),
            (registration, "Lease", lambda *args: SteppedLease(self._machine(), *args)),
            (quince_messaging, "connect_async", lambda uri, *, prefix=None: self._machine().connect()),
            (recovery, "is_dead", self.is_dead),
            (recovery, "DEATH_SECONDS", DEATH_SECONDS),
            (StaleCode, "sentences", lambda _watch: []),  # hundreds of real files, at every heartbeat
        ]
        with ExitStack() as stack:
            stack.enter_context(simulated_hosts(lambda: cast(Pool, self._machine().hosts)))
            for module, name, thing in places:
                stack.enter_context(patch.object(module, name, thing))
            yield


async def _look(worker: Worker) -> None:
    with suppress(PersistenceError, MessagingError, CancelledError):  # its own round comes, too
        await worker.sweeper.sweep()


def _in_host(world: World, worker_id: str) -> str:
    return worker_id.replace("h0", world.current.host) if world.current else worker_id
