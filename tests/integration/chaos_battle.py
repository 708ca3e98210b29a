"""What a run of chaos strikes at, what it notes, and the faults that need nothing but workers."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from quince import Workspace
from quince.client.control import control
from quince.workspace.location import Location
from quince_messaging.errors import MessagingError
from quince_persistence.records import Control, Selection
from tests.crew import Crew, WorkerProcess
from tests.integration.chaos_flows import FORKS
from tests.integration.small_disk import fill

WORKERS = 3
SLOTS = 24
LEASE_SECONDS = 6.0
"""Who is cut off for longer may be taken for dead, and what it does afterwards be refused."""

Fault = Callable[[], None]


@dataclass
class Story:
    """What happened, told while it happens."""

    began: float = field(default_factory=time.monotonic)
    faults: Counter[str] = field(default_factory=Counter)

    def tell(self, text: str) -> None:
        print(f"{time.monotonic() - self.began:7.1f} s  {text}", flush=True)

    def fault(self, kind: str, text: str) -> None:
        self.faults[kind] += 1
        self.tell(text)


@dataclass
class Battle:
    """Who fights.

    Attributes:
        location: The workspace as those see it who submit and control.
        crew: The workers, and how they reach the store (through a proxy, on servers).
        ledger: The file for the marks of the steps, on a disk that is not to be filled.
        brief: There is no time for faults that take longer than a lease.
        roots: What was submitted.
        frozen: Operating-system processes whose late steps may be refused: they were frozen or cut off.
        silenced: Everybody was cut off from the store for longer than a lease.
    """

    location: Location
    crew: Crew
    home: Workspace
    ledger: Path
    random: random.Random
    story: Story
    brief: bool
    roots: list[int] = field(default_factory=list)
    frozen: set[int] = field(default_factory=set)
    silenced: bool = False

    def alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.crew.workers if worker.process.poll() is None]

    def victim(self) -> WorkerProcess:
        return self.random.choice(self.alive())

    def moment(self, longest: float) -> float:
        """Seconds, mostly few; up to `longest`, and never past the lease in a brief battle."""
        seconds = longest * self.random.random() ** 2
        return min(seconds, 2.0) if self.brief else seconds

    def cut_off(self, seconds: float) -> None:
        """All workers lose the store for so long. Past their lease, they may be late, and taken for dead."""
        if seconds > LEASE_SECONDS:
            self.silenced = True
            self.frozen.update(worker.process.pid for worker in self.alive())


class WorkerFaults:
    """Workers die, freeze, leave and are controlled; their queue and their disk go wrong."""

    def __init__(self, battle: Battle, disk: Path | None) -> None:
        self._battle = battle
        self._disk = disk

    def all(self) -> Sequence[Fault]:
        faults = [
            self.kill,
            self.kill,
            self.kill,
            self.freeze,
            self.freeze,
            self.drain,
            self.wipe_the_queue,
            self.pause_a_tree,
            self.pause_a_tree,
            self.die_among_forks,
        ]
        if not self._battle.brief:
            faults.append(self.freeze_past_the_lease)
        if self._disk is not None:
            faults.append(self.fill_the_disk)
        return faults

    def kill(self) -> None:
        victim = self._battle.victim()
        victim.kill()
        self._battle.story.fault("kill -9 of a worker", f"kill -9 of worker {victim.process.pid}")
        self._battle.crew.start(1, slots=SLOTS)

    def die_among_forks(self) -> None:
        """Steps fork children that live on, and hold whatever they inherited, when their worker is killed."""
        with contextlib.ExitStack() as stack:
            marker = self._battle.ledger.with_suffix(FORKS)
            marker.touch()
            stack.callback(marker.unlink)
            time.sleep(0.5)
            self._battle.story.fault("killed among forks", "steps fork, and their worker is killed")
            self.kill()

    def freeze(self) -> None:
        self._freeze(self._battle.random.uniform(0.2, 3.0), "a worker frozen for a moment")

    def freeze_past_the_lease(self) -> None:
        self._freeze(13.0, "a worker frozen past its lease")

    def _freeze(self, seconds: float, kind: str) -> None:
        victim = self._battle.victim()
        self._battle.story.fault(kind, f"worker {victim.process.pid} is frozen for {seconds:.1f} s")
        self._battle.frozen.add(victim.process.pid)
        victim.freeze()
        time.sleep(seconds)
        victim.thaw()

    def drain(self) -> None:
        victim = self._battle.victim()
        self._battle.story.fault("SIGTERM of a worker", f"worker {victim.process.pid} is asked to stop")
        self._battle.crew.start(1, slots=SLOTS)
        victim.stop(60)

    def wipe_the_queue(self) -> None:
        try:
            lost = self._battle.home.communicator.purge()
        except MessagingError as error:
            self._battle.story.tell(f"the queue could not be wiped: {error}")
        else:
            self._battle.story.fault("queue wiped", f"the queue is wiped; it had {lost} tasks")

    def fill_the_disk(self) -> None:
        assert self._disk is not None
        ballast = self._disk / "ballast"
        fill(ballast)
        time.sleep(self._battle.random.uniform(0.0, 2.0))
        ballast.unlink()
        self._battle.story.fault("disk full", "the disk was full for a while")

    def pause_a_tree(self) -> None:
        if not self._battle.roots:
            return
        tree = Selection(trees=[self._battle.random.choice(self._battle.roots[-60:])], live=True)
        paused = control(self._battle.home, Control.PAUSE, tree, reason="chaos")
        time.sleep(self._battle.random.uniform(0, 0.5))
        control(self._battle.home, Control.PLAY, tree)
        self._battle.story.fault(
            "a tree paused and played", f"{len(paused)} processes paused, and played again"
        )
