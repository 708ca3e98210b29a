"""Whatever defaults a server, a role, a database or a pooler has: the store is the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from quince_persistence.errors import InvalidUrl, NotAStore, PersistenceError, StoreBusy, StoreUnavailable
from quince_persistence.records import NewEvent, NewSignal, State
from quince_persistence.store import Store
from tests.contracts.store_backends import born, finish, held, new, step, store_url
from tests.services import PgBouncer, Postgres, ServiceMissing

__all__ = ["store_url"]

DEFAULTS = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "1ms",
    "lock_timeout": "1ms",
    "idle_in_transaction_session_timeout": "1ms",
    "idle_session_timeout": "20ms",
    "client_encoding": "LATIN1",
    "search_path": "pg_catalog",
    "standard_conforming_strings": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-15",
    "TimeZone": "Asia/Kathmandu",
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "sql_standard",
    "synchronous_commit": "off",
}
POOLS = {
    "refuses settings": [],
    "ignores settings": ["ignore_startup_parameters = options"],
    "by session": ["pool_mode = session", "default_pool_size = 20"],
}


@pytest.fixture
def set_default(postgres_url: str, postgres_server: Postgres) -> Callable[[str, str], None]:
    """Give the user, in this database alone, another default."""
    name = make_url(postgres_url).database

    def set_(setting: str, value: str) -> None:
        quoted = value if setting == "search_path" else f"'{value}'"
        postgres_server.sql(f"ALTER ROLE quince IN DATABASE {name} SET {setting} = {quoted}")

    return set_


@pytest.fixture(params=POOLS)
def pooled_url(request: pytest.FixtureRequest, postgres_url: str, postgres_server: Postgres) -> Iterator[str]:
    """The URL of a fresh database behind PgBouncer, in each manner in which it may be set up."""
    with _bouncer(postgres_server, *POOLS[request.param]) as bouncer:
        yield bouncer.url(postgres_url)


def _bouncer(server: Postgres, *settings: str) -> PgBouncer:
    try:
        return PgBouncer(server, *settings)
    except ServiceMissing as missing:
        pytest.skip(str(missing))


def live_through(store: Store) -> None:
    """What a process does, with all that a setting might touch: bytes, text, times, locks, many at once."""
    (claim,) = held(store, "w")
    for number in range(8):  # as often as makes a driver prepare its statements
        outcome = step(
            store,
            claim,
            State.RUNNING,
            checkpoint=bytes(range(256)) + b"\\x41" + bytes([number]),
            events=[NewEvent("report", {"text": "übrigens \\ 'Σ' 😀"})],
        )
        assert not outcome.fenced
    assert store.checkpoint(claim.row.pid) == bytes(range(256)) + b"\\x41" + bytes([7])
    texts = [event.body["text"] for event in store.events(claim.row.pid) if event.kind == "report"]
    assert texts == ["übrigens \\ 'Σ' 😀"] * 8
    child = new(store)[0]
    assert step(store, claim, State.WAITING, children=[child], awaits=[child.pid]).awaiting == 1
    assert len(store.tree(claim.row.pid)) == 2
    futures = [store.send([NewSignal(claim.row.pid, f"s{n}", b"1")], author="ann") for n in range(50)]
    assert all(one.applied for future in futures for one in future.result())
    assert len(store.signals(claim.row.pid)) == 50
    row = store.get(claim.row.pid)
    assert row is not None
    assert abs(row.updated - store.clock()) < 60
    assert row.updated % 1, "times keep their digits"
    for one in held(store, "w", 30):
        assert not finish(store, one).fenced


@pytest.mark.postgres
@pytest.mark.parametrize("made", ["before", "after"])
def test_defaults_of_roles_do_not_matter(
    set_default: Callable[[str, str], None], postgres_url: str, made: str
) -> None:
    if made == "before":
        Store(postgres_url).__enter__().close()
    for setting, value in DEFAULTS.items():
        set_default(setting, value)
    with Store(postgres_url, patience=2) as store:
        live_through(store)
        database = store._database
        with database.writer() as writer, database.engine().connect() as reader:
            for connection in (writer, reader):
                assert _setting(connection, "transaction_isolation") == "read committed"
                assert _setting(connection, "synchronous_commit") == "on"
                assert _setting(connection, "lock_timeout") == "10s"
                assert _setting(connection, "search_path") == '"public"'


def _setting(connection: Connection, name: str) -> str:
    return str(connection.exec_driver_sql(f"SHOW {name}").scalar_one())


@pytest.mark.postgres
def test_what_a_role_wants_more_of_is_left(
    set_default: Callable[[str, str], None], postgres_url: str
) -> None:
    set_default("synchronous_commit", "remote_apply")
    with Store(postgres_url) as store, store._database.writer() as writer:
        assert _setting(writer, "synchronous_commit") == "remote_apply"


@pytest.mark.postgres
def test_a_schema_of_its_own(set_default: Callable[[str, str], None], postgres_url: str) -> None:
    """Which schema is meant is not guessed: no second store is made unawares, and nobody else's is taken."""
    with Store(postgres_url) as store:
        born(store)
        store._database.writer().exec_driver_sql("CREATE SCHEMA other")
        set_default("search_path", "other")
        born(store)  # new connections of an open store go on where it is
    with pytest.raises(
        NotAStore, match=r"in the schema public, but this user looks in other .*search_path%3D"
    ):
        Store(postgres_url).open()
    with Store(f"{postgres_url}?options=-csearch_path%3Dpublic") as store:
        assert sum(store.counts().values()) == 2
    with Store(f"{postgres_url}?options=-csearch_path%3Dother") as second:
        assert sum(second.counts().values()) == 0
        born(second)
    with Store(postgres_url) as store:  # where it looks, there is one now
        assert sum(store.counts().values()) == 1
    with pytest.raises(InvalidUrl, match="no such schema"):
        Store(f"{postgres_url}?options=-csearch_path%3Dnowhere").open()


@pytest.mark.postgres
@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_keeps_no_utf8_is_refused(
    postgres_url: str, postgres_server: Postgres, encoding: str
) -> None:
    name = f"{make_url(postgres_url).database}_{encoding.lower()}"
    postgres_server.sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    url = postgres_server.url(name)
    try:
        with pytest.raises(InvalidUrl, match=rf"keeps text as {encoding}.*createdb --encoding UTF8"):
            Store(url).open()
    finally:
        postgres_server.drop(url)


@pytest.mark.postgres
def test_a_read_only_role_is_told_of(postgres_url: str, postgres_server: Postgres) -> None:
    """A standby, or a user who may not write: what cannot be set is said."""
    Store(postgres_url).__enter__().close()
    name = f"{make_url(postgres_url).database}_reader"
    postgres_server.sql(f"CREATE ROLE {name} LOGIN")
    url = make_url(postgres_url).set(username=name).render_as_string()
    try:
        with pytest.raises(PersistenceError, match=r"permission denied.*42501.*lacks a right"):
            Store(url).open()
    finally:
        postgres_server.sql(f"DROP ROLE {name}")


@pytest.mark.postgres
def test_behind_pgbouncer(pooled_url: str, set_default: Callable[[str, str], None]) -> None:
    """Two stores at once on three sessions that everybody shares, whose defaults are hostile."""
    for setting in ("default_transaction_isolation", "default_transaction_read_only", "lock_timeout"):
        set_default(setting, DEFAULTS[setting])
    set_default("search_path", "pg_catalog")
    with Store(pooled_url) as first, Store(pooled_url) as second:
        live_through(first)
        live_through(second)
        live_through(first)
        assert first.backlog() == second.backlog()


@pytest.mark.postgres
def test_pgbouncer_in_statement_mode_is_refused(postgres_url: str, postgres_server: Postgres) -> None:
    with (
        _bouncer(postgres_server, "pool_mode = statement") as bouncer,
        pytest.raises(InvalidUrl, match="pool_mode = transaction"),
    ):
        Store(bouncer.url(postgres_url), patience=1).open()


@pytest.mark.postgres
def test_a_lock_of_somebody_else_is_nobodys_fault(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quince_persistence.databases.sessions.LOCK_SECONDS", 1)
    with Store(postgres_url) as store:
        claims = held(store, "w", 5)
        with store._database.writer() as other:
            other.exec_driver_sql("BEGIN; LOCK TABLE processes IN ACCESS EXCLUSIVE MODE")
            futures = [store.release(claim.row.pid, "w", 1) for claim in claims]
            for future in futures:
                with pytest.raises(StoreBusy, match=r"lock timeout.*VACUUM FULL"):
                    future.result()
            with pytest.raises(StoreBusy):
                store.get(claims[0].row.pid)
            other.exec_driver_sql("ROLLBACK")
        assert not any(finish(store, claim).fenced for claim in claims)


@pytest.mark.postgres
def test_a_pool_that_is_exhausted_is_nobodys_fault(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "quince_persistence.databases.postgresql.POOL",
        {"pool_size": 1, "max_overflow": 0, "pool_timeout": 0.1},
    )
    with Store(postgres_url) as store:
        (pid,) = born(store)
        with (
            store._database.engine().connect(),
            pytest.raises(StoreBusy, match="connections of this program"),
        ):
            store.get(pid)
        assert store.get(pid) is not None


def test_whether_the_store_takes_writes_can_be_asked(store_url: str) -> None:
    with Store(store_url, patience=0.3) as store, Store(store_url) as other:
        before = list(store.allocate_pids(1))
        store.try_write(within=10)
        assert list(other.allocate_pids(1)) == [before[0] + 1], "no pid is used up"
        with other._database.writer() as writer:
            sqlite = store_url.startswith("sqlite")
            writer.exec_driver_sql("BEGIN IMMEDIATE" if sqlite else "BEGIN; LOCK TABLE counters")
            with pytest.raises(StoreUnavailable):
                store.try_write(within=1)
            writer.exec_driver_sql("ROLLBACK")
        store.try_write(within=10)


def test_a_file_that_can_have_no_log_is_refused(tmp_path: Path) -> None:
    """SQLite says nothing when it cannot keep a write-ahead log (on some network file systems)."""
    file = tmp_path / "quince.sqlite"
    with pytest.raises(InvalidUrl, match="write-ahead log"):
        Store(f"sqlite:///file:{file}?vfs=unix-none&uri=true").open()
