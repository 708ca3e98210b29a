"""What is asked for every few seconds, or at every step, never reads the whole table."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import CompoundSelect, Select, event, text

from quince_persistence.databases.opening import database_of
from quince_persistence.reading import looks, reads, selecting
from quince_persistence.records import Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.schema.mutable_row import live_rows
from quince_persistence.store import Store
from quince_persistence.writing import unit_of_work as unit
from quince_persistence.writing.operations import sweep, workers
from quince_persistence.writing.operations.claim import _urgent
from tests.contracts.store_backends import born, held, step, store
from tests.contracts.store_backends import empty_url as store_url

__all__ = ["store", "store_url"]

HOT: dict[str, tuple[Select[Any] | CompoundSelect[Any], dict[str, Any]]] = {
    "what comes before those named": (_urgent, {"queue": "default", "pids": [1, 2], "most": 3}),
    "due timers": (sweep._due, {"now": 1.0}),
    "deadlines that are over": (sweep._over, {"now": 1.0}),
    "idle processes": (sweep._idle, {"before": 1.0}),
    "owners without a row": (sweep._orphans, {"before": 1.0}),
    "held processes": (workers._held, {"owner": "w"}),
    "held by whom": (reads._held, {}),
    "live ones of a queue": (workers._queued, {"old": "gone"}),
    "backlog": (reads._backlog, {}),
    "rows of a group": (unit._lock_rows, {"pids": [1, 2, 3]}),
    "who awaits": (unit._awaiting, {"children": [1, 2, 3]}),
    "a family, and who awaits it": (unit._relatives, {"tops": [1]}),
    "rows of a group, and who awaits some": (unit._lock_awaiting, {"pids": [1, 2, 3], "children": [1, 2]}),
    "rows of a group, families, and who awaits them": (
        unit._lock_relatives,
        {"pids": [1, 2, 3], "children": [1], "tops": [2]},
    ),
    "what is awaited": (reads._awaited, {"pid": 1}),
    "claims of an owner": (reads._claims, {"owner": "w"}),
    "asked of an owner": (reads._asked, {"owner": "w"}),
    "history": (reads._events, {"pid": 1, "after": 0}),
    "by key": (reads._by_key, {"key": "x"}),
    "results": (reads._results, {"pids": [1, 2, 3]}),
    "small results": (reads._small_results, {"pids": [1, 2, 3], "small": 4096}),
    "blobs of claims": (selecting.BLOBS, {"pids": [1, 2, 3]}),
    "keys from one on": (reads._keys_from, {"key": "x"}),
    "keys before one": (reads._keys_before, {"key": "x"}),
    "failures": (reads._failures, {"since": 1.0}),
    "the next label": (reads._next_label, {"after": "x"}),
    "by a label": selecting.chosen(live_rows(), Selection(labels=[("study", "argon")], limit=100)),
    "by a label, of any value": selecting.chosen(live_rows(), Selection(labels=[("study", None)], limit=9)),
    "by two labels": selecting.chosen(
        live_rows(), Selection(labels=[("who", "mia"), ("study", "argon")], limit=100)
    ),
    "what failed": selecting.chosen(live_rows(), Selection(failed=True, limit=100)),
    "the newest that live": selecting.newest(live_rows(), Selection(live=True, limit=100)),
    "the newest that live, below a pid": selecting.newest(
        live_rows(), Selection(live=True, before=900, above=100, classes=["X"], limit=100)
    ),
    "what is paused": selecting.chosen(live_rows(), Selection(paused=True, limit=100)),
    "children": (looks.CHILDREN, {"parents": [1, 2], "most": 100}),
    "how many children": (looks.CHILD_COUNTS, {"parents": [1, 2]}),
    "children that are alike": (looks.TALLIES, {"parents": [1, 2]}),
    "histories": (looks.HISTORIES, {"pids": [1, 2], "kinds": ["state"]}),
    "queues": (looks.QUEUES, {}),
    "by exit status": selecting.chosen(live_rows(), Selection(exits=[410], limit=100)),
    "by exit statuses": selecting.chosen(live_rows(), Selection(exits=[410, 411], limit=100)),
}


def _live(**wanted: Any) -> tuple[Select[Any] | CompoundSelect[Any], dict[str, Any]]:
    """What lives, a hundred of it."""
    return selecting.newest(live_rows(), Selection(live=True, limit=100, **wanted), by_label=False)


BY: dict[str, tuple[Any, dict[str, Any], str]] = {
    "failures": (reads._failures, {"since": 1.0}, "ix_processes_failed_at"),
    "what failed last": (looks.LAST_FAILED, {"most": 20}, "ix_processes_failed_at"),
    "ends": (looks.ENDS, {"since": 1e12, "width": 60.0}, "ix_processes_ended"),
    "ends that are failures": (looks.FAILED_ENDS, {"since": 1.0, "width": 60.0}, "ix_processes_failed_at"),
    "how many are paused": (looks.PAUSED_COUNTS, {}, "ix_processes_paused"),
    "what is paused, and lives": (*_live(paused=True), "ix_processes_paused"),
    "window, common label": (
        *_live(labels=[("who", "mia")], before=3000, above=1000), "ix_processes_state",
    ),
    "window, label of any value": (
        *_live(labels=[("who", None)], before=3000, above=1000), "ix_processes_state",
    ),
}  # fmt: skip
"""Where a planner had found another way, that takes a second among a million; and the index to go by."""


@pytest.fixture
def crowd(store: Store, store_url: str) -> Store:
    """Many processes, of which few are of interest to any sweep: enough for PostgreSQL to count the cost;
    SQLite, without statistics, plans alike for any number."""
    many = 4000 if store_url.startswith("postgresql") else 1000
    pids = list(born(store, many))
    claims = store.claim(pids[: many - 100], "w").result()
    ends = [Step(claim.row.pid, "w", 1, State.FINISHED, exit_status=0) for claim in claims[5:]]
    for future in [store.commit(end) for end in ends]:
        assert not future.result().fenced
    for claim in held(store, "x", 3):
        step(store, claim, State.WAITING, awaits=pids[-50:-40], due=5.0, release=True)
    if store_url.startswith("postgresql"):  # as its autovacuum does; nobody analyses a SQLite file
        database = database_of(store_url)
        with database.engine().connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        database.dispose()
    return store


def _plan(url: str, statement: Select[Any] | CompoundSelect[Any], parameters: dict[str, Any]) -> str:
    """How the database would find the rows."""
    database = database_of(url)
    engine = database.engine()
    explain = "EXPLAIN QUERY PLAN" if url.startswith("sqlite") else "EXPLAIN"

    def asked(_connection: Any, _cursor: Any, sql: str, values: Any, *_: Any) -> tuple[str, Any]:
        return f"{explain} {sql}", values

    event.listen(engine, "before_cursor_execute", asked, retval=True)
    with engine.connect() as connection:
        cursor = connection.execute(statement, parameters).cursor
        assert cursor is not None
        plan = "\n".join(str(row[-1]) for row in cursor.fetchall())
    database.dispose()
    return plan


@pytest.mark.usefixtures("crowd")
def test_hot_queries_use_an_index(store_url: str) -> None:
    for name, (statement, parameters) in HOT.items():
        plan = _plan(store_url, statement, parameters)
        whole = [
            line
            for line in plan.splitlines()
            if "Seq Scan on processes" in line
            or ("SCAN asked" in line or "Seq Scan on processes asked" in line)
            or ("SCAN processes" in line and "USING" not in line)
            or "Seq Scan on events" in line
        ]
        assert not whole, f"{name}:\n{plan}"


@pytest.mark.usefixtures("crowd")
def test_queries_use_the_index_that_was_made_for_them(store_url: str) -> None:
    for name, (statement, parameters, index) in BY.items():
        plan = _plan(store_url, statement, parameters)
        ways = [line for line in plan.splitlines() if "Scan" in line or "processes USING" in line]
        by = [line for line in ways if "processes" in line and "Bitmap Heap" not in line]
        assert by, f"{name}:\n{plan}"
        assert all(index in line for line in by), f"{name}:\n{plan}"
        if name.startswith("window"):
            assert "pid < " in plan or "pid<?" in plan, f"{name}:\n{plan}"
