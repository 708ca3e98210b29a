"""How long it takes to look at a workspace with very many processes, and what that costs those who write.

    python -m tests.benchmarks.bench_monitor [--rows 1000000] [--postgres]

The store is filled past its writes, as in `bench_finding`; a tree of ten thousand, thousands that wait or are
queued, and a few that run, are among them. Each read is made several times: the first one, and the median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import insert

from quince.monitor.monitor import Monitor
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_persistence.databases.opening import database_of
from quince_persistence.records import NewProcess
from quince_persistence.schema.tables import processes
from quince_persistence.store import Store
from tests.benchmarks.bench_finding import fill
from tests.services import postgres

TIMES = 15
TREE = 10_000
LIVE = 40_000


def add_live(url: str, above: int) -> int:
    """A tree of which a half lives, and others that wait or are queued; its top."""
    now, top = time.time(), above + 1
    kinds = ("waiting", "created", "running", "finished")
    rows: list[dict[str, Any]] = []
    for number in range(TREE + LIVE):
        pid = top + number
        state = "waiting" if pid == top else kinds[number % 4]
        if state == "running" and number % 1000 > 2:
            state = "finished"
        queued = state == "created"
        rows.append(
            {
                "pid": pid, "parent": top if 0 < number < TREE else None,
                "root": top if number < TREE else pid, "class_path": "study.sweep:Sweep", "paused": False,
                "class_version": "", "state": state, "ready": queued, "epoch": 1, "queue": "default",
                "owner": "host:1:a" if state == "running" else None, "priority": 0, "deaths": 0,
                "awaiting": int(state == "waiting"), "created": now, "updated": now, "tree_paused": False,
                "ended": now if state == "finished" else None, "pause_void": False,
                "exit_status": 0 if state == "finished" else None, "idle_since": now if queued else None,
            }
        )  # fmt: skip
    database = database_of(url)
    with database.writer() as connection:
        database.begin(connection)
        for start in range(0, len(rows), 5000):
            connection.execute(insert(processes), rows[start : start + 5000])
        connection.commit()
    database.dispose()
    return top


def reads(monitor: Monitor, top: int) -> dict[str, Callable[[], object]]:
    """What faces ask for."""
    return {
        "first page": monitor.processes,
        "second page": lambda: monitor.processes(after=monitor.processes().next),
        "running": lambda: monitor.processes("state=running"),
        "failed": lambda: monitor.processes("--failed"),
        "a class that is rare": lambda: monitor.processes("class=Rare"),
        "a text that is not there": lambda: monitor.processes("nothing-of-the-kind"),
        "one process": lambda: monitor.process(top),
        "why": lambda: monitor.why(top),
        "tree of 10,000, 200 of it": lambda: monitor.tree(top, limit=200),
        "timeline of 200": lambda: monitor.timeline(top, limit=200),
        "queues": monitor.queues,
        "throughput": monitor.throughput,
        "overview": monitor.overview,
    }


class Writer:
    """A program that submits processes, one after the other, and knows how long the slowest took."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.seconds: list[float] = []

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()

    def _write(self) -> None:
        with Store(self._url) as store:
            while not self._over.is_set():
                began = time.perf_counter()
                (pid,) = store.allocate_pids(1)
                store.insert([NewProcess(pid, "study.relax:Relax", b"", queue="nobody")]).result()
                self.seconds.append(time.perf_counter() - began)
                time.sleep(0.002)

    def __str__(self) -> str:
        times = sorted(self.seconds)
        return f"median {1000 * statistics.median(times):.1f} ms, longest {1000 * times[-1]:.1f} ms"


def run(url: str, folder: Path, count: int) -> None:
    """Fill the store, and look."""
    began = time.perf_counter()
    fill(url, count)
    top = add_live(url, 2 * count)
    print(f"{count:,} processes, filled in {time.perf_counter() - began:.0f} s: {url.partition(':')[0]}")
    with Writer(url) as alone:
        time.sleep(3)
    with Workspace(Location(folder, url, f"local://{folder}/messages")) as home, Writer(url) as beside:
        monitor = Monitor(home)
        for name, read in reads(monitor, top).items():
            times = []
            for _ in range(TIMES):
                start = time.perf_counter()
                read()
                times.append(1000 * (time.perf_counter() - start))
            print(f"{name:28} first {times[0]:7.1f} ms, then {statistics.median(times[1:]):6.1f} ms")
    print(f"a write without who looks: {alone}; beside him: {beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = f"sqlite:///{folder}/quince.db"
        if options.postgres:
            url = stack.enter_context(postgres()).new_url()
        run(url, folder, options.rows)


if __name__ == "__main__":
    main()
