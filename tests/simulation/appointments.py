"""Schedules in the simulated world: added and removed by the client, fired by whatever workers live."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random
from typing import TYPE_CHECKING

from quince.client.place import place
from quince.client.schedules import ScheduleHandle, schedule
from quince_persistence.records import ProcessRow, Selection
from quince_persistence.records.schedules import LABEL, MOMENT_LABEL
from quince_persistence.store import Store
from tests.simulation.flows import KINDS
from tests.simulation.world import World

if TYPE_CHECKING:
    from tests.simulation.client import Client, Plan
    from tests.simulation.fleet import Fleet

SHARE = 0.3
"""So many of the simulations have schedules."""
RUSHES = 8
"""So often all workers look for what is due in one moment."""
HANGS_SECONDS = 10.0
"""A schedule that has not caught up by then, when nothing is wrong any more, never does."""
MOVED = 0.3
"""In so many of them processes are given other priorities."""


class Appointments:
    """The schedules of one simulation.

    Attributes:
        plans: What each of them makes.
        whole: Those that miss nothing: all is made up for, and may overlap.
    """

    def __init__(self, world: World, client: Client, fleet: Fleet, span: float) -> None:
        self._client = client
        self.plans = client.scheduled
        self.whole: dict[str, float] = {}
        self._steered: list[str] = []
        self._world = world
        random = Random(f"schedules of {world.seed}")
        if random.random() < SHARE:
            for overlap in ("skip", "queue", "replace", "allow"):
                world.after(random.random(), None, "schedule", partial(self._add, overlap, random))
            if random.random() < 0.5:
                world.after(random.random() * span, None, "clock", partial(self._set_clock, random))
            for _ in range(RUSHES):
                world.after(random.random() * span, None, "rush", fleet.rush)
            for _ in range(random.randint(0, 4)):
                world.after(random.uniform(0.3, 1.0) * span, None, "steer", partial(self._steer, random))
        if random.random() < MOVED:
            for _ in range(random.randint(1, 6)):
                world.after(random.random() * span, None, "set", partial(self._place, random))

    def _add(self, overlap: str, random: Random) -> None:
        name = f"s-{overlap}"
        catch_up = random.choice(("none", "last", "all", "all", "within 5 s"))
        every = random.choice((1, 2, 2))
        seconds = every * random.choice((0.1, 1.3, 2.2))
        plan: Plan = {"kind": "plain", "inputs": {"seconds": seconds}}
        self.plans[name] = plan
        if overlap == "allow" and catch_up == "all":
            self.whole[name] = every
        elif random.random() < 0.5:
            self._steered.append(name)
        schedule(
            KINDS[plan["kind"]], name=name, every=every, overlap=overlap, catch_up=catch_up,
            jitter=random.choice((0, 0, 1)), priority=random.choice((0, 0, 5)), inputs=plan["inputs"],
            deadline=random.choice((None, None, None, 3)), workspace=self._client.home,
        )  # fmt: skip

    def _place(self, random: Random) -> None:
        live = self._client.store.select(Selection(live=True))
        if live:
            chosen = Selection(pids=[random.choice(live).pid])
            place(self._client.home, chosen, priority=random.randint(0, 9), author="client")

    def _steer(self, random: Random) -> None:
        """Somebody pauses a schedule, lets it go on, or has it make something."""
        if self._steered:
            handle = ScheduleHandle(random.choice(self._steered), self._client.home)
            now = datetime.fromtimestamp(self._world.wall(), UTC)
            random.choice((handle.pause, handle.play, handle.trigger, partial(self._fill, handle, now)))()

    def _set_clock(self, random: Random) -> None:
        self._world.stepped += random.choice((-20.0, -4.0, 6.0))

    def _fill(self, handle: ScheduleHandle, now: datetime) -> None:
        handle.backfill(now - timedelta(seconds=4), now)

    def end(self) -> Iterator[str]:
        """No schedule fires any more. What was made is as if it had been submitted."""
        for name in self.plans:
            ScheduleHandle(name, self._client.home).play()
        if not self._world.run(self._fired, HANGS_SECONDS):
            yield f"a schedule hangs: {[self._client.store.schedule(name) for name in self.plans]}"
        for name in self.plans:
            ScheduleHandle(name, self._client.home).remove()
        for row in self._client.store.select(Selection()):
            if row.parent is None and row.options.labels.get(LABEL) in self.plans:
                self._client.roots[row.pid] = self.plans[row.options.labels[LABEL]]

    def _fired(self) -> bool:
        """Nothing is overdue, and whoever waits for his turn waits for somebody."""
        store, now = self._client.store, self._world.wall()
        for row in filter(None, map(store.schedule, self.plans)):
            due, every = row.next_at or 0.0, row.schedule.every or 0.0
            hangs = row.state.queued and not store.select(Selection(pids=row.state.live, live=True))
            latest = max(now, row.schedule.start or 0.0) + every + row.schedule.jitter
            if not now <= due <= latest or hangs:
                return False
        return True

    def judge(self, store: Store) -> Iterator[str]:
        """No moment was made twice; of those that are to be made, none was left out between others."""
        made: dict[str, list[float]] = defaultdict(list)
        for row in store.select(Selection()):
            if row.options.labels.get(LABEL) in self.plans and row.options.restart_of is None:
                made[row.options.labels[LABEL]].append(_moment(row))
        for name, moments in made.items():
            moments.sort()
            if len(set(moments)) < len(moments):
                yield f"schedule {name} has made a moment twice: {moments}"
            every = self.whole.get(name)
            if every is not None and moments[-1] - moments[0] != every * (len(moments) - 1):
                yield f"schedule {name} has left a moment out, of each {every} s: {moments}"


def _moment(row: ProcessRow) -> float:
    return datetime.fromisoformat(row.options.labels[MOMENT_LABEL]).timestamp()
