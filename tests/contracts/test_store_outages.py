"""PostgreSQL that goes away: nothing is lost, nothing is applied twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update
from sqlalchemy.engine import make_url

from quince_persistence.databases.bootstrap import prepare
from quince_persistence.databases.opening import database_of
from quince_persistence.errors import StoreUnavailable
from quince_persistence.records import NewEvent, NewSignal, Selection, State
from quince_persistence.records.steps import Step
from quince_persistence.records.workers import WorkerRow
from quince_persistence.schema.tables import WRITER, counters
from quince_persistence.store import Store
from tests.contracts.cut_cable import Cable
from tests.contracts.store_backends import born, finish, held, new, step
from tests.services import Postgres

pytestmark = pytest.mark.postgres

COMMIT = b"COMMIT\0"
"""As it goes over the wire (`READ COMMITTED` does too)."""


@pytest.fixture
def cable(postgres_server: Postgres) -> Iterator[Cable]:
    with Cable("127.0.0.1", postgres_server.port) as cable:
        yield cable


@pytest.fixture
def store(postgres_url: str, cable: Cable) -> Iterator[Store]:
    url = make_url(postgres_url).set(port=cable.port)
    with Store(url.render_as_string(hide_password=False), patience=30) as opened:
        yield opened


@pytest.mark.parametrize("delivered", [True, False])
@pytest.mark.parametrize("word", [COMMIT, b"UPDATE processes"])
def test_a_commit_in_doubt_is_applied_once(store: Store, cable: Cable, word: bytes, delivered: bool) -> None:
    (claim,) = held(store, "w")
    child = new(store)[0]
    cable.cut_at(word, delivered=delivered)
    outcome = step(
        store,
        claim,
        State.WAITING,
        children=[child],
        awaits=[child.pid],
        events=[NewEvent("report", {"text": "once"})],
    )
    assert cable.cuts == 1
    assert (outcome.fenced, outcome.awaiting) == (False, 1)
    assert [e.kind for e in store.events(claim.row.pid)] == ["state", "report", "state"]
    assert len(store.tree(claim.row.pid)) == 2


@pytest.mark.parametrize("delivered", [True, False])
def test_inserts_and_pids_in_doubt_are_applied_once(store: Store, cable: Cable, delivered: bool) -> None:
    cable.cut_at(COMMIT, delivered=delivered)
    pids = list(store.allocate_pids(3))
    cable.cut_at(COMMIT, delivered=delivered)
    inserted = born(store, 3)
    assert [row.pid for row in store.select(Selection())] == sorted(inserted, reverse=True)
    assert cable.cuts == 2
    assert pids == [1, 2, 3]


@pytest.mark.parametrize("delivered", [True, False])
def test_a_commit_stays_in_doubt_while_the_server_does_not_answer(
    postgres_url: str,
    postgres_server: Postgres,
    cable: Cable,
    caplog: pytest.LogCaptureFixture,
    delivered: bool,
) -> None:
    """The server is frozen when the answer to a COMMIT is lost. That no connection can be made, for however
    long, says nothing about what became of it."""
    url = make_url(postgres_url).set(port=cable.port, query={"connect_timeout": "2"})
    with Store(url.render_as_string(hide_password=False), patience=60) as store:
        (pid,) = born(store)
        cable.cut_at(COMMIT, delivered=delivered, then=postgres_server.freeze)
        sent = [store.send([NewSignal(pid, f"s{n}", b"1")], author="ann") for n in range(5)]
        with ThreadPoolExecutor(1) as pool:
            thawed = pool.submit(_thaw_after_a_timeout, postgres_server, caplog)
            assert [one.applied for future in sent for one in future.result(timeout=60)] == [True] * 5
            assert thawed.result() >= 1
        assert cable.cuts == 1
        assert sorted(signal.name for signal in store.signals(pid)) == [f"s{n}" for n in range(5)]


def _thaw_after_a_timeout(server: Postgres, caplog: pytest.LogCaptureFixture) -> int:
    """Wait until the store has tried to connect in vain; returns how often it said so."""
    deadline = time.monotonic() + 30
    said: list[str] = []
    try:
        while not said and time.monotonic() < deadline:
            time.sleep(0.05)
            said = [m for m in caplog.messages if "the database is away" in m and "timeout expired" in m]
    finally:
        server.thaw()
    return len(said)


def test_a_commit_in_doubt_is_told_as_such_when_the_patience_is_over(
    postgres_url: str, postgres_server: Postgres, cable: Cable
) -> None:
    url = make_url(postgres_url).set(port=cable.port, query={"connect_timeout": "2"})
    with Store(url.render_as_string(hide_password=False), patience=0.5) as store:
        (pid,) = born(store)
        cable.cut_at(COMMIT, delivered=True, then=postgres_server.freeze)
        try:
            with pytest.raises(StoreUnavailable, match="is not known") as caught:
                store.send([NewSignal(pid, "once", b"1")], author="ann").result(timeout=60)
        finally:
            postgres_server.thaw()
        assert caught.value.in_doubt is True
        assert [signal.name for signal in store.signals(pid)] == ["once"]


def test_the_group_is_answered_after_the_server_cut_it_off(store: Store, postgres_server: Postgres) -> None:
    claims = held(store, "w", 20)
    postgres_server.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
    )
    assert store.get(claims[0].row.pid) == claims[0].row  # reads connect again by themselves
    futures = [store.commit(Step(claim.row.pid, "w", 1, State.FINISHED, exit_status=0)) for claim in claims]
    assert not any(future.result().fenced for future in futures)


def test_the_server_is_restarted_under_load(postgres_url: str, postgres_server: Postgres) -> None:
    """Every step that was answered is there, once; none is fenced; callers only wait."""
    stop = threading.Event()
    with Store(postgres_url, patience=60) as store:
        claims = held(store, "w", 12)

        def work(number: int) -> int:
            count = 0
            while not stop.is_set():
                report = NewEvent("report", {"n": count})
                outcome = step(store, claims[number], State.RUNNING, step=str(count), events=[report])
                assert not outcome.fenced
                count += 1
            return count

        with ThreadPoolExecutor(12) as pool:
            counts = [pool.submit(work, number) for number in range(12)]
            for disturb in (postgres_server.restart, _kill_and_start(postgres_server)):
                before = len(store.events(claims[0].row.pid))
                while len(store.events(claims[0].row.pid)) < before + 20:
                    time.sleep(0.01)
                disturb()
            stop.set()
            done = [future.result() for future in counts]
        for claim, count in zip(claims, done, strict=True):
            seen = [e.body["n"] for e in store.events(claim.row.pid) if e.kind == "report"]
            assert seen == list(range(count))


def _kill_and_start(server: Postgres) -> Callable[[], None]:
    def disturb() -> None:
        server.kill()
        server.start()

    return disturb


def test_a_server_that_stays_away_is_an_error_after_the_patience(
    postgres_url: str, postgres_server: Postgres
) -> None:
    with Store(postgres_url, patience=0.5) as store:
        (claim,) = held(store, "w")
        postgres_server.stop()
        with pytest.raises(StoreUnavailable, match=r"does not answer.*gave up after 0\.5 s") as caught:
            finish(store, claim)
        assert caught.value.in_doubt is False
        postgres_server.start()
        assert not finish(store, claim).fenced


def test_a_text_that_postgresql_does_not_take_fails_alone(store: Store) -> None:
    claims = held(store, "w", 10)
    futures = [
        store.commit(
            Step(claim.row.pid, "w", 1, State.FINISHED, exit_status=0, exit_message="\0" if n == 4 else "")
        )
        for n, claim in enumerate(claims)
    ]
    assert [future.exception() is None for future in futures] == [n != 4 for n in range(10)]


def test_the_number_of_a_lost_transaction_may_be_that_of_another_one(postgres_url: str) -> None:
    """A server that dies gives the numbers that it had not written down to others, which commit."""
    mine, other = database_of(postgres_url), database_of(postgres_url)
    prepare(mine)
    with mine.writer() as lost, other.writer() as connection:
        _, ticket = mine.begin(lost)
        assert mine.was_committed(connection, ticket) is None, "it goes on"
        lost.exec_driver_sql("ROLLBACK")
        assert mine.was_committed(connection, ticket) is False
        _, taken = other.begin(connection)
        connection.exec_driver_sql("COMMIT")
        assert other.was_committed(connection, taken) is True
        assert mine.was_committed(connection, ticket._replace(number=taken.number)) is False
        future = str(int(taken.number) + 1_000_000)
        assert mine.was_committed(connection, ticket._replace(number=future)) is False, (
            "it was never heard of"
        )
    mine.dispose()
    other.dispose()


def test_marks_of_programs_that_are_long_gone_are_swept(postgres_url: str) -> None:
    def marks(store: Store) -> set[str]:
        rows = store._rows.rows(select(counters.c.name).where(counters.c.name.startswith(WRITER)))
        return {name for (name,) in rows}

    row = WorkerRow("w1", "host", 1, "worker-1", ("default",), 4, None, "running", 0.0, 0.0)
    with Store(postgres_url) as gone, Store(postgres_url) as lives:
        born(gone)
        before = marks(lives)
        lives.register_worker(row).result()
        assert marks(lives) > before, "a young one stays"
        database = database_of(postgres_url)
        with database.engine().connect() as connection:
            connection.execute(update(counters).where(counters.c.name.in_(before)).values(value=1))
        database.dispose()
        lives.register_worker(row).result()
        assert not marks(lives) & before
        born(gone)  # and if it is not gone, it marks anew
