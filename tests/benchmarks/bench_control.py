"""How fast pause, play and kill answer: `accepted` (durable) and `applied` (it has really happened).

By the state of what is controlled, with and without thousands of others alive and two busy workers; then
steps that block, until their code has stopped; whole trees; and the same on plumpy + kiwiPy, which answer
once. Times are of the blocking face, from the call until the answer, in milliseconds.

    python -m tests.benchmarks.bench_control [--rounds 100] [--others 0,10000] [--tree 10,1000,100000]
    python -m tests.benchmarks.bench_control --stops
"""

from __future__ import annotations

import argparse
import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from quince import Answer, ProcessHandle, ProcessState, Workspace, submit, submit_many
from quince.client.control import control
from quince.workspace.location import Location
from quince_persistence.codec import encode
from quince_persistence.records import Control, NewProcess, ProcessRow, Selection
from tests.benchmarks import control_peers
from tests.benchmarks.bench_chains import places
from tests.crew import Crew, WorkerProcess, eventually
from tests.flows import Sleeper, Stepwise, ThreeSteps, Timed
from tests.integration.control_table.flows import Parent
from tests.integration.stopping import flows
from tests.integration.stopping.scene import Scene, Subject, condition
from tests.services import rabbitmq

VERBS = (Control.PAUSE, Control.PLAY, Control.KILL)
LINGER = 3600.0

Times = list[tuple[float, float]]
"""Seconds until accepted, and until applied, of one control each."""


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",") if word]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--others", type=numbers, default=[0, 10_000], help="with so many others alive")
    parser.add_argument("--tree", type=numbers, default=[10, 1_000, 100_000])
    parser.add_argument("--backend", choices=["embedded", "servers", "both"], default="both")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--stops", action="store_true", help="only steps that block")
    options = parser.parse_args()
    print(f"{'':58}{'accepted p50 / p99':>20}{'applied p50 / p99':>20}   milliseconds")
    for backend in ["embedded", "servers"] if options.backend == "both" else [options.backend]:
        with places(backend) as location:
            measure_stops(backend, location, options.rounds)
        if options.stops:
            continue
        for others in options.others:
            with places(backend) as location:
                measure(backend, location, options.rounds, others)
        with places(backend) as location, Workspace(location) as home:
            for size in options.tree:
                report_tree(backend, home, size)
    if not options.no_peers and not options.stops:
        with rabbitmq() as broker:
            for flow in (control_peers.Waits, control_peers.Awaits):
                control_peers.measure(broker.new_uri(), min(options.rounds, 20), report, flow)


def measure(backend: str, location: Location, rounds: int, others: int) -> None:
    """Each state; with others alive, two workers are kept busy with short steps meanwhile."""
    crew = Crew(location)
    with Workspace(location) as home:
        try:
            crew.start(slots=128, linger=LINGER)
            crew.start(slots=128, queues=("default", "brief"), linger=0)
            if others:
                submit_many(Timed, [{"seconds": 3600.0}] * others, queue="nobody", workspace=home)
                submit_many(Stepwise, [{"steps": 10**6, "seconds": 0.05}] * 20, workspace=home)
            load = f"{others} others" + (", workers busy" if others else "")
            for state, make in MAKERS.items():
                pool: list[ProcessHandle] = []
                for verb in VERBS:
                    if state == "running async" and verb is not Control.KILL:
                        continue  # a pause waits for the end of the step
                    if not pool or (state == "idle in a worker" and verb is Control.KILL):
                        pool = [make(home) for _ in range(rounds)]
                        if state == "daemon down":
                            let_go(home, crew.workers, pool)
                        for handle in pool:
                            eventually(functools.partial(is_settled, state, handle), 120, state)
                    report(f"{backend} {verb} {state}, {load}", [timed(verb, handle) for handle in pool])
        finally:
            crew.close()


STOPS: list[tuple[str, Callable[[Any], Any], bool]] = [
    ("kill a def step that blocks", flows.sleep, False),
    ("kill an async step that blocks", flows.block_the_loop, False),
    ("kill --force a def step that blocks", flows.sleep, True),
    ("kill --force a def step in C", flows.hold_the_interpreter, True),
    ("kill --force an async step that blocks", flows.block_the_loop, True),
    ("kill --force an async step in C", flows.hold_the_loop, True),
]
"""What is measured, in which manner the step blocks, and whether it is killed by force."""


def measure_stops(backend: str, location: Location, rounds: int) -> None:
    """Kills of steps that block, until their code has stopped."""
    crew = Crew(location)
    with Workspace(location) as home, tempfile.TemporaryDirectory() as notes:
        try:
            crew.start(slots=16)
            scene = Scene(home, Path(notes))
            for name, manner, force in STOPS:
                times = [
                    timed_stop(subject, force=force) for _ in range(rounds) for subject in scene.begun(manner)
                ]
                report(f"{backend} {name}", times)
        finally:
            crew.close()


def timed_stop(subject: Subject, *, force: bool) -> tuple[float, float]:
    began = time.perf_counter()
    answer = subject.handle.kill(force=force)
    accepted = time.perf_counter()
    while not (subject.cleaned or not condition(subject.ospids[0])):
        time.sleep(0.0005)
    answer.wait(30)
    return accepted - began, time.perf_counter() - began


def let_go(home: Workspace, workers: Sequence[WorkerProcess], pool: Sequence[ProcessHandle]) -> None:
    """Everything that runs is killed but for these; then the workers are stopped."""
    for handle in pool:
        eventually(functools.partial(is_settled, "evicted", handle), 120)
    busy = Selection(classes=["Stepwise", "Sleeper"], live=True)
    control(home, Control.KILL, busy, force=True)
    for worker in workers:
        worker.stop()


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
        columns.append(f"{statistics.median(values):8.1f} / {high:6.1f}")
    print(f"{name:58}{columns[0]:>20}{columns[1]:>20}", flush=True)


def report_tree(backend: str, home: Workspace, size: int) -> None:
    """Pause, play and kill a parent with so many children that nobody holds."""
    (top, *pids) = home.store.allocate_pids(size)
    inputs, path = encode({}), "tests.flows:Sleeper"
    home.store.insert([NewProcess(top, path, inputs, queue="nobody")]).result()
    for first in range(0, len(pids), 5000):
        part = pids[first : first + 5000]
        born = [NewProcess(pid, path, inputs, parent=top, queue="nobody") for pid in part]
        home.store.insert(born).result()
    for verb in VERBS:
        began = time.perf_counter()
        answers = control(home, verb, Selection(trees=[top]))
        took = time.perf_counter() - began
        home.background.flush()
        told = time.perf_counter() - began
        print(
            f"{backend} {verb} a tree of {len(answers)}: accepted in {1e3 * took:.0f} ms, "
            f"everybody told in {1e3 * told:.0f} ms",
            flush=True,
        )


def queued(home: Workspace) -> ProcessHandle:
    return submit(ThreeSteps, queue="nobody", workspace=home)


def waiting(home: Workspace) -> ProcessHandle:
    """For a child, in nobody's memory."""
    return submit(Parent, gate=tempfile.gettempdir(), queue="brief", workspace=home)


def evicted(home: Workspace) -> ProcessHandle:
    return submit(Timed, seconds=LINGER, queue="brief", workspace=home)


def lingering(home: Workspace) -> ProcessHandle:
    return submit(Timed, seconds=LINGER - 60, workspace=home)


def running(home: Workspace) -> ProcessHandle:
    return submit(Sleeper, seconds=LINGER, workspace=home)


MAKERS: dict[str, Callable[[Workspace], ProcessHandle]] = {
    "queued": queued,
    "waiting": waiting,
    "evicted": evicted,
    "idle in a worker": lingering,
    "running async": running,
    "daemon down": evicted,
}


def is_settled(state: str, handle: ProcessHandle) -> bool:
    """It is where it shall be controlled."""
    row: ProcessRow = handle.row
    if state == "queued":
        return True
    if state == "running async":
        return row.owner is not None
    if state == "idle in a worker":
        return row.state is ProcessState.WAITING
    return row.state is ProcessState.WAITING and row.owner is None


if __name__ == "__main__":
    main()
