"""What completion reads of a store without SQLAlchemy, on every kind of store."""

from __future__ import annotations

import pytest

from quince_persistence.reading.glance import QUERIES, glance
from quince_persistence.records import ProcessOptions
from quince_persistence.store import Store
from tests.contracts.store_backends import held, store, store_url

__all__ = ["store", "store_url"]


@pytest.mark.parametrize("what", sorted(QUERIES))
def test_every_query_suits_the_schema(what: str, store: Store, store_url: str) -> None:
    (claim,) = held(store, "w", options=ProcessOptions(labels={"study": "argon"}))
    pid = claim.row.pid
    parameters = {"by pid": (pid,), "by key": ("none",)}.get(what, ())
    with glance(store_url) as found:
        rows = found.rows(what, *parameters)
    if what in ("newest", "live", "by pid"):
        assert [(row[0], row[2]) for row in rows] == [(pid, "running")]
    elif what == "labels":
        assert [*rows] == [("study", "argon")]


def test_nothing_is_made_where_no_store_is(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("none")
    with pytest.raises(Exception, match="unable to open"), glance(f"sqlite:///{folder}/x.db"):
        pass
    assert [*folder.iterdir()] == []
