"""How long it takes to find processes among very many, and to prune them.

    python -m tests.benchmarks.bench_finding [--rows 1000000] [--postgres]

The store is filled past its writes, so that it is there in a minute: trees of a parent and nine children, of
which 2 % fail, 1 % have a rare label, and all have a common one.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from sqlalchemy import text

from quince_persistence.databases.opening import database_of
from quince_persistence.records import Selection, State
from quince_persistence.schema.tables import counters
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


SERIES = """
WITH RECURSIVE s(pid, at) AS (
  SELECT CAST(:first AS BIGINT), CAST(:at AS DOUBLE PRECISION)
  UNION ALL SELECT pid + 1, at + :each FROM s WHERE pid < :last
)
"""
PROCESSES = f"""
INSERT INTO processes (
  pid, parent, root, paused, class_path, class_version, state, ready, epoch, queue, priority, awaiting,
  deaths, created, updated, ended, tree_paused, pause_void, exit_status, exit_message, key
)
{SERIES}
SELECT pid, CASE WHEN pid % 10 <> 1 THEN (pid - 1) / 10 * 10 + 1 END, (pid - 1) / 10 * 10 + 1, false,
  CASE WHEN pid % 9999 = 0 THEN 'study.rare:Rare' ELSE 'study.relax:Relax' END, '',
  CASE WHEN pid % 100 = 50 THEN 'excepted' ELSE 'finished' END, false, 1, 'default', 0, 0, 0,
  at - 0.5, at, at, false, false,
  CASE WHEN pid % 100 = 50 THEN NULL WHEN pid % 100 = 0 THEN 410 ELSE 0 END,
  CASE WHEN pid % 100 = 50 THEN 'LinAlgError: Singular matrix' END,
  CASE WHEN pid % 10 = 1 THEN 'night-' || CAST(pid AS TEXT) END
FROM s
"""
BESIDE = (
    f"INSERT INTO inputs (pid, blob) {SERIES} SELECT pid, :blob FROM s",
    f"INSERT INTO results (pid, outputs) {SERIES} SELECT pid, :blob FROM s",
    f"""INSERT INTO events (pid, at, kind, body) {SERIES}
    SELECT pid, at - 0.4, 'state', '{{"from"\\:"created","to"\\:"running"}}' FROM s""",
    f"""INSERT INTO events (pid, at, kind, body) {SERIES}
    SELECT pid, at, 'state', '{{"from"\\:"running","to"\\:"finished"}}' FROM s""",
    f"INSERT INTO labels (pid, name, value) {SERIES} SELECT pid, 'who', 'mia' FROM s",
    f"INSERT INTO labels (pid, name, value) {SERIES} SELECT pid, 'study', 'argon' FROM s WHERE pid % 100 = 0",
)


def fill(url: str, count: int, each: float = 1.0) -> None:
    """So many processes, with what each has in other tables.

    Args:
        each: Seconds from the end of one to the end of the next; the last one has ended now.
    """
    with Store(url):
        pass
    database = database_of(url)
    now = time.time()
    with database.writer() as connection:
        for first in range(1, count + 1, BATCH):
            database.begin(connection)
            said = {
                "first": first, "last": min(first + BATCH - 1, count), "at": now - (count - first) * each,
                "each": each, "blob": b"x" * 300,
            }  # fmt: skip
            for statement in (PROCESSES, *BESIDE):
                connection.execute(text(statement), said)
            connection.exec_driver_sql("COMMIT")
            connection.commit()
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
