"""A queue of thousands that waits for a limit is never read as a whole, nor sorted, to find the next one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Select, text

from quince_persistence.databases.opening import database_of
from quince_persistence.records import ProcessOptions
from quince_persistence.store import Store
from quince_persistence.writing import granting
from quince_persistence.writing.operations import limits
from tests.contracts.store_backends import born, store, store_url
from tests.contracts.test_store_plans import _plan

__all__ = ["store", "store_url"]

MANY = 4000
HOT: dict[str, tuple[Select[Any], dict[str, Any]]] = {
    "who has a limit": (granting._held, {"names": ["x"], "gone": [1]}),
    "who is next": (granting._next_live, {"name": "x", "live": ["default"], "gone": [1], "most": 1}),
    "who waits": (limits._waited_for, {}),
    "who waits on queues with workers": (limits._waited_on, {"names": ["x"], "live": ["default"]}),
    "which limits nobody needs": (limits._over, {}),
    "who holds it": (limits._holding, {"names": ["x"]}),
    "who holds it for nothing": (limits._stranded, {"pids": [1, 2], "before": 1.0, "live": ["default"]}),
}


def test_no_query_reads_all_that_wait(store: Store, store_url: str) -> None:
    for name in ("x", "y"):
        store.set_limit(name, slots=4).result()
        born(store, MANY, options=ProcessOptions(limits=(name,)))
    if store_url.startswith("postgresql"):  # as its autovacuum does
        database = database_of(store_url)
        with database.engine().connect() as connection:
            connection.execute(text("VACUUM ANALYZE"))
        database.dispose()
    for name, (statement, parameters) in HOT.items():
        plan = _plan(store_url, statement, parameters)
        for wrong in (
            "Seq Scan on limit_uses",
            "SCAN limit_uses",
            "Seq Scan on processes",
            "Sort",
            "TEMP B-TREE",
        ):
            sorted_names = wrong in ("Sort", "TEMP B-TREE") and name != "who is next"
            assert sorted_names or wrong not in plan, f"{name}:\n{plan}"
