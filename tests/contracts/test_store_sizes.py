"""Large values: written, read and refused alike on every backend."""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import Callable

import pytest
from sqlalchemy.engine import make_url

from quince_persistence.records import State
from quince_persistence.records.steps import Step
from quince_persistence.records.workers import WorkerRow
from quince_persistence.store import Store
from tests.contracts.store_backends import held, step, store, store_url
from tests.services import Postgres

__all__ = ["store", "store_url"]

MB = 1_000_000


def _worker(name: str) -> WorkerRow:
    return WorkerRow(name, "host", 1, name, ("default",), 1, None, "running", time.time(), time.time())


def _bytes(megabytes: int) -> bytes:
    """Bytes that no database makes smaller, and that do not begin as folded ones do."""
    return (b"\0" + os.urandom(MB - 1)) * megabytes


def test_large_values_are_written_and_read(store: Store) -> None:
    """PostgreSQL's driver waited for ever: for an answer to what it had not sent yet."""
    large = _bytes(20)
    (claim,) = held(store, "w", inputs=large)
    assert claim.inputs == large
    assert store.record_once(claim.row.pid, "w", claim.row.epoch, "key", large).result()
    assert not step(store, claim, State.RUNNING, checkpoint=large).fenced
    assert store.checkpoint(claim.row.pid) == large
    assert not step(store, claim, State.FINISHED, outputs=large, exit_status=0).fenced
    assert store.results([claim.row.pid])[0].outputs == large


@pytest.mark.postgres
def test_large_values_go_over_a_unix_socket(postgres_server: Postgres, postgres_url: str) -> None:
    url = make_url(postgres_url).set(host=None, port=None)
    folder, port = str(postgres_server.folder / "socket"), str(postgres_server.port)
    url = url.update_query_dict({"host": folder, "port": port})
    with Store(url.render_as_string(hide_password=False)) as store:
        (claim,) = held(store, "w", inputs=_bytes(5))
        assert not step(store, claim, State.RUNNING, checkpoint=_bytes(5)).fenced


def test_a_heartbeat_stands_behind_nothing_large(store: Store, store_url: str) -> None:
    """On SQLite everybody writes to one file: it waits for the one large write that is under way there."""
    claims = held(store, "w", 6)
    store.register_worker(_worker("w")).result()
    store.heartbeat("w").result()
    large = _bytes(20)
    writes = [
        store.commit(Step(claim.row.pid, "w", claim.row.epoch, State.RUNNING, checkpoint=large))
        for claim in claims
    ]
    while not writes[0].running():
        time.sleep(0.001)
    store.heartbeat("w").result()
    assert not writes[-1].done(), "it was not behind those that were handed in before it"
    assert not any(write.result().fenced for write in writes)


def test_what_is_large_shares_no_transaction(store: Store) -> None:
    """Nobody who is committed together with it has to wait for it, or is written again if it fails."""
    claims = held(store, "w", 5)
    together: list[int] = []

    def count(tell: Callable[[], None]) -> None:
        together.append(1)
        tell()

    store.on_batch = count
    small = b"x"
    writes = [
        store.commit(Step(claim.row.pid, "w", claim.row.epoch, State.RUNNING, checkpoint=blob))
        for claim, blob in zip(claims, [_bytes(10), small, small, _bytes(5), small], strict=True)
    ]
    assert not any(write.result().fenced for write in writes)
    assert [len(store.checkpoint(claim.row.pid) or b"") for claim in claims] == [10 * MB, 1, 1, 5 * MB, 1]
    assert len(together) >= 4


def test_outputs_are_read_when_they_are_small(store: Store) -> None:
    claims = held(store, "w", 3)
    for claim, outputs in zip(claims, [b"x" * 10, b"x" * 11, None], strict=True):
        step(store, claim, State.FINISHED, outputs=outputs, exit_status=0)
    pids = [claim.row.pid for claim in claims]
    found = store.results([*reversed(pids), 999_999], small=10)
    assert [(one.row.pid, one.outputs, one.unread) for one in found] == [
        (pids[2], None, 0),
        (pids[1], None, 11),
        (pids[0], b"x" * 10, 0),
    ]


def test_a_check_up_holds_few_large_values_at_a_time(store: Store) -> None:
    claims = held(store, "w", 4, inputs=_bytes(5))
    for claim in claims:
        step(store, claim, State.RUNNING, checkpoint=_bytes(5))
    tracemalloc.start()
    try:
        assert [len(claim.checkpoint or b"") for claim in store.live()] == [5 * MB] * 4
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 30 * MB
