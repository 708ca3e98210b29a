"""How long it takes to look at a workspace with very many processes, and what that costs those who write.

    python -m tests.benchmarks.bench_monitor [--rows 1000000] [--postgres] [--store URL]

The store is filled past its writes, as in `bench_finding`; a tree of ten thousand, thousands that wait or are
queued, and a few that run, are among them. Each read is made several times: the first one, the median of the
others, and the least, which comes near to what it takes on an idle machine.
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

from sqlalchemy import Table, insert, text

from quince.monitor.monitor import Monitor
from quince.workspace.location import Location
from quince.workspace.workspace import Workspace
from quince_persistence.databases.opening import database_of
from quince_persistence.records import NewProcess, Selection
from quince_persistence.schema.tables import awaits, events, limit_uses, processes
from quince_persistence.store import Store
from tests.benchmarks.bench_finding import fill
from tests.services import postgres

TIMES = 15
TREE = 10_000
LIVE = 40_000
DAY = 86_400.0


def add_live(url: str, above: int) -> int:
    """A tree of which a half lives, and others that wait, are queued, paused, or want a limit; its top."""
    now, top = time.time(), above + 1
    kinds = ("waiting", "created", "running", "finished")
    rows: list[dict[str, Any]] = []
    for number in range(TREE + LIVE):
        pid = top + number
        state = "waiting" if pid == top else kinds[number % 4]
        if state == "running" and number % 1000 > 2:
            state = "finished"
        asks = state == "created" and number % 5 == 0
        queued = state == "created" and not asks
        rows.append(
            {
                "pid": pid, "parent": top if 0 < number < TREE else None,
                "root": top if number < TREE else pid, "class_path": "study.sweep:Sweep",
                "paused": state == "waiting" and number % 50 == 0,
                "class_version": "", "state": state, "ready": queued, "epoch": 1, "queue": f"q{number % 7}",
                "owner": "host:1:a" if state == "running" else None, "priority": 0, "deaths": 0,
                "awaiting": int(state == "waiting"), "created": now, "updated": now, "tree_paused": False,
                "ended": now if state == "finished" else None, "pause_void": False,
                "exit_status": 0 if state == "finished" else None, "idle_since": now if queued else None,
                "granted": False if asks else None,
            }
        )  # fmt: skip
    tree = [row["pid"] for row in rows[:TREE]]
    told = ('{"from":"created","to":"running"}', '{"from":"running","to":"waiting","ran":[["first",0,1]]}')
    beside: dict[Table, list[dict[str, Any]]] = {
        processes: rows,
        awaits: [{"pid": top, "child": pid} for pid in tree[1:]],
        events: [
            {"pid": pid, "at": now + n, "kind": "state", "body": body}
            for pid in tree
            for n, body in enumerate(told)
        ],
        limit_uses: [
            {"name": "licence", "pid": row["pid"], "held": False, "priority": 0, "queue": row["queue"]}
            for row in rows
            if row["granted"] is False
        ],
    }
    database = database_of(url)
    with database.writer() as connection:
        database.begin(connection)
        for table, some in beside.items():
            for start in range(0, len(some), 5000):
                connection.execute(insert(table), some[start : start + 5000])
        connection.exec_driver_sql("COMMIT")
        connection.commit()
    if url.startswith("postgresql"):
        with database.engine().connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.dispose()
    return top


def reads(monitor: Monitor, top: int) -> dict[str, Callable[[], object]]:
    """What faces ask for, and what is counted for them."""
    store = monitor.workspace.store
    return {
        "first page": monitor.processes,
        "second page": lambda: monitor.processes(after=monitor.processes().next),
        "running": lambda: monitor.processes("state=running"),
        "live": lambda: monitor.processes("state=live"),
        "paused": lambda: monitor.processes("state=paused"),
        "failed": lambda: monitor.processes("--failed"),
        "failed, of an hour": lambda: monitor.processes("--failed --ended-since 1h"),
        "excepted": lambda: monitor.processes("state=excepted"),
        "exit status": lambda: monitor.processes("exit=410"),
        "label of 1 %": lambda: monitor.processes("label=study=argon"),
        "label of all": lambda: monitor.processes("label=who"),
        "label of none": lambda: monitor.processes("label=study=xenon"),
        "of an hour": lambda: monitor.processes("since=1h"),
        "older than a day": lambda: monitor.processes("older-than=23h"),
        "queue of some": lambda: monitor.processes("queue=q3"),
        "queue of none": lambda: monitor.processes("queue=none"),
        "a class that is rare": lambda: monitor.processes("class=Rare"),
        "a text that is not there": lambda: monitor.processes("nothing-of-the-kind"),
        "a text of 1 %": lambda: monitor.processes("singular"),
        "a text among failed": lambda: monitor.processes("--failed nothing-of-the-kind"),
        "one process": lambda: monitor.process(top),
        "history": lambda: monitor.history(top),
        "why": lambda: monitor.why(top),
        "tree of 10,000, 200 of it": lambda: monitor.tree(top, limit=200),
        "tree of 10,000, 1000 of it": lambda: monitor.tree(top),
        "children of it": lambda: monitor.processes(Selection(parent=top)),
        "timeline of 200": lambda: monitor.timeline(top, limit=200),
        "timeline of 1000": lambda: monitor.timeline(top),
        "queues": monitor.queues,
        "limits": monitor.limits,
        "counts": monitor.counts,
        "throughput": monitor.throughput,
        "label names": store.label_names,
        "counts, counted": store.counts,
        "paused, counted": store.paused_counts,
        "failures, counted": lambda: store.failures(time.time() - 86_400),
        "queues, counted": store.queues,
        "ends of 15 minutes, counted": lambda: store.ends(time.time() - 900, 60.0),
        "what lives, counted": store.live_counts,
        "first overview": lambda: Monitor(monitor.workspace).overview(),
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
    """Fill the store, unless it is there, and look."""
    began = time.perf_counter()
    with Store(url) as store:
        there = store.select(
            Selection(classes=["Sweep"], roots=True, limit=1, above=2 * count, before=2 * count + 2)
        )
    if not there:
        fill(url, count, DAY / count)
        add_live(url, 2 * count)
    top = 2 * count + 1
    print(f"{count:,} processes, filled in {time.perf_counter() - began:.0f} s: {url.partition(':')[0]}")
    with Writer(url) as alone:
        time.sleep(3)
    with Workspace(Location(folder, url, f"local://{folder}/messages")) as home, Writer(url) as beside:
        for name, read in reads(Monitor(home), top).items():
            times = []
            for _ in range(TIMES):
                start = time.perf_counter()
                read()
                times.append(1000 * (time.perf_counter() - start))
            print(
                f"{name:28} first {times[0]:7.1f} ms, then {statistics.median(times[1:]):6.1f} ms, "
                f"least {min(times):6.1f} ms",
                flush=True,
            )
    print(f"a write without who looks: {alone}; beside him: {beside}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument(
        "--store", metavar="URL", help="an empty database, which is kept, or one of a run before"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = options.store or f"sqlite:///{folder}/quince.db"
        if options.postgres and not options.store:
            url = stack.enter_context(postgres()).new_url()
        run(url, folder, options.rows)


if __name__ == "__main__":
    main()
