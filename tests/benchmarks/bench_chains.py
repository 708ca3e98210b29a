"""Three-step work chains per second, every step durable before the next.

One client submits chains in batches while real worker processes run them; the clock runs from the
first submission until the last chain is finished in the store. Everything (client, workers, store,
broker) shares the machine.

    python -m tests.benchmarks.bench_chains [--chains 3000] [--workers 2] [--steps def] [--backend both]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from quince import ProcessState, WorkChain, Workspace, submit_many
from quince.workspace.location import Location
from tests.crew import Crew
from tests.flows import ThreeFunctions, ThreeSteps
from tests.services import both

BATCH = 200
CLASSES = {"async": ThreeSteps, "def": ThreeFunctions}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--chains", type=int, default=3000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--steps", choices=["async", "def"], default="async")
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--backend", choices=["embedded", "servers", "both"], default="both")
    options = parser.parse_args()
    for backend in ["embedded", "servers"] if options.backend == "both" else [options.backend]:
        with places(backend) as location:
            cls = CLASSES[options.steps]
            rate = measure(location, options.chains, options.workers, options.slots, cls)
            print(
                f"{backend:9} {rate:8.0f} chains/s  {3 * rate:8.0f} commits/s  "
                f"({options.chains} chains of {options.steps} steps, {options.workers} workers, "
                f"{options.slots} slots each)",
                flush=True,
            )


def measure(
    location: Location, chains: int, workers: int, slots: int, cls: type[WorkChain] = ThreeSteps
) -> float:
    """Chains per second on a fresh place."""
    crew = Crew(location)
    with Workspace(location) as home:
        try:
            crew.start(workers, slots=slots)
            run(home, 2 * BATCH, cls)  # warm: classes imported, files grown
            return chains / run(home, chains, cls)
        finally:
            crew.close()


def run(home: Workspace, chains: int, cls: type[WorkChain] = ThreeSteps) -> float:
    """Seconds from the first submission to the last end."""
    before = home.store.counts().get(ProcessState.FINISHED, 0)
    began = time.perf_counter()
    for start in range(0, chains, BATCH):
        submit_many(cls, [{"x": x} for x in range(start, min(start + BATCH, chains))], workspace=home)
    while home.store.counts().get(ProcessState.FINISHED, 0) < before + chains:
        time.sleep(0.01)
    return time.perf_counter() - began


@contextmanager
def places(backend: str) -> Iterator[Location]:
    """A fresh place of a backend: a temporary folder, or that and two private servers."""
    with tempfile.TemporaryDirectory(prefix="quince-bench-") as name:
        folder = Path(name)
        if backend == "embedded":
            yield Location(
                folder, f"sqlite:///{folder}/.quince/quince.db", f"local://{folder}/.quince/messages"
            )
            return
        with both() as (broker, database):
            yield Location(folder, database.new_url(), broker.new_uri())


if __name__ == "__main__":
    main()
