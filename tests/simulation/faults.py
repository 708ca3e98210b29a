"""What befalls the simulated world, drawn from its seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from signal import SIGKILL
from typing import Any

from quince_messaging.transports.memory.hub import Hub
from quince_persistence.records import Control, Selection
from tests.simulation.bodies import Body
from tests.simulation.client import Client
from tests.simulation.fleet import Fleet, Machine
from tests.simulation.ledger import Ledger
from tests.simulation.network import Weather
from tests.simulation.world import Actor, NoMemory, Struck, World

SPAN = 8.0
"""Seconds of simulated time in which faults come."""

Strike = Callable[[Actor | None], None]
"""A fault, given who made the commit that set it off."""


@dataclass
class Chaos:
    """Strikes at random moments, until `SPAN`: at a time, or soon after a commit, whoever makes it; now and
    then after that of a once-block, before that of its step.

    Attributes:
        most: How many times.
    """

    world: World
    fleet: Fleet
    client: Client
    ledger: Ledger
    most: int

    def brew(self) -> None:
        """Draw what will happen."""
        random = self.world.random
        on_workers = [
            self.kill, self.kill, self.freeze, self.freeze, self.cut_off_from_store, self.cut_off_from_broker,
            self.fleet.stop, self.fleet.leave, self.fail_beside,
        ]  # fmt: skip
        on_all = [
            self.store_away, self.step_clock, self.purge, self.control, self.control, self.control,
            self.control, self.ask, self.retry, self.retry,
        ]  # fmt: skip
        if self.fleet.around.hosted:
            on_workers += [self.kill_host, self.kill_host, self.hang_host, self.hang_host]
            for _ in range(random.randint(0, 3)):
                self._draw_at_host()
        for _ in range(random.randint(1, self.most)):
            strike = self._at_worker(random.choice(on_workers)) if random.random() < 0.5 else None
            self._draw(strike or self._anywhere(random.choice(on_all)))

    def end(self) -> None:
        """No more faults: messages arrive; wait until everything that was broken works again."""
        weather = self.fleet.around.weather
        weather.lost = weather.doubled = weather.slow = 0.0
        self.world.run(self._mended, 60.0)

    def _draw(self, strike: Strike) -> None:
        random = self.world.random
        if random.random() < 0.4:
            self.world.after(random.random() ** 2 * SPAN, None, "fault", lambda: strike(None))
            return
        delay = random.choice((0.0001, 0.001, 0.05, 0.5)) * random.random()

        def soon(actor: Actor) -> None:
            if self.world.now < SPAN:
                self.world.after(delay, None, "fault", lambda: strike(actor))

        if random.random() < 0.2:
            self.ledger.after_record[random.randint(1, 4)] = soon
        else:
            self.ledger.after_commit[random.randint(1, 90)] = soon

    def _draw_at_host(self) -> None:
        """A host dies or hangs before the user's code of a step begins, after it has run, or after the worker
        was told so."""
        random = self.world.random
        seconds = random.choice((0.0, 0.0, 0.5, 8.0, 20.0))

        def strike(body: Body) -> None:
            if self.world.now < SPAN:
                body.hang(seconds) if seconds else body.die(SIGKILL)

        point = random.choice(("begun", "stepped", "answered"))
        self.ledger.at_point[point, random.randint(1, 30)] = strike

    def _at_worker(self, how: Callable[[Machine], None]) -> Strike:
        """Strike the worker that made the commit, or any."""

        def strike(actor: Actor | None) -> None:
            machines = [machine for machine in self.fleet.alive if not machine.actor.frozen]
            chosen = [machine for machine in machines if machine.actor is actor] or machines
            if chosen:
                machine = self.world.random.choice(chosen)
                self.world.note(f"{how.__name__} {machine.actor.name}")
                how(machine)

        return strike

    def _anywhere(self, how: Callable[[], None]) -> Strike:
        def strike(_actor: Actor | None) -> None:
            self.world.note(how.__name__)
            how()

        return strike

    def kill(self, machine: Machine) -> None:
        self.fleet.kill(machine)

    def freeze(self, machine: Machine) -> None:
        self.world.freeze(machine.actor)
        seconds = self.world.random.choice((0.5, 3.0, 10.0, 12.0)) * (0.8 + self.world.random.random() / 2)
        self.world.after(seconds, None, "thaw", lambda: self._thaw(machine))

    def kill_host(self, machine: Machine) -> None:
        if machine.bodies:
            self.world.random.choice(machine.bodies).die(SIGKILL)

    def hang_host(self, machine: Machine) -> None:
        """As a C extension does that keeps the interpreter lock."""
        if machine.bodies:
            body = self.world.random.choice(machine.bodies)
            body.hang(self.world.random.choice((0.5, 4.0, 7.0, 15.0)))

    def fail_beside(self, machine: Machine) -> None:
        """What a worker does beside its processes fails where it stands, by what it waits for."""
        random = self.world.random
        kept = [one.task for one in machine.worker.side.kept.values()]
        failure = random.choice((Struck("struck"), NoMemory("struck"), None))
        waiter: Any = getattr(random.choice(kept), "_fut_waiter", None) if kept else None
        if waiter is not None and not waiter.done():
            with self.world.acting(machine.actor):
                waiter.cancel() if failure is None else waiter.set_exception(failure)

    def cut_off_from_store(self, machine: Machine) -> None:
        machine.actor.broken = True
        machine.cable.cut(self._moment())

    def cut_off_from_broker(self, machine: Machine) -> None:
        machine.link.cut_until = self._moment()

    def store_away(self) -> None:
        until = self._moment()
        for machine in self.fleet.alive:
            machine.actor.broken = True
            machine.cable.cut(until)

    def step_clock(self) -> None:
        self.world.stepped += self.world.random.choice((-8.0, -2.0, 3.0, 15.0))

    def purge(self) -> None:
        for key, hub in Hub._hubs.items():
            if key.startswith("simulation\0"):
                hub.purge("default")

    def control(self) -> None:
        random = self.world.random
        pids = [row.pid for row in self.client.store.select(Selection())]
        if pids:
            verb = random.choice((Control.PAUSE, Control.PAUSE, Control.PLAY, Control.KILL))
            force = verb is Control.KILL and random.random() < 0.3
            now = verb is Control.PAUSE and random.random() < 0.5
            tree = random.random() < 0.4
            self.client.control(verb, [random.choice(pids)], tree=tree, force=force, now=now)

    def retry(self) -> None:
        """Some that have ended, or any."""
        random = self.world.random
        rows = self.client.store.select(Selection(failed=random.random() < 0.8))
        if rows:
            self.client.retry([row.pid for row in random.sample(list(rows), min(len(rows), 2))])

    def ask(self) -> None:
        random = self.world.random
        if self.client.roots:
            verb = random.choice((Control.PAUSE, Control.PLAY, Control.KILL, "retry"))
            self.client.ask(verb, random.choice(list(self.client.roots)))

    def _mended(self) -> bool:
        now = self.world.now
        return not any(
            machine.actor.frozen or machine.cable.cut_until > now or machine.link.cut_until > now
            for machine in self.fleet.alive
        ) and not any(body.actor.frozen for machine in self.fleet.alive for body in machine.bodies)

    def _moment(self) -> float:
        return self.world.now + self.world.random.choice((0.3, 3.0, 11.0)) * (
            0.5 + self.world.random.random()
        )

    def _thaw(self, machine: Machine) -> None:
        if machine.actor.frozen and not machine.actor.dead:
            self.world.thaw(machine.actor)


def brew(world: World, weather: Weather) -> None:
    """Draw how messages fare in this world: well in some, badly in others."""
    random = world.random
    if random.random() < 0.7:
        weather.lost = random.choice((0.0, 0.1, 0.5))
        weather.doubled = random.choice((0.0, 0.1, 0.5))
        weather.slow = random.choice((0.01, 3.0))
