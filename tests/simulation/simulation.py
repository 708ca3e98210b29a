"""One simulation from beginning to end."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any

from quince.processes import running_step
from quince_messaging.transports.memory.hub import Hub
from quince_persistence.records import Control, Selection
from quince_persistence.writing.operations.base import Operation
from quince_persistence.writing.operations.restart import RestartProcess
from tests.simulation.appointments import Appointments
from tests.simulation.client import Client, tree
from tests.simulation.clocks import simulated_time
from tests.simulation.deadlines import Deadlines, give_deadlines, hurry
from tests.simulation.diary import Diary
from tests.simulation.faults import SPAN, Chaos, brew
from tests.simulation.fleet import PLACE, Fleet, Surroundings
from tests.simulation.judge import Verdict, at_rest, held_back, unrest
from tests.simulation.ledger import Ledger, opened
from tests.simulation.network import Weather
from tests.simulation.pruning import Pruner
from tests.simulation.rationing import have_ask, ration
from tests.simulation.receivers import LABELS, Told
from tests.simulation.restarts import Restarts, in_vain
from tests.simulation.stores import Archive
from tests.simulation.world import Actor, Struck, World

REST_SECONDS = 1800.0
"""Seconds of simulated time in which all must be at rest when the faults have ended."""

LOOK_SECONDS = 1.0
BOMBS = 0.1
"""So many of the simulations have processes that kill their workers."""

HOSTED = 0.5
"""In so many of the simulations steps run in step hosts."""

PUT_ASIDE = 0.2
"""So many of the trees are put aside where they fail."""

CALM = 0.1
"""So many of the simulations are without any fault but those of messages."""


@dataclass
class Outcome:
    """What came of one seed.

    Attributes:
        digest: The trace in a word.
        wrong: What must not be, one sentence each.
        events: How many things happened.
        seconds: How long it took, in simulated time.
    """

    seed: int
    digest: str = ""
    wrong: list[str] = field(default_factory=list)
    events: int = 0
    seconds: float = 0.0


@functools.cache
def archive() -> Archive:
    """The one of this interpreter."""
    return Archive()


def simulate(seed: int, tell: Callable[[str], None] | None = None) -> Outcome:
    """Run the simulation of a seed. The same seed gives the same, always and everywhere.

    Args:
        tell: Called with each line of the trace, and of the workers' logs.
    """
    with scene(seed, tell, told=True) as course:
        wrong = course.run()
    world = course.world
    if tell is not None:
        for line in world.trace:
            tell(line)
    return Outcome(seed, world.digest(), wrong, len(world.trace), world.now)


@contextmanager
def scene(
    seed: int,
    tell: Callable[[str], None] | None = None,
    *,
    hosted: bool | None = None,
    told: bool = False,
) -> Iterator[Course]:
    """A world in which nothing has happened yet.

    Args:
        hosted: Steps run in step hosts, or not; None: the seed decides.
        told: Somebody may be told of what happens, over which workers may die: the seed decides.
    """
    archive().wipe()
    threads = set(threading.enumerate())
    world = World(seed)
    ledger = Ledger(world)
    deadlines = Deadlines(world)
    diary = Diary(world, ledger.retried, lambda name: client.store.schedule(name))

    def witness(actor: Actor, operation: Operation[Any], outcome: Any) -> None:
        for one in (deadlines, diary):
            world.complaints.extend(one.witness(operation, outcome, archive().reads))
        if isinstance(operation, RestartProcess):
            world.complaints.extend(in_vain(outcome, archive().reads))
        ledger.witness(actor, operation, outcome)

    if hosted is None:
        hosted = Random(f"hosts of {seed}").random() < HOSTED
    receivers = archive().told = Told(world, SPAN, maybe=told)
    place = replace(PLACE, receivers=receivers.receivers)
    around = Surroundings(
        world, archive(), Weather(), witness, ledger.at_host, ledger.host_died, hosted, place
    )
    fleet = Fleet(around)
    ledger.explode = fleet.explode
    receivers.kill = fleet.kill_actor
    surroundings = (
        simulated_time(world), fleet.installed(), receivers.installed(), diary.followed(), opened(ledger),
        _listening(world, tell),
    )  # fmt: skip
    with ExitStack() as stack:
        for part in surroundings:
            stack.enter_context(part)
        client = Client(around)
        receivers.begin(client.store, archive().reads)
        try:
            yield Course(world, fleet, client, ledger, receivers)
        finally:
            fleet.bury()
            client.close()
            running_step._running.clear()  # of hosts that have died in the midst of a step
    real = [thread.name for thread in set(threading.enumerate()) - threads if "quince" in thread.name]
    assert not real, f"{real} ran beside the simulation: no seed would be the same twice"


@dataclass
class Course:
    """The parts of a simulation, in their order. Each part that ends badly is the last one."""

    world: World
    fleet: Fleet
    client: Client
    ledger: Ledger
    told: Told
    appointments: Appointments | None = None
    pruner: Pruner | None = None

    def run(self) -> list[str]:
        """From a random beginning to the end. Returns what is wrong."""
        self._begin()
        return self.finish()

    def finish(self) -> list[str]:
        """From what is going on now to the end. Returns what is wrong."""
        for part in (self._come_to_rest, self._go_on, self._mend, self._stop, self._judge):
            wrong = [*self.world.complaints, *part(), *self.told.wrong]
            if wrong:
                return wrong
        return []

    def _begin(self) -> None:
        random = self.world.random
        brew(self.world, self.fleet.around.weather)
        rations = ration(self.world.seed, self.client.store)
        archive().rationed = rations is not None
        hurried = hurry(self.world.seed)
        for _ in range(random.randint(1, 3)):
            self.world.after(random.random(), None, "worker", self._start)
        for _ in range(random.randint(1, 2)):
            plan = tree(random)
            if rations is not None:
                have_ask(plan, rations)
            if hurried is not None:
                give_deadlines(plan, hurried)
            if random.random() < PUT_ASIDE:
                plan["on_failure"] = "pause"
            if self.told.receivers:
                plan["labels"] = LABELS
            self.world.after(random.random() * 2, None, "submit", lambda plan=plan: self.client.submit(plan))  # type: ignore[misc]
        if random.random() < BOMBS:
            for _ in range(random.randint(1, 3)):
                plan = {"kind": "bomb", "inputs": {"seconds": random.choice((0.0, 0.3, 2.0))}}
                self.world.after(random.random() * 2, None, "submit", partial(self.client.submit, plan))
        Restarts(self.world, self.client, SPAN)
        self.pruner = Pruner(self.world, self.client, SPAN)
        appointments = self.appointments = Appointments(self.world, self.client, self.fleet, SPAN)
        chaos = Chaos(self.world, self.fleet, self.client, self.ledger, most=8)
        if random.random() > CALM:
            chaos.brew()
        self.world.run(lambda: False, SPAN)
        chaos.end()
        self.world.run(lambda: False, 3.0 if appointments.plans else 0.0)
        self.world.complaints.extend(appointments.end())

    def _start(self) -> None:
        self.fleet.start()

    def _come_to_rest(self) -> list[str]:
        if not self._rests():
            return [
                f"not at rest {REST_SECONDS:g} s after the last fault: {unrest(archive(), self.client.store)}"
            ]
        if self.pruner is not None:
            self.pruner.prune()
        return list(held_back(self.client.store, self.ledger))

    def _go_on(self) -> list[str]:
        """All that is paused plays again. (A pause that was asked for long ago may come only now.)"""
        for _ in range(5):
            self.client.play_all()
            if not self._rests():
                return [f"not at rest {REST_SECONDS:g} s after play: {unrest(archive(), self.client.store)}"]
            self._after(1.0, lambda: False)
            if not self.client.store.select(Selection(live=True)):
                break
        return []

    def _mend(self) -> list[str]:
        """What failed, and was not to, is retried. Whom nobody signals any more, and what fails
        again and again, is ended."""
        for _ in range(3):
            failed = self.client.store.select(Selection(failed=True, classes=["Mending"]))
            again = [row.pid for row in failed if row.pid not in self.ledger.killed]
            live = self.client.store.select(Selection(live=True))
            hopeless = [row.pid for row in live if row.signals or row.pid in self.ledger.held]
            if not again and not hopeless:
                break
            for pid in again:
                self.client.retry([pid])
            for pid in hopeless:
                self.client.control(Control.KILL, [pid], tree=False)
            if wrong := self._go_on():
                return wrong
        return list(held_back(self.client.store, self.ledger))

    def _stop(self) -> list[str]:
        """The dead are found dead, the last tasks are taken, and the workers drain."""
        if not self._after(REST_SECONDS, lambda: not (self._ghosts() or self._tasks() or self.told.pending)):
            return [
                f"{self._tasks()} tasks are left on the queue, the rows of {self._ghosts()}, and notices "
                f"{[*self.told.pending]}"
            ]
        self.fleet.closing = True
        for machine in self.fleet.alive:
            self.fleet.stop(machine)
        if not self.world.run(lambda: not self.fleet.alive, 60.0):
            return ["a worker does not stop"]
        return []

    def _ghosts(self) -> set[str]:
        """Rows of workers that are no more."""
        return {row.id for row in self.client.store.workers()} - {m.worker.id for m in self.fleet.alive}

    def _judge(self) -> list[str]:
        broken = {machine.worker.id for machine in self.fleet.machines if machine.actor.broken}
        pruner = self.pruner or Pruner(self.world, self.client, 0.0)
        wrong = Verdict(archive(), self.client.store, self.ledger, self.client, broken, pruner).wrong
        if self.appointments is not None:
            wrong += self.appointments.judge(self.client.store)
        return wrong

    def _rests(self) -> bool:
        return self._after(REST_SECONDS, lambda: at_rest(archive(), self.world.wall()))

    def _after(self, limit: float, true: Callable[[], bool]) -> bool:
        """Look now and then whether something is true, for so many seconds of simulated time."""
        end = self.world.now + limit
        while not true():
            if self.world.now >= end:
                return False
            self.world.run(lambda: False, LOOK_SECONDS)
            self.world.now = max(self.world.now, min(end, self.world.now + LOOK_SECONDS))
        return True

    def _tasks(self) -> int:
        return sum(hub.size("default") for key, hub in Hub._hubs.items() if key.startswith("simulation\0"))


@contextmanager
def _listening(world: World, tell: Callable[[str], None] | None) -> Iterator[None]:
    """Inside the block what the workers log goes to `tell`; a traceback in it is a complaint."""
    handler = _Ear(world, tell)
    loggers = [logging.getLogger(name) for name in ("quince", "quince_messaging")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO if tell else logging.ERROR)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _Ear(logging.Handler):
    def __init__(self, world: World, tell: Callable[[str], None] | None) -> None:
        super().__init__()
        self._world, self._tell = world, tell

    def emit(self, record: logging.LogRecord) -> None:
        actor = self._world.current
        line = f"{actor.name if actor else '-'} {record.getMessage()}"
        struck = record.exc_info and isinstance(record.exc_info[1], Struck)
        if record.exc_info and not struck and (actor is None or not actor.dead):
            self._world.complaints.append(f"{line}: {record.exc_info[1]!r}")
        if self._tell is not None:
            self._tell(f"{self._world.now:.6f} LOG {line}")
