"""How long it takes to find processes among very many, and to prune them.

    python -m tests.benchmarks.bench_finding [--rows 1000000] [--postgres]

The store is filled past its writes, so that it is there in a minute: trees of a parent and nine children, of
which 2 % fail, 1 % have a rare label, and all have a common one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from quince_persistence.databases.opening import database_of
from quince_persistence.records import Selection, State
from quince_persistence.schema.tables import counters, events, inputs, labels, processes, results
from quince_persistence.store import Store
from tests.services import postgres

BATCH = 10_000
SEARCHES: dict[str, dict[str, Any]] = {
    "newest 100": {},
    "live": {"live": True},
    "failed": {"failed": True},
    "exit 410": {"exits": [410]},
    "exit 411 (none)": {"exits": [411]},
    "label of 1 %": {"labels": [("study", "argon")]},
    "label of all": {"labels": [("who", "mia")]},
    "label of none": {"labels": [("study", "xenon")]},
    "two labels": {"labels": [("study", "argon"), ("who", "mia")]},
    "label and failed": {"labels": [("study", "argon")], "failed": True},
    "since the last 50": {"since": 1.0},
    "text that is there": {"text": "singular matrix"},
    "text that is not": {"text": "no such words"},
    "text among failed": {"text": "no such words", "failed": True},
    "class that is rare": {"classes": ["Rare"]},
    "ended since": {"ended_since": 1.0},
    "failed, ended since": {"ended_since": 1.0, "failed": True},
}


def rows(count: int, now: float) -> Iterator[dict[str, Any]]:
    """The rows of `processes`."""
    for pid in range(1, count + 1):
        root = (pid - 1) // 10 * 10 + 1
        fails = pid % 50 == 0
        at = now - count + pid
        yield {
            "pid": pid, "parent": None if pid == root else root, "root": root, "paused": False,
            "class_path": "study.relax:Relax" if pid % 9999 else "study.rare:Rare", "class_version": "",
            "state": "finished" if not fails else "excepted" if pid % 100 else "finished", "ready": False,
            "epoch": 1, "queue": "default", "priority": 0, "awaiting": 0, "deaths": 0, "created": at,
            "updated": at, "ended": at + 0.5, "tree_paused": False, "pause_void": False,
            "exit_status": None if fails and pid % 100 else 410 if fails else 0,
            "exit_message": "LinAlgError: Singular matrix" if fails and pid % 100 else None,
            "key": f"night-{pid}" if pid == root else None,
        }  # fmt: skip


def fill(url: str, count: int) -> None:
    """So many processes, with what each has in other tables."""
    with Store(url):
        pass
    database = database_of(url)
    now = time.time()
    some: list[dict[str, Any]] = []
    with database.writer() as connection:
        for number, row in enumerate(rows(count, now), 1):
            some.append(row)
            if number % BATCH == 0 or number == count:
                database.begin(connection)
                pids = [row["pid"] for row in some]
                connection.execute(insert(processes), some)
                connection.execute(insert(inputs), [{"pid": pid, "blob": b"x" * 300} for pid in pids])
                connection.execute(insert(results), [{"pid": pid, "outputs": b"y" * 100} for pid in pids])
                line = {"kind": "state", "body": '{"from":"created","to":"running"}', "at": now}
                connection.execute(insert(events), [{"pid": pid, **line} for pid in pids for _ in range(2)])
                given = [{"pid": pid, "name": "who", "value": "mia"} for pid in pids]
                given += [{"pid": pid, "name": "study", "value": "argon"} for pid in pids if pid % 100 < 1]
                connection.execute(insert(labels), given)
                connection.exec_driver_sql("COMMIT")
                connection.commit()
                some = []
        database.begin(connection)
        connection.execute(counters.update().where(counters.c.name == "pid").values(value=count))
        connection.exec_driver_sql("COMMIT")
        connection.commit()
    if url.startswith("postgresql"):
        with database.engine().connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
    database.dispose()


def measure(url: str, count: int) -> None:
    """Print how long each search takes, and how fast trees are pruned."""
    with Store(url) as store:
        row = store.get(count - 50)
        assert row is not None
        for name, wanted in SEARCHES.items():
            wanted = {key: row.created if value == 1.0 else value for key, value in wanted.items()}
            began = time.perf_counter()
            found = store.select(Selection(**wanted, limit=101))
            print(f"{name:22} {1000 * (time.perf_counter() - began):8.1f} ms  {len(found)} rows", flush=True)
        for name, read in (
            ("counts", store.counts), ("failures of a day", lambda: store.failures(time.time() - 86400)),
            ("label names", store.label_names), ("keys near", lambda: store.keys_near("nigth-17")),
        ):  # fmt: skip
            began = time.perf_counter()
            read()
            print(f"{name:22} {1000 * (time.perf_counter() - began):8.1f} ms", flush=True)
        roots = [row.pid for row in store.select(Selection(roots=True, states=[State.FINISHED], limit=2000))]
        longest, gone, began = 0.0, 0, time.perf_counter()
        for number in range(0, len(roots), 50):
            at = time.perf_counter()
            gone += len(store.prune(roots[number : number + 50], before=5e9, failed_before=5e9).result().pids)
            longest = max(longest, time.perf_counter() - at)
        rate = gone / (time.perf_counter() - began)
        print(f"pruned {gone}: {rate:,.0f} per second, at most {1000 * longest:.0f} ms for 500", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--postgres", action="store_true")
    wanted = parser.parse_args()
    with ExitStack() as stack:
        if wanted.postgres:
            url = stack.enter_context(postgres()).new_url()
        else:
            url = f"sqlite:///{Path(stack.enter_context(tempfile.TemporaryDirectory())) / 'db'}"
        began = time.perf_counter()
        fill(url, wanted.rows)
        print(f"{wanted.rows} processes in {time.perf_counter() - began:.0f} s", flush=True)
        measure(url, wanted.rows)


if __name__ == "__main__":
    main()
