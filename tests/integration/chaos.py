"""Real chaos, of bounded length: workers and servers die, freeze and come back while trees of processes run.

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
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from engine import Workspace, submit_many
from engine.control import control
from engine.workspace import Place
from messaging.errors import MessagingError
from persistence.errors import StoreFull
from persistence.records import Control, Selection
from tests.crew import Crew, WorkerProcess
from tests.integration import chaos_flows
from tests.integration.chaos_audit import Audit, audit
from tests.integration.small_disk import fill, small_disk
from tests.services import Postgres, RabbitMQ, both

WORKERS = 3
SLOTS = 24
SHAPE = (2, 3)
"""Depth and width of the trees."""

IN_FLIGHT = 250
"""More processes are submitted while fewer than this are alive."""

SETTLING_SECONDS = 180.0
TERMINATE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid <> pg_backend_pid() AND datname LIKE 'test_%'"
)


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


class Chaos:
    """One run.

    Args:
        place: A fresh workspace.
        seed: Of the faults.
        ledger: The file for the marks of the steps, on a disk that is not to be filled.
    """

    def __init__(self, place: Place, servers: Servers, seed: int, story: Story, ledger: Path) -> None:
        self.crew = Crew(place)
        self.frozen: set[int] = set()
        self.roots: list[int] = []
        self.ledger = ledger
        self._home = Workspace(place)
        self._servers = servers
        self._random = random.Random(seed)
        self._story = story
        self._fed = threading.Event()
        self._brief = False

    def run(self, seconds: float) -> Audit:
        """Hurt it for so long, let it come to rest, and compare.

        In less than half a minute no worker is frozen past its lease, which takes 13 s each time.
        """
        self._brief = seconds < 30
        self.ledger.touch()
        with self._home, contextlib.closing(self.crew):
            self.crew.start(WORKERS, slots=SLOTS)
            # Connected before the first fault: nothing is submitted without a broker.
            _ = self._home.communicator
            deadline = time.monotonic() + seconds
            with self._feeding():
                while time.monotonic() < deadline:
                    self._random.choice(self._faults())()
                    time.sleep(self._random.uniform(0.1, 1.5))
            self._settle()
            return audit(self._home.store, self.roots, SHAPE, self.ledger, self.frozen)

    # Load

    @contextmanager
    def _feeding(self) -> Iterator[None]:
        feeder = threading.Thread(target=self._feed, name="feeder")
        feeder.start()
        try:
            yield
        finally:
            self._fed.set()
            feeder.join()

    def _feed(self) -> None:
        depth, width = SHAPE
        inputs = {"depth": depth, "width": width, "ledger": str(self.ledger)}
        while not self._fed.wait(0.1):
            alive = sum(n for state, n in self._counts().items() if state not in ("finished", "killed"))
            if alive < IN_FLIGHT:
                with contextlib.suppress(StoreFull):  # then nothing is submitted
                    handles = submit_many(chaos_flows.Branch, [inputs] * 5, workspace=self._home)
                    self.roots += [handle.pid for handle in handles]

    def _counts(self) -> dict[str, int]:
        while True:
            with contextlib.suppress(Exception):  # reads are not repeated while the database is away
                return {state.value: n for state, n in self._home.store.counts().items()}
            if self._fed.wait(0.2):
                return {}

    def _settle(self) -> None:
        """No more faults: everything plays, somebody is at work, and all comes to its end."""
        for worker in self._alive():
            worker.thaw()
        if not self._alive():
            self.crew.start(1, slots=SLOTS)
        control(self._home, Control.PLAY, Selection(live=True))
        self._story.tell(f"no more faults; {len(self.roots)} trees come to rest")
        self._home.watcher.wait(self.roots, lambda row: row.terminated, SETTLING_SECONDS)

    # Faults

    def _faults(self) -> list[Callable[[], None]]:
        common = [
            self.kill_a_worker,
            self.kill_a_worker,
            self.kill_a_worker,
            self.freeze_a_worker,
            self.freeze_a_worker,
            self.drain_a_worker,
            self.wipe_the_queue,
            self.pause_a_tree,
            self.pause_a_tree,
        ]
        if not self._brief:
            common.append(self.freeze_past_the_lease)
        if self._servers.disk is not None:
            common.append(self.fill_the_disk)
        if self._servers.postgres is None:
            return common
        return [
            *common,
            self.restart_rabbitmq,
            self.kill_rabbitmq,
            self.restart_postgres,
            self.kill_postgres,
            self.terminate_backends,
            self.terminate_backends,
            self.terminate_backends,
        ]

    def _alive(self) -> list[WorkerProcess]:
        return [worker for worker in self.crew.workers if worker.process.poll() is None]

    def _victim(self) -> WorkerProcess:
        return self._random.choice(self._alive())

    def kill_a_worker(self) -> None:
        victim = self._victim()
        victim.kill()
        self._story.fault("kill -9 of a worker", f"kill -9 of worker {victim.process.pid}")
        self.crew.start(1, slots=SLOTS)

    def freeze_a_worker(self) -> None:
        self._freeze(self._random.uniform(0.2, 3.0), "a worker frozen for a moment")

    def freeze_past_the_lease(self) -> None:
        self._freeze(13.0, "a worker frozen past its lease")

    def _freeze(self, seconds: float, kind: str) -> None:
        victim = self._victim()
        self._story.fault(kind, f"worker {victim.process.pid} is frozen for {seconds:.1f} s")
        self.frozen.add(victim.process.pid)
        victim.freeze()
        time.sleep(seconds)
        victim.thaw()

    def drain_a_worker(self) -> None:
        victim = self._victim()
        self._story.fault("SIGTERM of a worker", f"worker {victim.process.pid} is asked to stop")
        self.crew.start(1, slots=SLOTS)
        victim.stop(60)

    def wipe_the_queue(self) -> None:
        try:
            lost = self._home.communicator.purge()
        except MessagingError as error:
            self._story.tell(f"the queue could not be wiped: {error}")
        else:
            self._story.fault("queue wiped", f"the queue is wiped; it had {lost} tasks")

    def fill_the_disk(self) -> None:
        assert self._servers.disk is not None
        ballast = self._servers.disk / "ballast"
        fill(ballast)
        time.sleep(self._random.uniform(0.0, 2.0))
        ballast.unlink()
        self._story.fault("disk full", "the disk was full for a while")

    def pause_a_tree(self) -> None:
        if not self.roots:
            return
        tree = Selection(trees=[self._random.choice(self.roots[-60:])], live=True)
        paused = control(self._home, Control.PAUSE, tree, reason="chaos")
        time.sleep(self._random.uniform(0, 0.5))
        control(self._home, Control.PLAY, tree)
        self._story.fault("a tree paused and played", f"{len(paused)} processes paused, and played again")

    def restart_rabbitmq(self) -> None:
        self._hurt_rabbitmq("restarted", RabbitMQ.stop)

    def kill_rabbitmq(self) -> None:
        self._hurt_rabbitmq("killed and started", RabbitMQ.kill)

    def _hurt_rabbitmq(self, how: str, end: Callable[[RabbitMQ], None]) -> None:
        assert self._servers.rabbitmq is not None
        self._story.fault(f"RabbitMQ {how}", f"RabbitMQ is {how}")
        end(self._servers.rabbitmq)
        self._servers.rabbitmq.start()

    def restart_postgres(self) -> None:
        self._hurt_postgres("restarted", Postgres.stop)

    def kill_postgres(self) -> None:
        self._hurt_postgres("killed and started", Postgres.kill)

    def _hurt_postgres(self, how: str, end: Callable[[Postgres], None]) -> None:
        assert self._servers.postgres is not None
        self._story.fault(f"PostgreSQL {how}", f"PostgreSQL is {how}")
        end(self._servers.postgres)
        self._servers.postgres.start()

    def terminate_backends(self) -> None:
        assert self._servers.postgres is not None
        self._story.fault("database connections cut", "every connection to PostgreSQL is terminated")
        self._servers.postgres.sql(TERMINATE)


@contextmanager
def battlefield(backend: str, folder: Path) -> Iterator[tuple[Place, Servers]]:
    """A fresh workspace, and private servers if the backend needs them."""
    with ExitStack() as stack:
        if backend == "embedded":
            disk = folder / "disk"
            why_not = stack.enter_context(small_disk(disk, "256m"))
            state = disk / ".quince"
            place = Place(disk, f"sqlite:///{state}/quince.db", f"local://{state}/messages")
            yield place, Servers(disk=None if why_not else disk)
            return
        rabbitmq, postgres = stack.enter_context(both())
        yield Place(folder, postgres.new_url(), rabbitmq.new_uri()), Servers(rabbitmq, postgres)


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
    for name in ("quince", "messaging", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left behind
    story = Story()
    story.tell(f"chaos on {options.backend} for {options.minutes:g} minutes, seed {seed}")
    with ExitStack() as stack:
        folder = options.folder or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        folder.mkdir(parents=True, exist_ok=True)
        place, servers = stack.enter_context(battlefield(options.backend, folder))
        found = Chaos(place, servers, seed, story, folder / "ledger").run(options.minutes * 60)
        tell_end(story, found, seed, options.backend)
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
