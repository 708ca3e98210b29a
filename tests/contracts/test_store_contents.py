"""Large parts of values: stored once, given back whole, dropped with their last user; on every store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text

from quince_persistence.codec import Unreadable, decode, encode, encode_each, fold
from quince_persistence.codec.folding import LEAST
from quince_persistence.databases.database import Database
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import RecordRefused
from quince_persistence.records import Claim, Control, NewProcess, NewSignal, Selection, State
from quince_persistence.schema.tables import content_uses, contents
from quince_persistence.store import Store
from tests.contracts.store_backends import born, held, new, step, store, store_url, stores

__all__ = ["store", "store_url", "stores"]

MB = 1_000_000


@pytest.fixture
def database(store_url: str) -> Iterator[Database]:
    opened = database_of(store_url)
    yield opened
    opened.dispose()


def _count(database: Database, what: Any = contents) -> int:
    with database.engine().connect() as connection:
        return int(connection.execute(select(func.count()).select_from(what)).scalar_one())


def _stored(database: Database) -> int:
    """Bytes of all values."""
    tables = ("inputs", "checkpoints", "once", "signals", "contents")
    asked = " UNION ALL ".join(f"SELECT sum(length(blob)) FROM {table}" for table in tables)
    asked += " UNION ALL SELECT sum(length(outputs)) FROM results"
    with database.engine().connect() as connection:
        return sum(row[0] or 0 for row in connection.execute(text(asked)))


def _lost(database: Database) -> int:
    """How many parts are used that are nowhere."""
    there = select(contents.c.digest)
    with database.engine().connect() as connection:
        used = select(func.count()).select_from(content_uses).where(content_uses.c.digest.not_in(there))
        return int(connection.execute(used).scalar_one())


def _sweep(store: Store) -> None:
    store.sweep(expiry=1e6, stale=1e6).result()


def _finish(store: Store, claim: Claim, outputs: bytes = b"\x80") -> None:
    assert not step(store, claim, State.FINISHED, outputs=outputs, exit_status=0).fenced


def test_one_value_of_many_processes_is_stored_once(store: Store, database: Database) -> None:
    array = os.urandom(MB)
    inputs = encode_each({"array": array, "n": 1})
    pids = born(store, 500, inputs=inputs)
    assert MB < _stored(database) < 1.2 * MB
    claims = store.claim(pids[:100], "w").result()
    assert all(claim.inputs == inputs for claim in claims)
    assert decode(claims[0].inputs) == {"array": array, "n": 1}
    assert store.inputs(pids[-1]) == inputs
    assert next(iter(store.live())).inputs == inputs


def test_a_value_goes_from_inputs_through_checkpoints_to_outputs_and_costs_nothing(
    store: Store, database: Database
) -> None:
    array = os.urandom(MB)
    (claim,) = held(store, "w", inputs=encode_each({"array": array}))
    pid = claim.row.pid
    for number in range(3):
        checkpoint = encode({"ctx": {"array": array, "number": number}})
        step(store, claim, State.RUNNING, checkpoint=checkpoint)
        assert store.checkpoint(pid) == checkpoint
    store.record_once(pid, "w", 1, "key", encode(array)).result()
    recorded = store.recorded(pid, "key")
    assert recorded is not None
    assert recorded.result == encode(array)
    store.send([NewSignal(pid, "go", encode([array]))], author="me").result()
    assert store.signals(pid)[0].value == encode([array])
    assert _stored(database) < 1.1 * MB
    outputs = encode_each({"array": array})
    _finish(store, claim, outputs)
    assert store.outputs(pid) == outputs == store.results([pid])[0].outputs
    (small,) = store.results([pid], small=4096)
    assert (small.outputs, small.unread) == (None, len(outputs))
    assert _stored(database) < 1.1 * MB
    assert _count(database, content_uses) == 2  # inputs and outputs; what it lived on is gone


def test_small_values_and_the_first_step_of_a_chain_ask_for_nothing(store: Store, database: Database) -> None:
    (claim,) = held(store, "w", inputs=encode_each({"text": "x" * (LEAST - 100)}))
    _finish(store, claim)
    assert _count(database) == _count(database, content_uses) == 0


def test_what_the_last_user_drops_is_gone_with_the_next_sweep(store: Store, database: Database) -> None:
    (claim,) = held(store, "w", inputs=b"\x80")
    for _ in range(4):
        step(store, claim, State.RUNNING, checkpoint=encode({"array": os.urandom(MB)}))
    _sweep(store)
    assert _count(database) == 1
    step(store, claim, State.RUNNING, checkpoint=encode({"array": None}))
    _sweep(store)
    assert _count(database) == _count(database, content_uses) == 0
    step(store, claim, State.RUNNING, checkpoint=encode({"array": os.urandom(MB)}))
    _finish(store, claim)
    _sweep(store)
    assert _count(database) == _count(database, content_uses) == 0


def test_what_failed_keeps_its_parts(store: Store, database: Database) -> None:
    (claim,) = held(store, "w", inputs=b"\x80")
    checkpoint = encode({"array": os.urandom(MB)})
    step(store, claim, State.RUNNING, checkpoint=checkpoint)
    step(store, claim, State.EXCEPTED, error=b"\x80")
    _sweep(store)
    assert store.checkpoint(claim.row.pid) == checkpoint


def test_folded_values_need_their_parts(store: Store, database: Database) -> None:
    parts: dict[str, bytes] = {}
    blob = fold(encode_each({"array": os.urandom(MB)}), parts)
    (lost,) = new(store, inputs=blob)
    with pytest.raises(RecordRefused, match="a large part of a value is not there"):
        store.insert([lost]).result()
    (pid,) = store.insert([lost], contents=parts).result()
    (again,) = store.insert(new(store, inputs=blob)).result()  # they are there now
    assert store.inputs(pid) == store.inputs(again)
    (claim,) = store.claim([pid], "w").result()
    children = new(store, 2, parent=pid, inputs=blob)
    step(store, claim, State.RUNNING, children=children, contents=parts)
    assert _count(database) == 1


@pytest.mark.parametrize("harm", ["UPDATE contents SET blob = :junk", "DELETE FROM contents"])
def test_a_damaged_part_is_an_error_and_no_value(store: Store, database: Database, harm: str) -> None:
    (whole,) = born(store, inputs=encode_each({"n": 1}))
    (pid,) = born(store, inputs=encode_each({"array": os.urandom(MB)}))
    with database.engine().connect() as connection:
        connection.execute(text(harm), {"junk": os.urandom(MB)} if ":junk" in harm else {})
        if connection.in_transaction():
            connection.commit()
    lost = [f"parts of large values of processes {pid} are missing"]
    assert store.damage() == (lost if harm.startswith("DELETE") else [])
    claims = store.claim([whole, pid], "w").result()
    assert decode(claims[0].inputs) == {"n": 1}
    for blob in (claims[1].inputs, store.inputs(pid)):
        assert blob is not None
        with pytest.raises(Unreadable, match="1000000 bytes is missing in the store, or damaged"):
            decode(blob)


@pytest.mark.parametrize("harm", ["bits", "length", "kind"])
def test_what_is_damaged_is_mended_by_whoever_writes_it_again(
    stores: tuple[Store, Store], database: Database, harm: str
) -> None:
    """As inputs or in a checkpoint; by another program, and by the one that has read it."""
    store, other = stores
    if harm == "kind" and database.url.drivername != "sqlite":
        return  # PostgreSQL keeps nothing but bytes in that column
    array = os.urandom(MB)
    inputs = encode_each({"array": array})
    (whole,) = born(store, inputs=encode_each({"n": 1}))

    def damage() -> None:
        junk = {"bits": array[:-1] + b"x", "length": array[:-1], "kind": "a text"}[harm]
        with database.engine().connect() as connection:
            connection.execute(text("UPDATE contents SET blob = :junk"), {"junk": junk})
            if connection.in_transaction():
                connection.commit()

    (pid,) = born(store, inputs=inputs)
    claims: dict[int, Claim] = {}
    for writer in (other, store):
        damage()
        claims |= {claim.row.pid: claim for claim in store.claim([whole, pid], "w").result()}
        with pytest.raises(Unreadable, match="missing in the store, or damaged"):
            decode(store.inputs(pid) or b"")
        store.release(pid, "w", claims[pid].row.epoch)
        (again,) = born(writer, inputs=inputs)
        assert store.inputs(pid) == writer.inputs(again) == inputs
    damage()
    with pytest.raises(Unreadable):
        decode(store.inputs(pid) or b"")
    step(store, claims[whole], State.RUNNING, checkpoint=encode({"array": array}))
    assert store.inputs(pid) == inputs
    assert (_count(database), _lost(database)) == (1, 0)


def test_what_is_repeated_shares_its_values(store: Store, database: Database) -> None:
    """A restart, a retry with other inputs, and what the processes of before still have."""
    first, second = (encode_each({"array": os.urandom(MB)}) for _ in range(2))
    (claim,) = held(store, "w", inputs=first)
    checkpoint = encode({"array": os.urandom(MB)})
    step(store, claim, State.RUNNING, step="next", checkpoint=checkpoint)
    step(store, claim, State.EXCEPTED, step="next", error=b"\x80")
    made = store.restart(claim.row.pid, author="me").result()
    other = store.restart(claim.row.pid, author="me", inputs=second).result()
    assert (store.inputs(made.pid), store.inputs(other.pid)) == (first, second)
    assert store.checkpoint(made.pid) == store.checkpoint(other.pid) == checkpoint
    assert _count(database) == 3
    store.retry(Selection(pids=[claim.row.pid]), author="me", inputs=second).result()
    assert store.inputs(claim.row.pid) == second
    late = store.clock() + 10
    store.control(Control.KILL, Selection(pids=[made.pid]), author="me").result()
    assert store.prune([made.pid], before=late, failed_before=late).result().pids == [made.pid]
    store.drop_unused().result()
    assert store.inputs(other.pid) == second
    assert store.checkpoint(claim.row.pid) == checkpoint
    assert (_count(database), _lost(database)) == (2, 0)  # nobody has the first array any more


def test_a_copy_has_all(store: Store, database: Database, tmp_path: Any) -> None:
    inputs = encode_each({"array": os.urandom(MB)})
    pids = born(store, 3, inputs=inputs)
    url = f"sqlite:///{tmp_path / 'copy.sqlite'}"
    store.copy_to(url, alive=10, author="me").result()
    with Store(url) as copy:
        assert [copy.inputs(pid) for pid in pids] == [inputs] * 3


def test_users_come_and_go_and_nothing_is_lost(stores: tuple[Store, Store], database: Database) -> None:
    """Two programs begin and cease to use the same few parts, while both sweep."""
    values = [encode({"array": os.urandom(LEAST + 1)}) for _ in range(3)]
    over = threading.Event()

    def use(store: Store, owner: str) -> None:
        (claim,) = held(store, owner, inputs=b"\x80")
        for number in range(60):
            checkpoint = values[number % 3] if number % 2 else encode({"n": number})
            assert not step(store, claim, State.RUNNING, checkpoint=checkpoint).fenced
            assert store.checkpoint(claim.row.pid) == checkpoint

    def sweep(store: Store) -> None:
        while not over.is_set():
            _sweep(store)

    with ThreadPoolExecutor(8) as threads:
        sweeps = [threads.submit(sweep, store) for store in stores]
        try:
            users = [threads.submit(use, stores[n % 2], f"w{n}") for n in range(6)]
            for user in users:
                user.result()
        finally:
            over.set()
        for one in sweeps:
            one.result()
    assert _lost(database) == 0
    _sweep(stores[0])
    assert _count(database) <= 3


def test_one_drops_the_last_use_while_another_begins_one(
    stores: tuple[Store, Store], database: Database
) -> None:
    """The sweep has chosen a part, when a new user of it commits; and the other way round."""
    here, there = stores
    value = encode({"array": os.urandom(MB)})

    def race(first: Callable[[], object], second: Callable[[], object]) -> None:
        with ThreadPoolExecutor(2) as threads:
            for one in [threads.submit(first), threads.submit(second)]:
                one.result()

    def insert(store: Store) -> list[NewProcess]:
        return new(store, inputs=value)

    for _ in range(20):
        (claim,) = held(here, "w", inputs=b"\x80")
        step(here, claim, State.RUNNING, checkpoint=value)
        step(here, claim, State.RUNNING, checkpoint=b"\x80")
        processes = insert(there)
        race(lambda: _sweep(here), lambda processes=processes: there.insert(processes).result())  # type: ignore[misc]
        assert _lost(database) == 0
        assert there.inputs(processes[0].pid) == value
        with database.engine().connect() as connection:  # as if it were pruned
            connection.execute(text("DELETE FROM content_uses"))
            if connection.in_transaction():
                connection.commit()
