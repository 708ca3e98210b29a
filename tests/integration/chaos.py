"""Real chaos, of bounded length: workers, servers and neighbours misbehave while trees of processes run.

    python -m tests.integration.chaos --backend embedded|servers --minutes M --seed S

Every step writes to a ledger that the engine knows nothing of; in the end the ledger is compared with
the store. The exit status is 0 if nothing was lost and nothing was done twice. The seed fixes which
faults come in which order; the rest is the machine's.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from quince import Workspace, submit_many
from quince.client.control import control
from quince.workspace.location import Location
from quince_persistence.errors import PersistenceError
from quince_persistence.records import Control, Selection
from tests.crew import Crew
from tests.integration import chaos_flows
from tests.integration.chaos_audit import Audit, audit
from tests.integration.chaos_battle import SLOTS, WORKERS, Battle, Fault, Story, WorkerFaults
from tests.integration.chaos_hosts import HostFaults
from tests.integration.chaos_neighbours import Namesakes, OtherProject, beside
from tests.integration.chaos_servers import PostgresFaults, RabbitFaults
from tests.integration.messaging.proxy import Proxy
from tests.integration.small_disk import small_disk
from tests.services import Postgres, RabbitMQ, both

SHAPE = (2, 3)
"""Depth and width of the trees."""

IN_FLIGHT = 250
"""More processes are submitted while fewer than this are alive."""

SETTLING_SECONDS = 180.0


@dataclass(frozen=True, slots=True)
class Servers:
    """What is to be hurt beside the workers.

    Attributes:
        rabbitmq, postgres: None on the embedded backend.
        disk: A small disk with everything of the embedded backend on it; None if it cannot be had.
    """

    rabbitmq: RabbitMQ | None = None
    postgres: Postgres | None = None
    disk: Path | None = None


class Chaos:
    """One run.

    Args:
        place: A fresh workspace.
        seed: Of the faults.
        ledger: The file for the marks of the steps, on a disk that is not to be filled.
    """

    def __init__(self, location: Location, servers: Servers, seed: int, story: Story, ledger: Path) -> None:
        self._place = location
        self._servers = servers
        self._random = random.Random(seed)
        self._story = story
        self._ledger = ledger
        self._fed = threading.Event()

    def run(self, seconds: float) -> Audit:
        """Hurt it for so long, let it come to rest, and compare.

        In less than half a minute nobody is frozen or cut off past a lease, which takes 13 s each time.
        """
        self._ledger.touch()
        with ExitStack() as stack:
            home = stack.enter_context(Workspace(self._place))
            reached, proxy = self._reached(stack)
            crew = stack.enter_context(contextlib.closing(Crew(reached)))
            battle = Battle(
                self._place, crew, home, self._ledger, self._random, self._story, brief=seconds < 30
            )
            namesakes = stack.enter_context(contextlib.closing(Namesakes(battle)))
            other = OtherProject(battle, self._next_door())
            # Connected before the first fault: nothing is submitted without a broker.
            _ = home.communicator
            crew.start(WORKERS, slots=SLOTS)
            stack.enter_context(other.at_work())
            faults = [
                *WorkerFaults(battle, self._servers.disk).all(),
                *HostFaults(battle).all(),
                *namesakes.all(),
                *other.all(),
            ]
            if proxy is not None and self._servers.postgres and self._servers.rabbitmq:
                faults += PostgresFaults(battle, self._servers.postgres, proxy).all()
                faults += RabbitFaults(battle, self._servers.rabbitmq).all()
            self._strike(battle, faults, seconds)
            self._settle(battle)
            found = audit(home.store, battle.roots, SHAPE, self._ledger, battle.frozen)
            found.wrong += [*namesakes.wrong(), *other.settle(SETTLING_SECONDS)]
            return found

    def _reached(self, stack: ExitStack) -> tuple[Location, Proxy | None]:
        """The workspace as the workers reach it: a database on a server through a proxy."""
        if self._servers.postgres is None:
            return self._place, None
        port = self._servers.postgres.port
        proxy = stack.enter_context(Proxy("127.0.0.1", port))
        return replace(self._place, store=self._place.store.replace(f":{port}/", f":{proxy.port}/")), proxy

    def _next_door(self) -> Location:
        folder = self._ledger.parent / "next door"
        if self._servers.postgres is not None:
            return beside(self._place, folder, self._servers.postgres.new_url())
        return beside(self._place, folder, f"sqlite:///{folder}/store.db")

    def _strike(self, battle: Battle, faults: list[Fault], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        with self._feeding(battle):
            while time.monotonic() < deadline:
                self._random.choice(faults)()
                time.sleep(self._random.uniform(0.1, 1.5))

    # Load

    @contextmanager
    def _feeding(self, battle: Battle) -> Iterator[None]:
        feeder = threading.Thread(target=self._feed, args=[battle], name="feeder")
        feeder.start()
        try:
            yield
        finally:
            self._fed.set()
            feeder.join()

    def _feed(self, battle: Battle) -> None:
        depth, width = SHAPE
        inputs = {"depth": depth, "width": width, "ledger": str(self._ledger)}
        while not self._fed.wait(0.1):
            alive = sum(
                n for state, n in self._counts(battle.home).items() if state not in ("finished", "killed")
            )
            if alive < IN_FLIGHT:
                with contextlib.suppress(PersistenceError):  # then nothing is submitted
                    handles = submit_many(chaos_flows.Branch, [inputs] * 5, workspace=battle.home)
                    battle.roots += [handle.pid for handle in handles]

    def _counts(self, home: Workspace) -> dict[str, int]:
        while True:
            with contextlib.suppress(Exception):  # reads are not repeated while the database is away
                return {state.value: n for state, n in home.store.counts().items()}
            if self._fed.wait(0.2):
                return {}

    def _settle(self, battle: Battle) -> None:
        """No more faults: everything plays, somebody is at work, and all comes to its end."""
        for worker in battle.alive():
            worker.thaw()
        if not battle.alive():
            battle.crew.start(1, slots=SLOTS)
        control(battle.home, Control.PLAY, Selection(live=True))
        self._story.tell(f"no more faults; {len(battle.roots)} trees come to rest")
        battle.home.watcher.wait(battle.roots, lambda row: row.terminated, SETTLING_SECONDS)


@contextmanager
def battlefield(backend: str, folder: Path) -> Iterator[tuple[Location, Servers]]:
    """A fresh workspace, and private servers if the backend needs them."""
    with ExitStack() as stack:
        if backend == "embedded":
            disk = folder / "disk"
            why_not = stack.enter_context(small_disk(disk, "256m"))
            state = disk / ".quince"
            location = Location(disk, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
            yield location, Servers(disk=None if why_not else disk)
            return
        rabbitmq, postgres = stack.enter_context(both())
        yield Location(folder, postgres.new_url(), rabbitmq.new_uri()), Servers(rabbitmq, postgres)


def tell_end(story: Story, found: Audit, seed: int, backend: str) -> None:
    """The summary, for people."""
    print(f"\nchaos on {backend}, seed {seed}")
    for kind, number in sorted(story.faults.items()):
        print(f"  {number:5d}  {kind}")
    print(f"  {found.processes} processes, {found.executions} executions of steps")
    print(f"  {found.again} ran again, each before its commit; {found.thawed} late ones were refused")
    for sentence in found.wrong[:40]:
        print(f"  WRONG  {sentence}")
    print(f"  {len(found.wrong)} wrong" if found.wrong else "  zero lost, zero doubled")


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backend", choices=["embedded", "servers"], default="embedded")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--folder", type=Path, default=None, help="keep everything there")
    options = parser.parse_args(arguments)
    seed = options.seed if options.seed is not None else random.randrange(1_000_000)
    for name in ("quince", "quince_messaging", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    story = Story()
    story.tell(f"chaos on {options.backend} for {options.minutes:g} minutes, seed {seed}")
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        location, servers = stack.enter_context(battlefield(options.backend, folder))
        found = Chaos(location, servers, seed, story, folder / "ledger").run(options.minutes * 60)
        tell_end(story, found, seed, options.backend)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
