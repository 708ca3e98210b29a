"""What is not loaded with a module: a control without a database, a daemon without store and broker."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CLIENTS = {"quince_messaging.clients", "quince_messaging.transports", "quince_messaging.wire"}
STORE = {
    "quince_persistence.store",
    "quince_persistence.codec",
    "sqlalchemy",
    "aiosqlite",
    "alembic",
    "psycopg",
}


@pytest.mark.parametrize(
    ("module", "unwanted", "most"),
    [
        ("quince", {"plumpy", "kiwipy", "quince.processes", *STORE, *CLIENTS}, 5),
        ("quince_messaging", {"kiwipy", "aio_pika", "asyncio", *CLIENTS}, 1),
        ("quince.client.remote", {"quince.workspace", "quince.processes", "quince.worker", *STORE}, 60),
        ("quince.cli.main", {"sqlalchemy.dialects.postgresql", "psycopg", "rich", *CLIENTS}, 200),
        ("quince.worker.service", {"opentelemetry", "prometheus_client", "http.server", "smtplib"}, 400),
        ("quince.daemon.supervisor", {"plumpy", "kiwipy", "aio_pika", "asyncio", *STORE, *CLIENTS}, 25),
    ],
)
def test_a_module_is_loaded_without(module: str, unwanted: set[str], most: int, tmp_path: Path) -> None:
    program = f"import sys, {module}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert module in loaded
    assert unwanted.isdisjoint(loaded)
    assert len([name for name in loaded if name.startswith("quince")]) <= most
