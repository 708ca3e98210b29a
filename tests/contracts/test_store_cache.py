"""The cache of a store: who is born finished, with whose outputs, and who is not; on every kind of store."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import func, select, text

from quince_persistence.codec import encode_each
from quince_persistence.databases.database import Database
from quince_persistence.databases.opening import database_of
from quince_persistence.records import (
    Control,
    NewEvent,
    NewProcess,
    ProcessOptions,
    ProcessRow,
    Selection,
    State,
)
from quince_persistence.schema.tables import cache, contents
from quince_persistence.store import Store
from tests.contracts.store_backends import held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

KEY = "abc123:digest"
OUTPUTS = encode_each({"total": 7})


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    opened = database_of(store_url)
    yield opened
    opened.dispose()


def _asked(store: Store, count: int = 1, **fields: object) -> list[NewProcess]:
    """Processes that are asked for the same."""
    return new(store, count, options=ProcessOptions(cache_key=KEY), **fields)


def _ran(store: Store, *, outputs: bytes = OUTPUTS, revision: str | None = "abc123", status: int = 0) -> int:
    """One that ran and ended."""
    (claim,) = held(store, "w", options=ProcessOptions(cache_key=KEY))
    assert not step(
        store, claim, State.FINISHED, outputs=outputs, exit_status=status, revision=revision
    ).fenced
    return claim.row.pid


def _rows(store: Store, processes: list[NewProcess]) -> list[ProcessRow]:
    store.insert(processes).result()
    return [row for one in processes if (row := store.get(one.pid)) is not None]


def _is_served(row: ProcessRow) -> bool:
    assert (row.options.cached_from is not None) == row.terminated == (row.state is State.FINISHED)
    return row.terminated


def test_one_that_is_asked_for_the_same_is_born_finished(store: Store) -> None:
    (first,) = _rows(store, _asked(store))
    assert not _is_served(first)
    origin = _ran(store)
    (row,) = _rows(store, _asked(store, paused=True, within=100.0))
    assert (row.state, row.exit_status, row.paused, row.ready) == (State.FINISHED, 0, False, False)
    assert (row.options.cached_from, row.deadline, row.owner) == (origin, None, None)
    assert row.ended == row.created
    assert store.outputs(row.pid) == OUTPUTS
    assert [(event.kind, event.body) for event in store.events(row.pid)] == [
        ("state", {"from": "created", "to": "finished"}),
        ("cached", {"from": origin}),
    ]
    assert store.claim([row.pid], "w").result() == []
    (outcome,) = store.control(Control.KILL, Selection(pids=[row.pid]), author="me").result()
    assert outcome.refused is not None
    assert store.idle(0) == [one for one in store.idle(0) if one.pid != row.pid]
    (other,) = _rows(store, new(store, options=ProcessOptions(cache_key="abc123:other")))
    assert not _is_served(other)


def test_a_chain_that_waits_for_it_goes_on_at_once(store: Store) -> None:
    _ran(store)
    (claim,) = held(store, "w")
    served, runs = _asked(store, 1, parent=claim.row.pid), new(store, 1, parent=claim.row.pid)
    both = [*served, *runs]
    outcome = step(store, claim, State.WAITING, children=both, awaits=[one.pid for one in both])
    assert (outcome.awaiting, list(outcome.served)) == (1, [served[0].pid])
    again = _asked(store, 3, parent=claim.row.pid)
    outcome = step(store, claim, State.WAITING, children=again, awaits=[one.pid for one in again])
    assert (outcome.awaiting, list(outcome.served)) == (0, [one.pid for one in again])


def test_what_asks_for_limits_waits_for_none(store: Store) -> None:
    _ran(store)
    store.set_limit("licence", slots=1).result()
    options = ProcessOptions(cache_key=KEY, limits=("licence",))
    (row,) = _rows(store, new(store, options=options))
    assert _is_served(row)
    (holder,) = _rows(store, new(store, options=ProcessOptions(limits=("licence",))))
    assert holder.granted


@pytest.mark.parametrize("spoilt", ["code", "failed", "no source", "edited", "other inputs", "outputs lost"])
def test_it_runs_again(store: Store, database: Database, spoilt: str) -> None:
    large = encode_each({"array": os.urandom(100_000)})
    match spoilt:
        case "code":
            _ran(store, revision="def456")
        case "failed":
            _ran(store, status=4)
        case "no source":
            _ran(store, revision=None)
        case "edited":
            (claim,) = held(store, "w", options=ProcessOptions(cache_key=KEY))
            changed = [NewEvent("revision", {"from": "x", "to": "abc123"})]
            step(store, claim, State.RUNNING, checkpoint=b"\x80", events=changed, revision="abc123")
            step(store, claim, State.FINISHED, outputs=OUTPUTS, exit_status=0, revision="abc123")
        case "other inputs":
            (claim,) = held(store, "w", options=ProcessOptions(cache_key=KEY))
            step(store, claim, State.EXCEPTED, error=b"\x80")
            selection = Selection(pids=[claim.row.pid])
            store.retry(selection, author="me", inputs=b"\x80").result()
            (claim,) = store.claim([claim.row.pid], "w").result()
            step(store, claim, State.FINISHED, outputs=OUTPUTS, exit_status=0, revision="abc123")
        case "outputs lost":
            _ran(store, outputs=large)
            with database.engine().connect() as connection:
                connection.execute(contents.delete())
                if connection.in_transaction():
                    connection.commit()
    (row,) = _rows(store, _asked(store))
    assert not _is_served(row)
    assert row.ready


def test_large_outputs_are_stored_once_and_last_as_long_as_any(store: Store, database: Database) -> None:
    large = encode_each({"array": os.urandom(100_000)})
    origin = _ran(store, outputs=large)
    rows = _rows(store, _asked(store, 50))
    assert all(map(_is_served, rows))
    with database.engine().connect() as connection:
        assert connection.execute(select(func.count()).select_from(contents)).scalar_one() == 1
    assert store.outputs(rows[-1].pid) == large
    late = store.clock() + 10
    assert store.prune([origin], before=late, failed_before=late).result().pids == []
    every = [row.pid for row in rows] + [origin]
    assert len(store.prune(every, before=late, failed_before=late).result().pids) == 51
    store.drop_unused().result()
    with database.engine().connect() as connection:
        for table in (contents, cache):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0
    (row,) = _rows(store, _asked(store))
    assert not _is_served(row)


def test_the_origin_is_pruned_while_another_one_asks(stores: tuple[Store, Store], database: Database) -> None:
    """Either it is born finished, and its origin stays, or it runs."""
    here, there = stores
    for _ in range(15):
        origin = _ran(here)
        asked = _asked(there)
        late = here.clock() + 10
        with ThreadPoolExecutor(2) as threads:
            pruning = threads.submit(here.prune([origin], before=late, failed_before=late).result)
            threads.submit(there.insert(asked).result).result()
            pruned = pruning.result().pids
        row = here.get(asked[0].pid)
        assert row is not None
        assert (pruned == []) == _is_served(row)
        with database.engine().connect() as connection:
            connection.execute(text("DELETE FROM cache"))
            if connection.in_transaction():
                connection.commit()


def test_two_that_end_at_once_leave_one_of_them(stores: tuple[Store, Store]) -> None:
    claims = [held(store, "w", options=ProcessOptions(cache_key=KEY))[0] for store in stores * 5]
    with ThreadPoolExecutor(10) as threads:
        ends = [
            threads.submit(
                step, stores[n % 2], claim, State.FINISHED, outputs=OUTPUTS, exit_status=0, revision="abc123"
            )
            for n, claim in enumerate(claims)
        ]
        assert not any(end.result().fenced for end in ends)
    (row,) = _rows(stores[0], _asked(stores[0]))
    assert row.options.cached_from in {claim.row.pid for claim in claims}


def test_damaged_outputs_serve_nobody_until_somebody_has_computed_them_again(
    store: Store, database: Database
) -> None:
    large = encode_each({"array": os.urandom(100_000)})
    origin = _ran(store, outputs=large)
    with database.engine().begin() as connection:
        connection.execute(text("UPDATE contents SET blob = :junk"), {"junk": b"junk"})
    assert not any(_is_served(row) for row in _rows(store, _asked(store, 2)))
    again = _ran(store, outputs=large)
    (row,) = _rows(store, _asked(store))
    assert _is_served(row)
    assert store.outputs(row.pid) == store.outputs(origin) == store.outputs(again) == large
