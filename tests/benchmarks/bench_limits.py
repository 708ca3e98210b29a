"""What a long queue for a limit costs: chains per second under a limit of four, by how many wait for it.

The same chains run each time, by priority the first in line; behind them so many others wait. So the figures
are the same if waiting costs nothing.

    python -m tests.benchmarks.bench_limits [--chains 400] [--waiting 100 100000] [--backend both]
"""

from __future__ import annotations

import argparse
import time

from quince import Workspace, set_limit, submit_many
from quince.workspace.location import Location
from quince_persistence.records import Selection
from tests.benchmarks.bench_chains import BATCH, places
from tests.crew import Crew
from tests.flows import ThreeSteps

NAME, SLOTS = "licence", 4
AT_ONCE = 5_000


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--chains", type=int, default=400)
    parser.add_argument("--waiting", type=int, nargs="+", default=[100, 100_000])
    parser.add_argument("--backend", choices=["embedded", "servers", "both"], default="both")
    options = parser.parse_args()
    for backend in ["embedded", "servers"] if options.backend == "both" else [options.backend]:
        rates = []
        for waiting in options.waiting:
            with places(backend) as location:
                rates.append(measure(location, options.chains, waiting))
            print(f"{backend:9} {waiting:8} waiting  {rates[-1]:8.0f} chains/s", flush=True)
        print(f"{backend:9} ratio {rates[-1] / rates[0]:.2f}", flush=True)


def measure(location: Location, chains: int, waiting: int) -> float:
    """Chains per second, with so many others behind them."""
    crew = Crew(location)
    with Workspace(location) as home:
        try:
            crew.start(2)
            _wait(home, _submit(home, 2 * BATCH, priority=9))  # warm: classes imported, files grown
            set_limit(NAME, 0, workspace=home)
            _submit(home, waiting, priority=0)
            pids = _submit(home, chains, priority=9)
            began = time.perf_counter()
            set_limit(NAME, SLOTS, workspace=home)
            _wait(home, pids)
            return chains / (time.perf_counter() - began)
        finally:
            crew.close()


def _submit(home: Workspace, count: int, *, priority: int) -> list[int]:
    pids = []
    for start in range(0, count, AT_ONCE):
        some = [{"x": x} for x in range(start, min(start + AT_ONCE, count))]
        made = submit_many(ThreeSteps, some, limits=[NAME], priority=priority, workspace=home)
        pids += [handle.pid for handle in made]
    return pids


def _wait(home: Workspace, pids: list[int]) -> None:
    """Until all have ended; asks for no more than that."""
    while home.store.select(Selection(pids=pids, live=True, limit=1)):
        time.sleep(0.01)


if __name__ == "__main__":
    main()
