"""What is asked for every few seconds, or at every step, never reads the whole table."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import CompoundSelect, Select, event, text

from quince_persistence.databases.opening import database_of
from quince_persistence.reading import reads, selecting
from quince_persistence.records import State, Step
from quince_persistence.store import Store
from quince_persistence.writing import unit_of_work as unit
from quince_persistence.writing.operations import sweep, workers
from tests.contracts.store_backends import born, held, step, store, store_url

__all__ = ["store", "store_url"]

HOT: dict[str, tuple[Select[Any] | CompoundSelect[Any], dict[str, Any]]] = {
    "due timers": (sweep._due, {"now": 1.0}),
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
}


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
            or ("SCAN processes" in line and "USING" not in line)
            or "Seq Scan on events" in line
        ]
        assert not whole, f"{name}:\n{plan}"
