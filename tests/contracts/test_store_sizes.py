"""Large values: written, read and refused alike on every backend."""

from __future__ import annotations

import os

import pytest
from sqlalchemy.engine import make_url

from persistence.records import State
from persistence.store import Store
from tests.contracts.store_backends import held, step, store, store_url
from tests.services import Postgres

__all__ = ["store", "store_url"]

MB = 1_000_000


def _bytes(megabytes: int) -> bytes:
    """Bytes that no database makes smaller."""
    return os.urandom(MB) * megabytes


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
