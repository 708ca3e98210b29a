"""How fast pause, play and kill answer: `accepted` (durable) and `applied` (it has really happened).

Beside the processes that are controlled, two workers are kept busy with chains, and some thousands of
other processes wait. Times are of the blocking face, from the call until the answer, in milliseconds.

    python -m tests.benchmarks.bench_control [--rounds 100] [--others 10000] [--backend both]
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable

from engine import Answer, ProcessHandle, ProcessState, Workspace, submit, submit_many
from engine.control import control
from engine.workspace import Place
from persistence.records import Control, Selection
from tests.benchmarks.bench_chains import places
from tests.crew import Crew, eventually
from tests.flows import Family, Stepwise, ThreeSteps, Timed

Times = list[tuple[float, float]]
"""Seconds until accepted, and until applied, of one control each."""


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--others", type=int, default=10_000)
    parser.add_argument("--busy", action="store_true", help="keep the workers busy with chains meanwhile")
    parser.add_argument("--backend", choices=["embedded", "servers", "both"], default="both")
    options = parser.parse_args()
    print(f"{'':44}{'accepted p50 / p99':>22}{'applied p50 / p99':>22}   milliseconds")
    for backend in ["embedded", "servers"] if options.backend == "both" else [options.backend]:
        with places(backend) as place:
            measure(backend, place, options.rounds, options.others, options.busy)


def measure(backend: str, place: Place, rounds: int, others: int, busy: bool) -> None:
    crew = Crew(place)
    with Workspace(place) as home:
        try:
            submit_many(Timed, [{"seconds": 3600.0}] * others, queue="nobody", workspace=home)
            crew.start(2, slots=64)
            if busy:
                submit_many(Stepwise, [{"steps": 100_000, "seconds": 0.02}] * 40, workspace=home)
            for state, make in MAKERS.items():
                pool = [make(home) for _ in range(rounds if state != "in steps of 2 ms" else rounds // 10)]
                settle(state, pool)
                load = f"{others} others" + (", workers busy" if busy else "")
                for verb in (Control.PAUSE, Control.PLAY, Control.KILL):
                    report(f"{backend} {verb} {state}, {load}", [timed(verb, handle) for handle in pool])
            for size in (10, 1000):
                report_tree(backend, home, size)
        finally:
            crew.close()


def timed(verb: Control, handle: ProcessHandle) -> tuple[float, float]:
    call: Callable[[], Answer] = {
        Control.PAUSE: handle.pause,
        Control.PLAY: handle.play,
        Control.KILL: handle.kill,
    }[verb]
    began = time.perf_counter()
    answer = call()
    accepted = time.perf_counter()
    answer.wait(30)
    return accepted - began, time.perf_counter() - began


def report(name: str, times: Times) -> None:
    columns = []
    for which in (0, 1):
        values = sorted(1e3 * pair[which] for pair in times)
        high = values[min(len(values) - 1, int(0.99 * len(values)))]
        columns.append(f"{statistics.median(values):10.1f} / {high:7.1f}")
    print(f"{name:44}{columns[0]:>22}{columns[1]:>22}", flush=True)


def report_tree(backend: str, home: Workspace, size: int) -> None:
    """Pause, play and kill a whole tree of a parent with many children."""
    parent = submit(Family, children=size - 1, seconds=3600, queue="default", priority=0, workspace=home)
    eventually(lambda: len(home.store.tree(parent.pid)) == size, 60)
    times = []
    for verb in (Control.PAUSE, Control.PLAY, Control.KILL):
        began = time.perf_counter()
        answers = control(home, verb, Selection(trees=[parent.pid]), force=verb is Control.KILL)
        times.append((verb, len(answers), time.perf_counter() - began))
    for verb, met, seconds in times:
        print(f"{backend} {verb} a tree of {size}: {met} answered in {1e3 * seconds:.1f} ms", flush=True)


def queued(home: Workspace) -> ProcessHandle:
    return submit(ThreeSteps, queue="nobody", workspace=home)


def evicted(home: Workspace) -> ProcessHandle:
    return submit(Timed, seconds=3600.0, workspace=home)


def stepping(home: Workspace) -> ProcessHandle:
    """Between steps and in short ones (2 ms): the idle process of a worker."""
    return submit(Stepwise, steps=1_000_000, seconds=0.002, workspace=home)


MAKERS: dict[str, Callable[[Workspace], ProcessHandle]] = {
    "queued": queued,
    "evicted": evicted,
    "in steps of 2 ms": stepping,
}


def settle(state: str, pool: list[ProcessHandle]) -> None:
    """Wait until every process is where it shall be controlled."""
    if state == "evicted":
        for handle in pool:
            eventually(functools.partial(is_evicted, handle))
    elif state != "queued":
        time.sleep(1)


def is_evicted(handle: ProcessHandle) -> bool:
    row = handle.row
    return row.state is ProcessState.WAITING and row.owner is None


if __name__ == "__main__":
    main()
